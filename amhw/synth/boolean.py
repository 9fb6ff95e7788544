"""Boolean expressions in Liberty's notation: `!A`, `A'`, `A*B`, `A&B`, `A B`, `A+B`, `A|B`, `A^B`.

A recursive-descent parser over bit-parallel truth tables. Precedence: inversion, then ^, then AND, then OR.
"""

import re
from collections.abc import Sequence

_TOKEN = re.compile(r"\s*([A-Za-z_][\w\[\]]*|[01]|[!'*&+|^()])")


def truth_table(expression: str, names: Sequence[str]) -> int:
    """The truth table of `expression` over `names`: bit r is its value where input k is bit k of r.

    >>> bin(truth_table("!(A*B)", ["A", "B"])), bin(truth_table("A' B + A !B", ["A", "B"]))
    ('0b111', '0b110')

    Raises:
        ValueError: no expression of this notation, or a name that is no input.
    """
    rows = 1 << len(names)
    every = (1 << rows) - 1
    inputs = {name: sum(1 << r for r in range(rows) if r >> k & 1) for k, name in enumerate(names)}
    tokens: list[str] = []
    position, text = 0, expression.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"cannot read the function {expression!r} at {text[position:]!r}")
        tokens.append(match[1])
        position = match.end()
    tokens.append("")

    def disjunction() -> int:
        value = conjunction()
        while tokens[0] in ("+", "|"):
            tokens.pop(0)
            value |= conjunction()
        return value

    def conjunction() -> int:
        value = parity()
        while tokens[0] in ("*", "&", "!", "(") or tokens[0][:1].isidentifier() or tokens[0] in ("0", "1"):
            if tokens[0] in ("*", "&"):
                tokens.pop(0)
            value &= parity()
        return value

    def parity() -> int:
        value = literal()
        while tokens[0] == "^":
            tokens.pop(0)
            value ^= literal()
        return value

    def literal() -> int:
        token = tokens.pop(0)
        if token == "!":
            return every ^ literal()
        if token == "(":
            value = disjunction()
            if tokens.pop(0) != ")":
                raise ValueError(f"unbalanced parentheses in the function {expression!r}")
        elif token in ("0", "1"):
            value = every if token == "1" else 0
        elif token in inputs:
            value = inputs[token]
        else:
            raise ValueError(f"the function {expression!r} has {token or 'its end'!r} where an input belongs")
        while tokens[0] == "'":
            tokens.pop(0)
            value ^= every
        return value

    value = disjunction()
    if tokens != [""]:
        raise ValueError(f"cannot read the function {expression!r} at {tokens[0]!r}")
    return value
