"""Files become one text: includes in their place, no byte-order marks, lines that can be found again."""

from pathlib import Path

import pytest

from amhw import Refusal
from amhw.hdl import PLAIN_FIRST, SYSTEM_FIRST, Source

FIELD = Path(__file__).parent.parent / "data" / "field"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_vh", ".vh").replace("_v", ".v")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_includes_are_put_in_place(tmp_path):
    write(
        tmp_path,
        m_v='module m;\n`include "a.vh"\nendmodule\n',
        inc__a_vh='`include "b.vh"\nwire a;',
        inc__b_vh="wire b;",
    )
    text = Source.of_files([tmp_path / "m.v"], folders=[tmp_path / "inc"]).text
    assert text.split() == ["module", "m;", "wire", "b;", "wire", "a;", "endmodule"]
    assert Source.of_files([FIELD / "include" / "inc.v"]).text.split()[:3] == ["`define", "W", "4"]


def test_includes_in_comments_and_strings_are_none(tmp_path):
    text = '// `include "x"\n/* `include "y" */ module m; initial $display("`include \\"z\\""); wire \\a"b ;\n'
    write(tmp_path, m_v=text)
    assert Source.of_files([tmp_path / "m.v"]).text == text


def test_an_include_that_is_not_there_is_left_to_who_needs_it(tmp_path):
    write(tmp_path, m_v='`ifdef SIMULATION\n`include "bench.vh"\n`endif\nmodule m; endmodule\n')
    assert "bench.vh" in Source.of_files([tmp_path / "m.v"]).text


def test_files_outside_of_the_folders_are_not_included(tmp_path):
    write(tmp_path, secret_vh="wire secret;", m__m_v='`include "../secret.vh"\nmodule m; endmodule\n')
    write(tmp_path, a__a_v=f'`include "{tmp_path}/secret.vh"\nmodule a; endmodule\n')
    (tmp_path / "l").mkdir()
    (tmp_path / "l" / "link.vh").symlink_to(tmp_path / "secret.vh")
    write(tmp_path, l__l_v='`include "link.vh"\nmodule l; endmodule\n')
    for name in "mal":
        with pytest.raises(Refusal, match="outside of its folder"):
            Source.of_files([tmp_path / name / f"{name}.v"])
    assert "wire secret" in Source.of_files([tmp_path / "m" / "m.v"], folders=[tmp_path]).text


def test_a_file_that_includes_itself_is_refused(tmp_path):
    write(tmp_path, m_v='`include "m.v"\nmodule m; endmodule\n')
    with pytest.raises(Refusal, match="includes itself"):
        Source.of_files([tmp_path / "m.v"])


def test_lines_are_found_again(tmp_path):
    write(tmp_path, m_v='module m;\n`include "a.vh"\nwire c;\n', a_vh="wire a;\nwire b;", n_v="module n;\nendmodule")
    source = Source.of_files([tmp_path / "m.v"], [tmp_path / "n.v"])
    for word, file, line in (("wire b", "a.vh", 2), ("wire c", "m.v", 3), ("module n", "n.v", 1), ("endm", "n.v", 2)):
        at = source.text[: source.text.index(word)].count("\n") + 1
        assert source.placed(f"line {at}: why") == f"{tmp_path / file} line {line}: why"
    assert Source.of_files([tmp_path / "n.v"]).placed("line 2") == "line 2"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_any_encoding_is_read(tmp_path, encoding):
    (tmp_path / "m.v").write_text("// ½ µm\nmodule m; endmodule\n", encoding=encoding)
    assert Source.of_files([tmp_path / "m.v"]).text == "// ½ µm\nmodule m; endmodule\n"


def test_own_modules_and_dialects(tmp_path):
    write(
        tmp_path,
        a_v="module a; endmodule // module no\n",
        b_v="module automatic \\b+c ; endmodule",
        c_v="module c; endmodule",
    )
    source = Source.of_files([tmp_path / "a.v", tmp_path / "b.v"], [tmp_path / "c.v"])
    assert source.own == ("a", "b+c") and source.dialects == PLAIN_FIRST
    (tmp_path / "d.sv").write_text("module d; endmodule")
    assert Source.of_files([tmp_path / "a.v", tmp_path / "d.sv"]).dialects == SYSTEM_FIRST


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "m.v").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "endless.v").symlink_to("/dev/zero")
    with pytest.raises(Refusal, match="no text"):
        Source.of_files([tmp_path / "m.v"])
    with pytest.raises(Refusal, match="cannot read"):
        Source.of_files([tmp_path / "none.v"])
    with pytest.raises(Refusal, match="larger than"):
        Source.of_files([tmp_path / "endless.v"])
