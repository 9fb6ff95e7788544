"""Liberty's Boolean notation."""

from itertools import product

import pytest

from amhw.synth.boolean import truth_table


@pytest.mark.parametrize(
    ("expression", "names", "python"),
    [
        ("!A", "A", lambda a: not a),
        ("A'", "A", lambda a: not a),
        ("!(A*B)", "AB", lambda a, b: not (a and b)),
        ("(A&!B) | (!A&B)", "AB", lambda a, b: a != b),
        ("A B + C", "ABC", lambda a, b, c: (a and b) or c),
        ("A + B C'", "ABC", lambda a, b, c: a or (b and not c)),
        ("(A+B)'*!C", "ABC", lambda a, b, c: not (a or b) and not c),
        ("A^B^C", "ABC", lambda a, b, c: (a + b + c) % 2),
        ("!A^B", "AB", lambda a, b: a == b),
        ("A*B^C", "ABC", lambda a, b, c: a and (b != c)),
        ("(A*1)+(B*0)", "AB", lambda a, b: a),
        ("A''", "A", lambda a: a),
    ],
)
def test_equals_python(expression, names, python):
    rows = [row[::-1] for row in product((0, 1), repeat=len(names))]
    expected = sum(bool(python(*row)) << r for r, row in enumerate(rows))
    assert truth_table(expression, list(names)) == expected


@pytest.mark.parametrize("expression", ["", "A*", "(A", "A)", "A*X", "A @ B", "!", "A ? B : C"])
def test_refuses_what_it_cannot_read(expression):
    with pytest.raises(ValueError, match="function"):
        truth_table(expression, ["A", "B"])
