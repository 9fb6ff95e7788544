"""Boolean expressions in Liberty's notation: `!A`, `A'`, `A*B`, `A&B`, `A B`, `A+B`, `A|B`, `A^B`.

A recursive-descent parser into functions of words whose bits are independent patterns: Python integers for
truth tables, NumPy arrays for simulation. Precedence: inversion, then ^, then AND, then OR.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, reduce
from operator import and_, or_, xor
from typing import Any

_TOKEN = re.compile(r"\s*([A-Za-z_][\w\[\]]*|[01]|[!'*&+|^()])")

Words = Any
"""Python integers or NumPy arrays of unsigned integers, all of one shape."""

Function = Callable[[Mapping[str, Words], Words], Words]
"""From the words of the inputs, and the word of all ones, to the word of the output."""


@cache
def function(expression: str, names: tuple[str, ...]) -> Function:
    """The function that `expression` over `names` describes.

    >>> nand = function("!(A*B)", ("A", "B"))
    >>> nand({"A": 0b0101, "B": 0b0011}, 0b1111)
    14

    Raises:
        ValueError: no expression of this notation, or a name that is no input.
    """
    tokens: list[str] = []
    position, text = 0, expression.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"cannot read the function {expression!r} at {text[position:]!r}")
        tokens.append(match[1])
        position = match.end()
    tokens.append("")

    def disjunction() -> Function:
        values = [conjunction()]
        while tokens[0] in ("+", "|"):
            tokens.pop(0)
            values.append(conjunction())
        return _folded(or_, values)

    def conjunction() -> Function:
        values = [parity()]
        while tokens[0] in ("*", "&", "!", "(") or tokens[0][:1].isidentifier() or tokens[0] in ("0", "1"):
            if tokens[0] in ("*", "&"):
                tokens.pop(0)
            values.append(parity())
        return _folded(and_, values)

    def parity() -> Function:
        values = [literal()]
        while tokens[0] == "^":
            tokens.pop(0)
            values.append(literal())
        return _folded(xor, values)

    def literal() -> Function:
        token, inverted = tokens.pop(0), False
        while token == "!":
            token, inverted = tokens.pop(0), not inverted
        if token == "(":
            value = disjunction()
            if tokens.pop(0) != ")":
                raise ValueError(f"unbalanced parentheses in the function {expression!r}")
        elif token in ("0", "1"):
            value = _one if token == "1" else _zero
        elif token in names:
            value = _input(token)
        else:
            raise ValueError(f"the function {expression!r} has {token or 'its end'!r} where an input belongs")
        while tokens[0] == "'":
            tokens.pop(0)
            inverted = not inverted
        return _not(value) if inverted else value

    try:
        value = disjunction()
    except RecursionError:
        raise ValueError(f"the function {expression[:40]!r}… is nested too deeply") from None
    if tokens != [""]:
        raise ValueError(f"cannot read the function {expression!r} at {tokens[0]!r}")
    return value


def truth_table(expression: str, names: Sequence[str]) -> int:
    """The truth table of `expression` over `names`: bit r is its value where input k is bit k of r.

    >>> bin(truth_table("!(A*B)", ["A", "B"])), bin(truth_table("A' B + A !B", ["A", "B"]))
    ('0b111', '0b110')

    Raises:
        ValueError: as `function` does.
    """
    rows = 1 << len(names)
    every = (1 << rows) - 1
    inputs = {name: sum(1 << r for r in range(rows) if r >> k & 1) for k, name in enumerate(names)}
    return int(function(expression, tuple(names))(inputs, every))


def sense(expression: str, names: Sequence[str], name: str) -> str:
    """How `expression` over `names` follows its input `name`, as Liberty's `timing_sense` says it.

    It looks at how the expression is written, as OpenSTA does, and not at the function's values.

    >>> sense("!(A*B)", ["A", "B"], "A"), sense("A + B'", ["A", "B"], "A"), sense("A^B", ["A", "B"], "A")
    ('negative_unate', 'positive_unate', 'non_unate')
    """
    ways = {each: _Way(follows=each == name) for each in names}
    found = function(expression, tuple(names))(ways, _ALWAYS)
    if found.follows == found.opposes:
        return "non_unate"
    return "positive_unate" if found.follows else "negative_unate"


class Term:
    """An expression as text, put together by the operators with which a `Function` computes.

    >>> print(function("!(A*B)", ("A", "B"))({"A": Term("x"), "B": Term("y")}, Term("1")))
    ((x & y) ^ 1)
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __and__(self, other: "Term") -> "Term":
        return type(self)(f"({self.text} & {other.text})")

    def __or__(self, other: "Term") -> "Term":
        return type(self)(f"({self.text} | {other.text})")

    def __xor__(self, other: "Term") -> "Term":
        return type(self)(f"({self.text} ^ {other.text})")


class _Way:
    """Whether a word may rise with an input and whether it may fall with it."""

    def __init__(self, follows: bool = False, opposes: bool = False) -> None:
        self.follows, self.opposes = follows, opposes

    def __or__(self, other: "_Way") -> "_Way":
        return _Way(self.follows or other.follows, self.opposes or other.opposes)

    __and__ = __or__

    def __xor__(self, other: "_Way") -> "_Way":
        if other is _ALWAYS:  # an inversion
            return _Way(self.opposes, self.follows)
        either = self.follows or self.opposes or other.follows or other.opposes
        return _Way(either, either)


_ALWAYS = _Way()


def _input(name: str) -> Function:
    return lambda inputs, every: inputs[name]


def _one(inputs: Mapping[str, Words], every: Words) -> Words:
    return every


def _zero(inputs: Mapping[str, Words], every: Words) -> Words:
    return every ^ every


def _not(value: Function) -> Function:
    return lambda inputs, every: value(inputs, every) ^ every


def _folded(operator: Callable[[Words, Words], Words], values: list[Function]) -> Function:
    if len(values) == 1:
        return values[0]
    return lambda inputs, every: reduce(operator, (value(inputs, every) for value in values))
