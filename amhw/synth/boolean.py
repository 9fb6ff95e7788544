"""Boolean expressions in Liberty's notation: `!A`, `A'`, `A*B`, `A&B`, `A B`, `A+B`, `A|B`, `A^B`.

A recursive-descent parser into functions of words whose bits are independent patterns: Python integers for
truth tables, NumPy arrays for simulation. Precedence: inversion, then ^, then AND, then OR.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
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
        value = conjunction()
        while tokens[0] in ("+", "|"):
            tokens.pop(0)
            value = _or(value, conjunction())
        return value

    def conjunction() -> Function:
        value = parity()
        while tokens[0] in ("*", "&", "!", "(") or tokens[0][:1].isidentifier() or tokens[0] in ("0", "1"):
            if tokens[0] in ("*", "&"):
                tokens.pop(0)
            value = _and(value, parity())
        return value

    def parity() -> Function:
        value = literal()
        while tokens[0] == "^":
            tokens.pop(0)
            value = _xor(value, literal())
        return value

    def literal() -> Function:
        token = tokens.pop(0)
        if token == "!":
            return _not(literal())
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
            value = _not(value)
        return value

    value = disjunction()
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


def _input(name: str) -> Function:
    return lambda inputs, every: inputs[name]


def _one(inputs: Mapping[str, Words], every: Words) -> Words:
    return every


def _zero(inputs: Mapping[str, Words], every: Words) -> Words:
    return every ^ every


def _not(value: Function) -> Function:
    return lambda inputs, every: value(inputs, every) ^ every


def _and(left: Function, right: Function) -> Function:
    return lambda inputs, every: left(inputs, every) & right(inputs, every)


def _or(left: Function, right: Function) -> Function:
    return lambda inputs, every: left(inputs, every) | right(inputs, every)


def _xor(left: Function, right: Function) -> Function:
    return lambda inputs, every: left(inputs, every) ^ right(inputs, every)
