"""What there is in the FPGAs: facts of the ECP5 family.

Source: Lattice, "ECP5 and ECP5-5G Family Data Sheet", FPGA-DS-02012, table 1.1. nextpnr knows the 12F as the same die
as the 25F and would use all of it; what the data sheet promises counts here.
"""

from dataclasses import dataclass

from amhw.refusal import Refusal

BLOCK_BITS = 18432
"""Of a block RAM (sysMEM EBR)."""


@dataclass(frozen=True)
class Device:
    """One member of the family.

    Attributes:
        part: the vendor's name.
        option: nextpnr's.
        luts: of four inputs.
        block_rams: of `BLOCK_BITS` each.
        distributed_bits: that LUTs can hold, at most.
        dsps: multipliers of 18 × 18 bits.
    """

    part: str
    option: str
    luts: int
    block_rams: int
    distributed_bits: int
    dsps: int


DEVICES = {
    "ecp5-12k": Device("LFE5U-12F", "--12k", 12_000, 32, 97 << 10, 28),
    "ecp5-25k": Device("LFE5U-25F", "--25k", 24_000, 56, 194 << 10, 28),
    "ecp5-45k": Device("LFE5U-45F", "--45k", 44_000, 108, 351 << 10, 72),
    "ecp5-85k": Device("LFE5U-85F", "--85k", 84_000, 208, 669 << 10, 156),
}


def device_named(name: str) -> Device:
    """The device.

    >>> device_named("ecp5-25k").block_rams
    56

    Raises:
        Refusal: it is unknown.
    """
    if name not in DEVICES:
        raise Refusal(f"unknown device {name!r}; known: {', '.join(DEVICES)}")
    return DEVICES[name]


def check_bits(name: str, bits: dict[str, int]) -> None:
    """Refuse, before minutes of synthesis, what cannot fit: `bits` of each kind of memory.

    Raises:
        Refusal: they are more than block RAMs and LUTs can hold together.
    """
    device = device_named(name)
    most, wanted = device.block_rams * BLOCK_BITS + device.distributed_bits, sum(bits.values())
    if wanted > most:
        kinds = ", ".join(f"{count} of {kind}" for kind, count in sorted(bits.items(), key=lambda one: -one[1])[:2])
        fits = [other for other, each in DEVICES.items() if each.block_rams * BLOCK_BITS >= wanted]
        instead = f"; {fits[0]} has room" if fits else ""
        raise Refusal(f"{name} is too small: memories need {wanted} bits ({kinds}), and it has {most}{instead}")


def check_cells(name: str, luts: int, block_rams: int, dsps: int) -> None:
    """Refuse what does not fit.

    Raises:
        Refusal: it needs more of something than there is.
    """
    device = device_named(name)
    counts = {"LUTs": luts, "block RAMs": block_rams, "DSP blocks": dsps}
    there = {"LUTs": device.luts, "block RAMs": device.block_rams, "DSP blocks": device.dsps}
    if short := {kind: count for kind, count in counts.items() if count > there[kind]}:
        wanted = ", ".join(f"{count} {kind} of which it has {there[kind]}" for kind, count in short.items())
        raise Refusal(f"{name} is too small: the design needs {wanted}; take a greater device or fewer --cols")
