"""Parsers of what the tools print, on stored logs of Yosys 0.70."""

from pathlib import Path

import pytest

from amhw.synth.reports import error_in, timing_of
from amhw.synth.worker import driver_problem, loop_problem

LOGS = Path(__file__).parent.parent / "data" / "synth" / "logs"


def log(name):
    return (LOGS / f"{name}.log").read_text()


def test_timing_and_path():
    timing = timing_of(log("abc_multiplier"))
    assert (timing.delay_ps, timing.cells, timing.area) == (328.39, 15, 57.56)
    assert (timing.start, timing.end) == ("a[6]", "p[14]")
    assert timing.path[0].cell == "pi"
    assert timing.path[-1].arrival_ps == pytest.approx(timing.delay_ps, abs=0.06)
    assert timing.path[-1].load_ff == 9.2
    assert [step.arrival_ps for step in timing.path] == sorted(step.arrival_ps for step in timing.path)


def test_a_path_may_end_in_a_register():
    timing = timing_of(log("abc_registers"))
    assert (timing.delay_ps, timing.start, timing.end) == (1091.58, "a[1]", "register")


def test_nothing_to_map_has_no_timing():
    assert timing_of(log("abc_nothing_to_map")) is None


def test_errors():
    assert error_in(log("yosys_syntax_error")) == "line 1: syntax error, unexpected ';'"
    assert "`\\foo' referenced in module `\\m1'" in error_in(log("yosys_missing_module"))
    assert error_in(log("abc_failed")) == "ABC: unknown command 'nosuchcommand'"
    assert error_in(log("abc_multiplier")) is None


def test_check():
    assert loop_problem(log("yosys_check_loop")) == "combinational loop through r, q"
    assert driver_problem(log("yosys_check_loop")) is None
    assert driver_problem(log("yosys_check_drivers")) == "multiply-driven net: a has several drivers"
    assert loop_problem(log("yosys_check_drivers")) == "combinational loop through l2, l1"
    only_undriven = "\n".join(line for line in log("yosys_check_drivers").splitlines() if "conflicting" not in line)
    assert driver_problem(only_undriven) == "undriven net: w [3] is used and has no driver"
