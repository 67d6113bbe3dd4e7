"""Checks of the exercises of chapter 02, efficient channel attention."""

import math

from attention_lite.eca import adaptive_kernel_size
from attention_lite.exercises import Wrong, choose, exercise, formula, indices

_FLIP = {
    "a": "every channel keeps its two neighbours, but they change sides: what stood before it now stands after it. "
         "Which weight does each of them meet?",
    "b": "think of a kernel such as (1, 2, 1). Does it notice from which side it is read?",
    "d": "a large middle weight makes the change small. Still the outer weights are exchanged: when is that nothing?",
}
_CRITICISE = {
    "a": "a wider kernel would reach further along the same line of numbers. What is the line itself worth?",
    "c": "without a sigmoid each number would still come from the same k channels. The claim is about which ones.",
    "d": "true of every squeeze, SE's too, and it says nothing about which channels are neighbours.",
}


@exercise("eca-flip")
def check_flip(answer) -> None:
    """A letter: when reversing all channels leaves a network with ECA as it was."""
    choose(answer, "c", _FLIP)


@exercise("eca-criticise")
def check_criticise(answer) -> None:
    """A letter: what is wrong with calling ECA's neighbours similar."""
    choose(answer, "b", _CRITICISE)


@exercise("eca-ring")
def check_ring(gates) -> None:
    """Numbers of the gates that can change once the line of 48 channels is closed to a ring; k is 3."""
    chosen = indices(gates, 48, "gates")
    if chosen == [0, 47]:
        return
    if len(chosen) == 48:
        raise Wrong("most channels keep both neighbours, and all weights stay. Which gates hear something that they "
                    "did not hear before?")
    if chosen in ([0], [47]):
        raise Wrong("that end hears the other one now. And the other end?")
    if chosen == [0, 1, 46, 47]:
        raise Wrong("so it would be with two neighbours on each side. With k = 3, whom does gate 1 hear?")
    if not chosen:
        raise Wrong("something changes: what stood beyond the last channel was nothing, and now it is channel 0.")
    if {0, 47} <= set(chosen):
        raise Wrong(f"gate {next(c for c in chosen if 0 < c < 47)} hears its left neighbour, itself and its right one, "
                    "as before.")
    raise Wrong("the line was cut between channels 47 and 0. Which gates hear across this cut?")


def _t(C: int) -> float:
    return (math.log2(C) + 1) / 2


def _odd(t: float) -> int:
    """The odd number nearest to t, at a tie the larger."""
    return 2 * math.floor(t / 2) + 1


formula(
    "eca-kernel", "C", [(c,) for c in (48, 64, 128, 200, 256, 512, 1024, 2048, 2500, 4, 40000, 300000)],
    adaptive_kernel_size, {
        "a kernel must be odd: you round to the nearest whole number, odd or even.": lambda C: round(_t(C)),
        "a kernel must be odd: you cut t off to a whole number.": lambda C: int(_t(C)),
        "a kernel is a whole, odd number: that is t itself.": _t,
        "is the logarithm to the base 2?": lambda C: _odd((math.log(C) + 1) / 2),
        "is the logarithm to the base 2? Yours is to the base 10.": lambda C: _odd((math.log10(C) + 1) / 2),
        "did you add b before you divided by γ? Or round to a whole number first, and an even one down?":
            lambda C: _odd(math.log2(C) / 2),
        "did you divide b by γ, too? Or round to a whole number first, and an even one up? The odd number nearest to t "
        "itself is asked for.": lambda C: _odd(math.log2(C) / 2 + 1),
        "you do not divide by γ.": lambda C: _odd(math.log2(C) + 1),
        "you always round down. The nearest odd number may lie above.": lambda C: 2 * math.floor((_t(C) - 1) / 2) + 1,
        "you always round up. The nearest odd number may lie below.": lambda C: 2 * math.ceil((_t(C) - 1) / 2) + 1,
        "at a tie the larger odd number is taken.": lambda C: 2 * math.ceil(_t(C) / 2) - 1,
        "Python's round takes a tie to the even side, once up and once down; here a tie goes up.":
            lambda C: 2 * round((_t(C) - 1) / 2) + 1,
        "the formula has no smallest size: narrow layers get a kernel of 1.": lambda C: max(3, _odd(_t(C))),
        "the formula has no largest size: very wide layers get more than 7.": lambda C: min(7, _odd(_t(C))),
        "that size is right for some widths only. It grows with C.": lambda C: 3,
    }, "Work out t = (log₂ C + b) / γ first, by hand: which odd number is nearest?")
