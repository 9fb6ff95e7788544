"""What an array's manifest names is made again before it is simulated; other Verilog is refused."""

import hashlib
import json

import pytest
import test_engine
from click.testing import CliRunner
from test_conv import SMALL, written
from test_schedule import MASKED, small

from amhw import ProductTable, Refusal
from amhw.array.config import ArrayConfig
from amhw.array.plan import ConvPlan
from amhw.array.schedule import Schedule
from amhw.commands.array import command as array
from amhw.regenerated import regenerated


@pytest.fixture(params=["a matrix product", "an engine", "a whole network"])
def manifest(request, tmp_path):
    if request.param == "an engine":
        multiplier, network, cols, depth = SMALL["narrow"]
        return written(tmp_path, multiplier, ConvPlan(network, ProductTable.of(multiplier), 9, cols, depth))[1]
    if request.param == "a whole network":
        config = ArrayConfig(MASKED, 9, 2, window=(3, 3), batch=4)
        return test_engine.written(tmp_path, Schedule(small(side=6), config))[1]
    options = ["--rows", "4", "--cols", "3", "--matmul", "5,6,4", "--name", "dut", "--out", str(tmp_path)]
    run = CliRunner().invoke(array, ["mul_u8s8_pp_0_0_0_0_0_0_e0_e0", *options])
    assert run.exit_code == 0, run.stderr
    return tmp_path / "dut.json"


def test_the_same_array_is_made_again_and_nothing_else_is_let_through(manifest):
    verilog = manifest.with_suffix(".v")
    with regenerated(manifest) as again:
        assert again.parent != manifest.parent
        assert again.read_bytes() == manifest.read_bytes()
        assert again.with_suffix(".v").read_bytes() == verilog.read_bytes()
    text = verilog.read_text() + "module other; initial $finish; endmodule\n"
    verilog.write_text(text)
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(fields | {"verilog_sha256": hashlib.sha256(text.encode()).hexdigest()}))
    with pytest.raises(Refusal, match=r"is not what amhw array( --whole)? writes"), regenerated(manifest):
        pass


@pytest.mark.parametrize("manifest", ["an engine"], indirect=True)
def test_the_network_is_the_manifests(manifest):
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(fields | {"network_sha256": "0" * 64}))
    with pytest.raises(Refusal, match=r"is not the network of engine\.json"), regenerated(manifest):
        pass
