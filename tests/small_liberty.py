"""Small Liberty files for tests: an inverter, a NAND, and what else is wanted."""

TINY = """
library (tiny) {
  time_unit : "1ns"; capacitive_load_unit (1, pf); default_max_transition : 1.5;
  lu_table_template (t) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0.01, 0.1"); index_2 ("0.001, 0.01");
  }
  lu_table_template (load_first) {
    variable_1 : total_output_net_capacitance; variable_2 : input_net_transition;
    index_1 ("0.001, 0.01, 0.1"); index_2 ("0.01, 0.1");
  }
  CELLS
}
"""


def timing(
    pin: str, values: str = "0.01, 0.02", more: str = "0.03, 0.04", sense: str = "negative_unate", template: str = "t"
) -> str:
    tables = "".join(
        f'{name} ({template}) {{ values ("{values}", "{more}"); }}\n'
        for name in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
    )
    return f'timing () {{ related_pin : "{pin}"; timing_sense : {sense}; {tables} }}\n'


def cell(name: str, function: str, inputs: str, area: float = 1.0, extra: str = "", timings: str | None = None) -> str:
    pins = "".join(f"pin ({i}) {{ direction : input; capacitance : 0.002; }}\n" for i in inputs)
    arcs = timings if timings is not None else "".join(timing(i) for i in inputs)
    output = f'pin (Y) {{ direction : output; function : "{function}"; max_capacitance : 0.1; {arcs} }}'
    return f"cell ({name}) {{ area : {area}; {extra} {pins} {output} }}\n"


INV = cell("inv", "!A", "A")
NAND = cell("nand", "!(A*B)", "AB", area=2.0)


def tiny(*cells: str) -> str:
    return TINY.replace("CELLS", "".join(cells))
