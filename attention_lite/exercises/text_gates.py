"""Checks of the exercises of chapter 13, gates that a text reader lives by."""

from functools import cache

import torch
from torch import Tensor

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, same

ENOUGH = 0.7             # of the second page's text, found again
FEWEST = 1               # blocks that bring back so much
_EXPLAIN = {
    "a": "it could: gates that are forced act as computed ones do. The page lost its text under the cat's.",
    "b": "gates need not sum to one, in this network or in any; what they say does not depend on it.",
    "d": "a larger network would have the same gap between what moves and what matters.",
}


@exercise("gates-overlap")
def check_overlap(overlap) -> None:
    """overlap(a, b): maps (h, w) in [0, 1] -> places above 0.3 on both over those above 0.3 on either."""
    for _ in range(3):
        a, b = torch.rand(9, 12), torch.rand(9, 12)
        b = torch.where(torch.rand(9, 12) < 0.4, a, b)
        score = call(overlap, a, b)
        expect_shape(score.squeeze(), (), "one number")
        A, B = a > 0.3, b > 0.3
        both, either = (A & B).sum().double(), (A | B).sum().double()
        if same(score.squeeze(), both / either):
            continue
        wrong = {
            "you divide by the places of the first map only. Then a map that is text everywhere would score 1.":
                both / A.sum(),
            "you divide by the places of the second map only. Then a map that is text everywhere would score 1.":
                both / B.sum(),
            "that is the share of places where the maps agree. On a photograph with little text, where both say no "
            "nearly everywhere, it is near 1 whatever they find.": (A == B).double().mean(),
            "your score is 2 · both / (first + second), known as Dice. It is a fair score, but not this one.":
                2 * both / (A.sum() + B.sum()),
            "the threshold is missing: you compare the probabilities themselves.":
                torch.minimum(a, b).sum().double() / torch.maximum(a, b).sum(),
        }
        for sentence, value in wrong.items():
            if same(score.squeeze(), value):
                raise Wrong(sentence)
        raise Wrong(f"for one pair of maps you get {score.item():.3f}, and {both:.0f} places of {either:.0f} is "
                    f"{(both / either).item():.3f}.")


@exercise("gates-level")
def check_level(level) -> None:
    """level(s, t): gates (C,), (C,) -> t times the one number that gives them the mean of s."""
    for channels in (6, 24):
        s, t = torch.rand(channels) * 0.5 + 0.3, torch.rand(channels) * 0.4 + 0.1
        got = call(level, s, t)
        expect_shape(got, (channels,), "(C,)")
        if same(got, t * s.mean() / t.mean()):
            continue
        wrong = {
            "you add a number to every gate. Closed gates then open, and the pattern is another.":
                t + s.mean() - t.mean(),
            "you bring s to the level of t. It is t, the foreign gates, that shall get the mean of s.":
                s * t.mean() / s.mean(),
            "the pattern is gone: all of your gates are the same.": s.mean().expand(channels),
            "your gates have the largest value of s, not its mean.": t * s.max() / t.max(),
            "you only divide by the mean of t, so the mean is 1. Multiply with the mean of s.": t / t.mean(),
        }
        for sentence, value in wrong.items():
            if same(got, value):
                raise Wrong(sentence)
        raise Wrong(f"the mean of your gates is {got.mean().item():.3f}, that of s {s.mean().item():.3f}; and the "
                    f"gates must still be to one another as those of t are.")


@exercise("gates-rescue")
def check_rescue(blocks) -> None:
    """Names of blocks that get their own gates back, so that the second page's text is found under the cat's others."""
    if isinstance(blocks, str):
        blocks = [blocks]
    if not isinstance(blocks, (list, tuple, set)):
        raise Wrong(f"expected a list of names of blocks, got {type(blocks).__name__}.")
    unknown = sorted(str(name) for name in blocks if name not in tuple(_gates()[0]))
    if unknown:
        raise Wrong(f"the detector has no block of the name {unknown[0]!r}. Its blocks: {', '.join(_gates()[0])}.")
    found = _iou_with(tuple(sorted(set(blocks))))
    if found < ENOUGH:
        raise Wrong(f"with those {len(set(blocks))} given back the IoU is {found:.2f}, and {ENOUGH} is asked for.")
    if len(set(blocks)) > FEWEST:
        raise Wrong(f"that brings the text back, with {len(set(blocks))} blocks. Fewer will do.")


@exercise("gates-explain")
def check_explain(answer) -> None:
    """A letter: what is wrong with an explanation by gates."""
    choose(answer, "c", _EXPLAIN)


@cache
def _gates() -> tuple[dict[str, Tensor], Tensor]:
    """The cat's gates, and the text map of the second page under its own."""
    from attention_lite.lab import text_gates

    (text, _), (_, cat) = (text_gates.look(_net(), _picture(name)) for name in ("page two", "cat"))
    return cat, text


def _iou_with(given_back: tuple[str, ...]) -> float:
    from attention_lite.lab import text_gates

    cat, text = _gates()
    forced = {name: s for name, s in cat.items() if name not in given_back}
    return text_gates.iou(text_gates.look(_net(), _picture("page two"), forced)[0], text)


@cache
def _net():
    from attention_lite.lab import pretrained

    return pretrained.text_detector()


@cache
def _picture(name: str) -> Tensor:
    from attention_lite.lab import photographs, text_gates

    return photographs.picture(text_gates.book_pictures()[name], text_gates.SIDE)
