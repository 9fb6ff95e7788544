"""Demands in any combination, on figures that are known."""

import pytest

from amhw.refusal import Refusal
from amhw.select.demands import Demands
from amhw.select.request import Request
from amhw.select.solutions import Baseline, Solution, near_front, pareto_front
from amhw.stages.fitting import FittedNetwork
from amhw.stages.synthesis import Implementation

BASELINE = Baseline(Implementation("exact", "area", 100.0, 2000.0), Implementation("exact", "delay", 200.0, 1000.0))


def solution(name, loss, divergence, *netlists):
    """Netlists are (area ÷ exact, delay ÷ exact, energy ÷ exact)."""
    made = [Implementation(name, f"r{k}", 100 * area, 1000 * delay) for k, (area, delay, _) in enumerate(netlists)]
    energies = {each: energy for each, (*_, energy) in zip(made, netlists, strict=True)}
    fitted = FittedNetwork("", divergence, loss / 100, 0.001, {})
    return Solution((("conv1", name), ("conv2", name)), tuple(made), 0.0, fitted, energies=energies)


SMALL = solution("mul_u8s8_pp_0_0_0_0_0_0_0_c0", 0.8, 0.03, (0.01, 0.17, 0.02), (0.02, 0.11, 0.03))
MIDDLE = solution("mul_u8s8_pp_0_0_0_0_0_0_c0_c0", 0.2, 0.006, (0.028, 0.31, 0.04), (0.030, 0.22, 0.06))
LARGE = solution("mul_u8s8_pp_0_0_0_0_0_0_f0_f0", 0.05, 0.002, (0.1, 0.4, 0.11), (0.15, 0.3, 0.14))
EVERY = [LARGE, SMALL, MIDDLE]


def test_a_loss_within_its_standard_error_is_none_that_could_be_measured():
    """The standard error is 0.1 points."""
    assert LARGE.within_its_error and not MIDDLE.within_its_error
    assert solution("mul_u8s8_pp_full", -0.2, 0.001, (1, 1, 1)).within_its_error


@pytest.mark.parametrize(
    ("demands", "name", "recipe"),
    [
        (Demands(max_loss=0.5), MIDDLE, "r0"),
        (Demands(max_loss=0.5, max_delay_ratio=0.25), MIDDLE, "r1"),
        (Demands(max_loss=1, max_delay_ratio=0.15), SMALL, "r1"),
        (Demands(max_area_ratio=0.12), LARGE, "r0"),
        (Demands(max_area_ratio=0.2, max_delay_ratio=0.3), LARGE, "r1"),
        (Demands(max_energy_ratio=0.05), MIDDLE, "r0"),
        (Demands(max_energy_ratio=0.05, max_delay_ratio=0.25), SMALL, "r0"),
        (Demands(0.5, 0.04, 0.25, 0.07), MIDDLE, "r1"),
    ],
)
def test_one_netlist_meets_all_demands_at_once(demands, name, recipe):
    found, netlist = Request(demands=demands).chosen(EVERY, BASELINE)
    assert found is name and netlist.recipe == recipe


@pytest.mark.parametrize(
    ("demands", "said"),
    [
        (Demands(0.5, 0.02), f"the nearest is {MIDDLE.name} with 0.20 points lost on training images, area 0.0280 (0"),
        (Demands(0.01), f"the nearest is {LARGE.name} with 0.05 points lost on training images (0.04 too much)"),
        (Demands(0.5, None, 0.2), f"{MIDDLE.name} with 0.20 points lost on training images, delay 0.2200 (0.0200"),
    ],
)  # fmt: skip
def test_what_cannot_be_met_names_the_nearest_and_by_how_much_it_misses(demands, said):
    with pytest.raises(Refusal) as refused:
        Request(demands=demands).chosen(EVERY, BASELINE)
    assert str(refused.value).startswith(str(demands)) and said in str(refused.value)


@pytest.mark.parametrize("lost", range(1, 60))
def test_what_loses_just_the_limit_meets_it(lost):
    """So many of 4,000 images, and not one more."""
    one = solution(SMALL.name, 100 * (lost / 4000), 0.03, (0.01, 0.17, 0.02))
    assert Request(demands=Demands(max_loss=lost / 40)).chosen([one], BASELINE)[0] is one
    with pytest.raises(Refusal, match="too much"):
        Request(demands=Demands(max_loss=(lost - 1) / 40)).chosen([one], BASELINE)


def test_small_limits_of_ratios_count_in_full():
    """Of two that miss, the nearest in proportion: only points count from a hundredth on."""
    demands = Demands(max_area_ratio=0.001, max_delay_ratio=0.01)
    assert demands.excess({"max_area_ratio": 0.004, "max_delay_ratio": 0.02}) == pytest.approx(4)
    assert Demands(max_loss=0).excess({"max_loss": 0.05}) == pytest.approx(5)


def test_what_meets_a_demand_is_fine_tuned_though_the_front_dominates_it():
    """Fine-tuning may turn the order round."""

    class Found:
        """A selection that is done; training on changes nothing."""

        fine_tune = score = staticmethod(list)

        def front(self, demands):
            return [*EVERY, dominated]

    dominated = solution("mul_u8s8_pp_0_0_0_0_0_0_80_c0", 0.9, 0.031, (0.011, 0.18, 0.02))
    assert dominated not in pareto_front([*EVERY, dominated])
    assert dominated in Request(demands=Demands(max_loss=1), finetune=True).solutions(Found())


def test_near_the_front_is_what_nothing_better_beats_by_far():
    """In area and delay at once, by a tenth; what is worse in loss or divergence beats nothing."""
    near = solution("near", 0.3, 0.01, (0.030, 0.33, 0), (0.05, 0.5, 0))
    far = solution("far", 0.3, 0.01, (0.032, 0.35, 0), (0.05, 0.5, 0))
    lucky = solution("lucky", 0.15, 0.01, (0.05, 0.5, 0))
    every = [*EVERY, near, far, lucky]
    assert near_front(every, 0.1) == [*EVERY, near, lucky]
    assert near_front(every, 0.2) == every
    assert set(pareto_front(every)) <= set(near_front(every, 0.001))


def test_an_energy_that_was_not_counted_meets_nothing():
    bare = Solution(SMALL.multipliers, SMALL.implementations, 0.0, SMALL.fitted)
    demands = Demands(max_energy_ratio=1)
    assert not demands.met_by(demands.figures(bare, bare.smallest, BASELINE))


def test_the_command_says_what_is_wrong_before_any_work():
    assert not Demands() and Demands(max_loss=0)
    assert str(Demands(0.2, max_delay_ratio=0.25)) == "--max-loss 0.2 --max-delay-ratio 0.25"
    with pytest.raises(Refusal, match="an energy is positive"):
        Demands(max_energy_ratio=0)
