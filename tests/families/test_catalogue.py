"""What must hold for every family, over one catalogue of representatives.

Golden model, emitted Verilog (read by Yosys, evaluated gate by gate) and, for some, Amaranth's own
simulator are three answers to the same question.
"""

import random

import numpy as np
import pytest
from amaranth_products import simulate, some_pairs
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import amhw.families
from amhw import Masked, Multiplier, ProductTable, Refusal, parse
from amhw.circuit import Circuit
from amhw.families import (
    Booth,
    Compensated,
    Compressed,
    Drum,
    EncodedMultiplier,
    Kulkarni,
    LowerOr,
    Mitchell,
    OrCompressed,
    Roba,
    SignMagnitude,
    StaticSegment,
)
from amhw.families.catalogue import representatives
from amhw.verilog import Design

SIGNS = [(False, False), (False, True), (True, False), (True, True)]


def catalogue() -> list[Multiplier]:
    found = {}
    for signed_a, signed_b in SIGNS:
        for _, multiplier in representatives(signed_a=signed_a, signed_b=signed_b):
            found[multiplier.name] = multiplier
    both = {"signed_a": True, "signed_b": True}
    for core in (Drum(bits=2, width_a=8, width_b=8), Roba(width_a=8, width_b=8)):
        for negation in ("true", "ones"):
            wrapped = SignMagnitude(core=core, negation=negation, **both)
            found[wrapped.name] = wrapped
    return list(found.values())


MULTIPLIERS = catalogue()


def products_of_verilog(multipliers: list[Multiplier]) -> list[np.ndarray]:
    """The products of all codes as the emitted Verilog computes them; all multipliers have the same operands.

    The files go through Yosys together, under a module that hands the operands to each.
    """
    first = multipliers[0]
    width = first.width_a + first.width_b
    texts = [Design(multiplier).verilog() for multiplier in multipliers]
    outputs = ", ".join(f"output [{width - 1}:0] p{k}" for k in range(len(multipliers)))
    instances = "\n".join(f"{m.name} m{k}(.p(p{k}), .b(b), .a(a));" for k, m in enumerate(multipliers))
    top = (
        f"module all_of_them(input [{first.width_a - 1}:0] a, input [{first.width_b - 1}:0] b, {outputs});\n"
        f"{instances}\nendmodule\n"
    )
    circuit = Circuit.read("\n".join([*texts, top]))
    found = circuit.evaluate({"a": np.arange(1 << first.width_a)[:, None], "b": np.arange(1 << first.width_b)[None, :]})
    signed = first.signed_a or first.signed_b
    codes = [found[f"p{k}"] for k in range(len(multipliers))]
    return [np.where(c >> (width - 1), c - (1 << width), c) if signed else c for c in codes]


@pytest.mark.parametrize("signs", SIGNS, ids=["u8u8", "u8s8", "s8u8", "s8s8"])
def test_emitted_verilog_is_the_table_for_every_pair(signs):
    multipliers = [m for m in MULTIPLIERS if (m.signed_a, m.signed_b) == signs]
    assert len(multipliers) > 20
    for multiplier, products in zip(multipliers, products_of_verilog(multipliers), strict=True):
        assert (products == ProductTable.of(multiplier).products).all(), multiplier.name


@pytest.mark.parametrize("multiplier", MULTIPLIERS, ids=lambda m: m.name)
def test_product_fits_its_port(multiplier):
    products = ProductTable.of(multiplier).products
    width = multiplier.width_a + multiplier.width_b
    if multiplier.signed_a or multiplier.signed_b:
        assert -(1 << (width - 1)) <= products.min() and products.max() < 1 << (width - 1)
    else:
        assert products.min() >= 0 and products.max() < 1 << width


@pytest.mark.parametrize("multiplier", MULTIPLIERS, ids=lambda m: m.name)
def test_zero_times_anything_is_zero_or_the_family_says_why_not(multiplier):
    products = ProductTable.of(multiplier).products
    obeys = not products[0].any() and not products[:, 0].any()
    assert obeys == (multiplier.zero_exception is None)


@pytest.mark.parametrize("multiplier", MULTIPLIERS, ids=lambda m: m.name)
def test_name_gives_the_value_back(multiplier):
    assert parse(multiplier.name) == multiplier
    assert multiplier.name.isidentifier() and multiplier.name == multiplier.name.lower()


def test_names_tell_all_multipliers_apart():
    tables = {}
    for multiplier in MULTIPLIERS:
        tables.setdefault(multiplier.name, multiplier)
        assert tables[multiplier.name] == multiplier


@pytest.mark.parametrize("multiplier", [m for m in MULTIPLIERS if m.signed_a and m.signed_b], ids=lambda m: m.name)
def test_most_negative_operands(multiplier):
    """−128 has no positive counterpart; published designs and test benches stumble over it."""
    product = multiplier.golden(-128, -128).item()
    assert product >= 0, "the product of two negatives is not negative"
    assert (product == 16384) or multiplier.name != "mul_s8s8_booth"
    assert multiplier.golden(-128, 127).item() <= 0


def test_sign_magnitude_of_the_exact_core_is_exact_at_the_extremes():
    multiplier = SignMagnitude(core=Masked.exact(8, 8), signed_a=True, signed_b=True)
    table = ProductTable.of(multiplier)
    assert not table.errors.any()
    assert multiplier.golden(-128, -128).item() == 16384
    mixed = ProductTable.of(SignMagnitude(core=Masked.exact(8, 8), signed_b=True))
    assert not mixed.errors.any()


@pytest.mark.parametrize("multiplier", [m for m in MULTIPLIERS if not m.overestimates], ids=lambda m: m.name)
def test_families_that_never_overestimate_do_not(multiplier):
    if not (multiplier.signed_a or multiplier.signed_b):
        assert ProductTable.of(multiplier).errors.max() <= 0


@pytest.mark.parametrize("multiplier", MULTIPLIERS, ids=lambda m: m.name)
def test_golden_takes_values_not_codes_and_broadcasts(multiplier):
    (low_a, _), (_, high_b) = multiplier.range_a, multiplier.range_b
    a, b = np.array([[low_a], [0], [3]]), np.array([high_b, 0, 1, 5])
    products = multiplier.golden(a, b)
    assert products.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            assert products[i, j] == multiplier.golden(a[i, 0].item(), b[j].item())
    with pytest.raises(Refusal):
        multiplier.golden(multiplier.range_a[1] + 1, 0)


# Other widths


def operand_fields(draw, low=2, high=12, signs=True):
    return {
        "width_a": draw(st.integers(low, high)),
        "width_b": draw(st.integers(low, high)),
        "signed_a": draw(st.booleans()) if signs else False,
        "signed_b": draw(st.booleans()) if signs else False,
    }


def rows_of(draw, o):
    return tuple(draw(st.lists(st.integers(0, 2 ** o["width_b"] - 1), min_size=o["width_a"], max_size=o["width_a"])))


@st.composite
def signed_families(draw):
    o = operand_fields(draw)
    kind = draw(st.sampled_from(["booth", "or", "comp"]))
    if kind == "booth":
        return Booth(**o)
    rows = rows_of(draw, o)
    assume(any(rows))
    if kind == "or":
        columns = draw(st.sets(st.integers(0, o["width_a"] + o["width_b"] - 2)))
        return OrCompressed(rows=rows, or_columns=tuple(columns), **o)
    dropped = [
        (-1 if (o["signed_a"] and i == o["width_a"] - 1) != (o["signed_b"] and j == o["width_b"] - 1) else 1) << (i + j)
        for i, row in enumerate(rows)
        for j in range(o["width_b"])
        if not row >> j & 1
    ]
    low, high = sum(w for w in dropped if w < 0), sum(w for w in dropped if w > 0)
    return Compensated(rows=rows, constant=draw(st.integers(low, high)), gated=draw(st.booleans()), **o)


@st.composite
def unsigned_families(draw):
    o = operand_fields(draw, signs=False)
    widest = max(o["width_a"], o["width_b"])
    kind = draw(st.sampled_from([Drum, StaticSegment, Mitchell, Roba, Kulkarni, LowerOr, Compressed]))
    if kind in (Roba, Kulkarni):
        return kind(**o)
    if kind is Drum:
        return Drum(bits=draw(st.integers(2, widest)), **o)
    if kind is StaticSegment:
        return StaticSegment(bits=draw(st.integers(max(2, -(-widest // 2)), widest)), **o)
    if kind is Mitchell:
        return Mitchell(bits=draw(st.integers(2, widest)), unbias=draw(st.booleans()), **o)
    if kind is LowerOr:
        return LowerOr(lower=draw(st.integers(o["width_a"] // 2 + 1, max(widest, o["width_a"] // 2 + 1))), **o)
    columns = draw(st.integers(1, o["width_a"] + o["width_b"] - 1))
    return Compressed(compressor=draw(st.sampled_from(["momeni", "yang"])), columns=columns, **o)


@st.composite
def any_family(draw):
    if draw(st.booleans()):
        return draw(signed_families())
    core = draw(unsigned_families())
    signed_a, signed_b = draw(st.sampled_from(SIGNS))
    if not (signed_a or signed_b):
        return core
    return SignMagnitude(
        core=core, signed_a=signed_a, signed_b=signed_b, negation=draw(st.sampled_from(["true", "ones"]))
    )


@settings(max_examples=150, deadline=None)
@given(any_family(), st.integers(0, 2**32))
def test_golden_is_the_datapath_at_any_width(multiplier, seed):
    a, b = some_pairs(multiplier, 25, seed)
    [products] = simulate([multiplier.create()], a, b)
    assert products.tolist() == multiplier.golden(a, b).tolist()
    assert parse(multiplier.name) == multiplier


WIDE = [
    Booth(width_a=32, width_b=32, signed_a=True, signed_b=True),
    OrCompressed.of_columns(range(63), width_a=32, width_b=32),
    Kulkarni(width_a=32, width_b=31),
    Drum(bits=6, width_a=32, width_b=32),
    StaticSegment(bits=16, width_a=32, width_b=32),
    Mitchell(bits=32, width_a=32, width_b=32),
    Mitchell(bits=8, unbias=True, width_a=32, width_b=16),
    Roba(width_a=32, width_b=31),
    LowerOr(lower=20, width_a=32, width_b=32),
    Compressed(compressor="yang", columns=32, width_a=32, width_b=32),
    SignMagnitude(core=Drum(bits=4, width_a=32, width_b=32), signed_a=True, signed_b=True),
]


@pytest.mark.parametrize("multiplier", WIDE, ids=lambda m: m.name)
def test_widest_operands(multiplier):
    """Products beyond 63 bits: the golden model counts in Python integers."""
    numbers = random.Random(1)
    (low_a, high_a), (low_b, high_b) = multiplier.range_a, multiplier.range_b
    a = [low_a, low_a, high_a, high_a] + [numbers.randint(low_a, high_a) for _ in range(8)]
    b = [low_b, high_b, low_b, high_b] + [numbers.randint(low_b, high_b) for _ in range(8)]
    a, b = np.array(a, dtype=object), np.array(b, dtype=object)
    [products] = simulate([multiplier.create()], a, b)
    assert products.tolist() == multiplier.golden(a, b).tolist()


# Structure


@pytest.mark.parametrize(
    "multiplier", [m for m in MULTIPLIERS if isinstance(m, EncodedMultiplier)], ids=lambda m: m.name
)
def test_encoding_each_operand_once_gives_the_same_product(multiplier):
    """An array registers the codes; through the registers' layouts nothing is lost."""
    from amaranth.hdl import Module, Signal
    from amaranth.sim import Simulator

    from amhw.bitheap import compress

    m = Module()
    a, b = Signal(multiplier.shape_a), Signal(multiplier.shape_b)
    code_a, code_b = Signal(multiplier.layout_a), Signal(multiplier.layout_b)
    p = Signal(multiplier.shape_p)
    m.d.sync += [code_a.eq(multiplier.encode_a(m, a)), code_b.eq(multiplier.encode_b(m, b))]
    m.d.comb += p.eq(compress(m, multiplier.combine(m, code_a, code_b), len(p)))
    values_a, values_b = some_pairs(multiplier, 30)
    found = []

    async def drive(ctx):
        for x, y in zip(values_a.tolist(), values_b.tolist(), strict=True):
            ctx.set(a, x)
            ctx.set(b, y)
            await ctx.tick()
            found.append(ctx.get(p))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert found == multiplier.golden(values_a, values_b).tolist()


@pytest.mark.parametrize("multiplier", MULTIPLIERS[:21], ids=lambda m: m.name)
def test_heap_is_right_beyond_the_products_width(multiplier):
    """A processing element adds the product to a wider sum: every bit above must be the sign."""
    from amaranth.hdl import Module, Signal, signed
    from amaranth.sim import Simulator

    from amhw.bitheap import compress

    m = Module()
    a, b = Signal(multiplier.shape_a), Signal(multiplier.shape_b)
    total = Signal(signed(24))
    m.d.comb += total.eq(compress(m, multiplier.heap(m, a, b), 24))
    values_a, values_b = some_pairs(multiplier, 30)
    found = []

    async def drive(ctx):
        for x, y in zip(values_a.tolist(), values_b.tolist(), strict=True):
            ctx.set(a, x)
            ctx.set(b, y)
            found.append(ctx.get(total))

    simulator = Simulator(m)
    simulator.add_testbench(drive)
    simulator.run()
    assert found == multiplier.golden(values_a, values_b).tolist()


def test_every_public_family_is_in_the_catalogue():
    shown = {type(m) for m in MULTIPLIERS} | {type(getattr(m, "core", None)) for m in MULTIPLIERS}
    public = {getattr(amhw.families, name) for name in amhw.families.__all__}
    families = {c for c in public if isinstance(c, type) and issubclass(c, Multiplier) and hasattr(c, "keyword")}
    # One bit is no approximation of a product of many: it has tests of its own.
    assert families <= shown | {amhw.families.Signs}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Drum(bits=1, width_a=8, width_b=8), "2 to 8"),
        (lambda: Drum(bits=9, width_a=8, width_b=8), "2 to 8"),
        (lambda: Drum(bits=4, width_a=8, width_b=8, signed_b=True), "mul_u8s8_sm_drum_4"),
        (lambda: StaticSegment(bits=3, width_a=8, width_b=8), "4 to 8"),
        (lambda: Mitchell(bits=1, width_a=8, width_b=8), "2 to 8"),
        (lambda: Mitchell(bits=8, width_a=8, width_b=8, signed_a=True), "mul_s8u8_sm_mitchell_8"),
        (lambda: Roba(width_a=8, width_b=8, signed_a=True), "mul_s8u8_sm_roba"),
        (lambda: Kulkarni(width_a=8, width_b=8, signed_a=True), "mul_s8u8_sm_kulkarni"),
        (lambda: LowerOr(lower=4, width_a=8, width_b=8), "5 to 8"),
        (lambda: LowerOr(lower=8, width_a=8, width_b=8, signed_b=True), "mul_u8s8_sm_loa_8"),
        (lambda: Compressed(compressor="momeni", columns=16, width_a=8, width_b=8), "1 to 15"),
        (lambda: Compressed(compressor="nobody", columns=8, width_a=8, width_b=8), "momeni, yang"),
        (lambda: OrCompressed.of_columns([15], width_a=8, width_b=8), "0 to 14"),
        (lambda: OrCompressed.of_columns([1], [0] * 8, width_a=8, width_b=8), "no partial product"),
        (lambda: SignMagnitude(core=Masked.exact(8, 8)), "signed_a"),
        (lambda: SignMagnitude(core=Masked.exact(8, 8, signed_b=True), signed_b=True), "signed operands"),
        (lambda: SignMagnitude(core=Masked.exact(8, 8), signed_b=True, negation="two"), "true, ones"),
        (lambda: Compensated(rows=(255,) * 8, constant=1, width_a=8, width_b=8), "0 to 0"),
        (lambda: amhw.families.broken_array(8, 0, width_a=8, width_b=8), "0 to 7"),
        (lambda: amhw.families.perforated({8}, width_a=8, width_b=8), "bits 0 to 7"),
        (lambda: parse("mul_u8u8_drum_04"), "number of bits"),
        (lambda: parse("mul_u8u8_mitchell_six"), "Mitchell"),
        (lambda: parse("mul_u8u8_roba_2"), "no parameters"),
        (lambda: parse("mul_u8s8_sm_nothing_4"), "unknown family"),
        (lambda: parse("mul_u8u8_or_ffff_full"), "0 to 14"),
        (lambda: parse("mul_u8u8_or_7fff_full"), "mul_u8u8_or_3ffe_full"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, words):
    with pytest.raises(Refusal) as refusal:
        make()
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
