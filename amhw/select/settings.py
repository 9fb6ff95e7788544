"""The numbers that a selection is steered by, each with its reason."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Round:
    """One search and what is made of what it finds.

    Attributes:
        proposed: multipliers that are synthesised with the quick recipe, spread over the search's Pareto front.
        fitted: of all so far, so many that fewest others dominate get networks.
        generations: of the evolution; without any, only what it would begin with is looked at.
    """

    proposed: int
    fitted: int
    generations: int = 60


@dataclass(frozen=True)
class Settings:
    """How a selection goes about it.

    Attributes:
        statistics_images: training images from which operands and the closed form are taken. Of a layer's windows
            20,000 are used at most; 500 images have 50,000 in the smaller of LeNet-5's convolutions.
        greedy: numbers of partial products for which the closed form gives a mask each, up to a quarter of an 8 × 8
            multiplier's, as seeds: the cost model would otherwise be fitted to rectangles alone.
        precisions: reduced precisions of up to so many bits of a and of b are seeds; larger ones cost more than a third
            of the exact multiplier, and the search may find them.
        rounds: the first one looks at known good shapes, the same for every seed, and learns from their networks what
            errors cost; the second one searches with that. Networks are two fifths of a selection's time
            (docs/selection.md).
        begun_with: one network in so many of the first round is made before the others, for a front within a minute.
        without_adder: after the first round so many masks of each number of products get networks that need no adder.
        largest_area: what is larger than so many times the smallest exact multiplier is not proposed in these rounds.
            With MNIST's digits LeNet-5 loses nothing at two thirds of it.
        wider: as long as every network loses more than the standard error of its loss, another round looks at what is
            up to twice as large.
        negligible_loss: a multiplier that loses no more of the judging images than this share (two of 4,000) loses
            nothing, and nothing larger is proposed afterwards.
        near: a multiplier is not synthesised by every recipe if another is no worse, smaller and faster by more than
            this share by the quick one.
        again: so many more rounds look for what meets demands that nothing met so far does.
        exchanged: of the masks with a given number of products, so many are improved by exchanging products.
        compared: of those, so many get networks, by which the best is chosen.
        assigned: multipliers of the Pareto front that layers may have, at most, when they may have several.
        assignments: of what multipliers they may have, so many ways get networks in each of `assigning` rounds for each
            kind of cost: none is better by predicted error and cost, and they are far from one another and from what is
            known; within limits of cost half of them have the least predicted error.
    """

    statistics_images: int = 500
    greedy: tuple[int, ...] = (4, 6, 8, 10, 12, 16)
    precisions: tuple[int, int] = (4, 5)
    rounds: tuple[Round, ...] = (Round(40, 20, generations=0), Round(60, 28))
    begun_with: int = 4
    without_adder: int = 2
    largest_area: float = 0.15
    wider: Round = Round(24, 8)
    negligible_loss: float = 0.0005
    near: float = 0.1
    again: int = 2
    exchanged: int = 3
    compared: int = 4
    assigned: int = 24
    assignments: int = 16
    assigning: int = 2


DEFAULTS = Settings()
"""What `amhw select` uses."""

WITHOUT_SEARCH = replace(
    DEFAULTS, rounds=DEFAULTS.rounds[:1], wider=replace(DEFAULTS.wider, generations=0), without_adder=0
)
"""What `amhw select --no-search` uses: known good shapes alone, no evolution."""
