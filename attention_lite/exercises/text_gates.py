"""Checks of the exercises of chapter 13, whose gates a text reader needs."""

from collections.abc import KeysView
from functools import cache

import torch
from torch import Tensor

from attention_lite.exercises import (
    Wrong,
    ask,
    choose,
    close,
    exercise,
    number,
)

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
        score = number(ask(overlap, a, b))
        A, B = a > 0.3, b > 0.3
        both, either, first, second = (m.sum().item() for m in (A & B, A | B, A, B))
        if close(score, both / either, 1e-4):
            continue
        share = "a map that is text everywhere would score 1."
        wrong = {
            f"you divide by the places of the first map only. Then {share}": both / first,
            f"you divide by the places of the second map only. Then {share}": both / second,
            f"you divide by the places of the smaller text only. Then {share}": both / min(first, second),
            "you divide by the places of the larger text only. Divide by those that either map has.":
                both / max(first, second),
            "that is the share of places where the maps agree. On a photograph with little text, where both say no "
            "nearly everywhere, it is near 1 whatever they find.": (A == B).double().mean().item(),
            "you divide by all places of the map. Where little is text, it is near 0 whatever the maps find.":
                both / A.numel(),
            "your score is 2 · both / (first + second), known as Dice. It is a fair score, but not this one.":
                2 * both / (first + second),
            "you divide by the places of both maps together, and count those that they share twice.":
                both / (first + second),
            "you divide by the places on which the maps differ. Divide by those that either has, shared ones too.":
                both / max(either - both, 1),
            "that is one less the overlap: the share of text that the maps do not agree on.": 1 - both / either,
            "it is upside down: the shared places stand above, those of either below.": either / max(both, 1),
            "that is the number of shared places. Divide by those that either map has.": both,
            "the threshold is missing: you compare the probabilities themselves.":
                (torch.minimum(a, b).sum() / torch.maximum(a, b).sum()).item(),
            "the threshold is 0.3. Yours is 0.5.": _overlap_at(a, b, 0.5),
            "text is above the threshold. You take what is below.": ((~A & ~B).sum() / (~A | ~B).sum()).item(),
        }
        said = next((sentence for sentence, value in wrong.items() if close(score, value, 1e-4)), None)
        raise Wrong(said or f"for one pair of maps you get {score:.3f}, and {both} places of {either} is "
                            f"{both / either:.3f}.")


def _overlap_at(a: Tensor, b: Tensor, threshold: float) -> float:
    A, B = a > threshold, b > threshold
    return ((A & B).sum() / (A | B).sum()).item()


@exercise("gates-rescue")
def check_rescue(blocks) -> None:
    """Names of blocks that get their own gates back, so that the second page's text is found under the cat's others."""
    chosen = _names(blocks)
    found = _iou_with(tuple(chosen))
    if found < ENOUGH:
        those = f"{', '.join(chosen)} given back" if chosen else "no block given back"
        raise Wrong(f"with {those} the IoU is {found:.2f}, and {ENOUGH} is asked for.")
    if len(chosen) > FEWEST:
        raise Wrong(f"that brings the text back, with {len(chosen)} blocks. Fewer will do.")


def _names(blocks) -> list[str]:
    """The names of blocks in an answer, which may leave ".se" out; each once."""
    if isinstance(blocks, str):
        blocks = [blocks]
    if hasattr(blocks, "tolist"):
        blocks = blocks.tolist()
    if not isinstance(blocks, (list, tuple, set, frozenset, KeysView)):
        raise Wrong(f"expected a list of names of blocks, got {type(blocks).__name__}.")
    known = list(_gates()[0])
    names = [name if name in known else f"{name}.se" for name in map(str, blocks)]
    unknown = [str(block) for name, block in zip(names, blocks, strict=True) if name not in known]
    if unknown:
        raise Wrong(f"the detector has no block of the name {unknown[0]!r}. Its blocks: {', '.join(known)}.")
    return sorted(set(names))


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
