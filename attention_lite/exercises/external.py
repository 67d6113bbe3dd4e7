"""Checks of the exercises of chapter 10, external attention."""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from attention_lite.exercises import (
    Wrong,
    call,
    choose,
    described,
    exercise,
    expect_shape,
    indices,
    number,
    same,
)

TASK, SCENE, SEED = "cued-search", 2, 9          # the chapter's scene: the third of six
AT_MOST = 2                                      # forged sums
Forged = tuple[tuple[int, float], ...]           # the number of a sum, and its log Z

_PLACES = {
    "a": "those say nothing for or against the ones that have learned, and these do read the old digit.",
    "c": "that is what the block is measured against. It is no objection to what the sums are said to hold.",
    "d": "so it is, and the sums are made of memory and picture. Which sums would mislead, if they told where?",
}


@exercise("external-loud")
def check_loud(choice) -> None:
    """What the double normalisation does when one token is multiplied by 10: "a", "b" or "c"."""
    choose(choice, "c", {
        "a": "rows sum to 1 whatever happens, but a row can change and still sum to 1. Its scores are ten times as "
             "large: is its row the same?",
        "b": "each column is a softmax over the places. What happens to the others' shares of a column when one place "
             "takes nearly all of it?"})


@exercise("external-sums")
def check_sums(read_with) -> None:
    """read_with(X, M_k, M_v, log_Z): tokens (N, d) read from memories (S, d) with the slots' log-sums (S,) given."""
    for n, d, s in ((5, 4, 3), (1, 3, 4), (6, 2, 5)):
        X, M_k, M_v = torch.randn(n, d), torch.randn(s, d), torch.randn(s, d)
        log_Z = 2 * torch.randn(s)
        result = call(read_with, X, M_k, M_v, log_Z)
        if tuple(result.shape) == (n, s) != (n, d):
            raise Wrong(f"your result has shape {(n, s)}: those are the weights. Average the rows of M_v with them.")
        expect_shape(result, (n, d), "(N, d)")
        L = X @ M_k.T
        wrongs = (
            (L.log_softmax(0).softmax(1), "you use the sums of these very tokens. Use those that are given: log_Z may "
                                          "come from another picture."),
            (L.softmax(1), "log_Z changes nothing in your result. Subtract it from the scores before the softmax over "
                           "the slots."),
            ((L + log_Z).softmax(1), "you add log_Z. Dividing by Z means subtracting its logarithm."),
            ((L / log_Z).softmax(1), "you divide the scores by log_Z. It is the exponentials that are divided by Z; "
                                     "what does that do to the exponents?"),
            (((L.exp() / log_Z) / (L.exp() / log_Z).sum(1, keepdim=True)), "you divide by log_Z, which is a logarithm. "
             "The exponentials are divided by Z itself: subtract log_Z from the scores."),
            (L.exp() / log_Z, "you divide by log_Z, which is a logarithm, and the rows do not sum to 1 yet."),
            ((L - log_Z).softmax(0), "your softmax runs over the places. Those sums are given; it is over the slots."),
            (L.softmax(0), "you make the sums over these places. Use those that are given, "
                                                        "and divide each row by its sum."),
            ((L - log_Z).exp().softmax(1), "you take the exponential twice: divide each row by its sum instead."),
            ((L - log_Z.exp()).softmax(1), "you subtract Z itself, not its logarithm."),
            ((L - log_Z).exp(), "your weights do not sum to 1 over the slots yet: the second division is missing."))
        if same(result, (L - log_Z).softmax(1) @ M_v):
            continue
        for A, sentence in wrongs:
            if same(result, A @ M_v):
                raise Wrong(sentence)
        raise Wrong(f"your output differs by up to {(result - (L - log_Z).softmax(1) @ M_v).abs().max():.2f}.")


@exercise("external-places")
def check_places(answer) -> None:
    """A letter: what is wrong with taking the sums for word of where the disc is."""
    choose(answer, "b", _PLACES)


@exercise("external-forge")
def check_forge(answer) -> None:
    """{number of a sum: log Z}, at most two: under a red disc the network reads the green digit."""
    if not isinstance(answer, dict):
        raise Wrong(f"expected a dictionary {{number of a sum: value}}, got {described(answer)}.")
    if not answer:
        raise Wrong("your dictionary is empty: no sum is set, and the network reads the red digit.")
    chosen = indices(list(answer), 128, "sums", "slot s of head m has the number 32 m + s")
    # As far as a 32-bit number goes.
    forged = tuple((int(number(key)), max(-1e30, min(float(number(value)), 1e30))) for key, value in answer.items())
    if len(chosen) > AT_MOST:
        raise Wrong(f"you set {len(chosen)} sums. {AT_MOST} will do: those that differ most between the discs.")
    (red, green, magenta), read = _read_with(forged)
    if read == magenta and all(abs(value - _sums()[2, place]) < 0.5 for place, value in forged):
        raise Wrong(f"the network reads the magenta {magenta} now: these sums speak of a magenta disc, not of a green "
                    "one.")
    if read != green and (why := _misread(forged, green)):
        raise Wrong(f"the network reads the {read}, not the green {green}. {why}")
    if read == red:
        raise Wrong(f"the network still reads the red {red}. Set a sum that jumps when the disc turns from red to "
                    "green, and set it as far as it jumps.")
    if read != green:
        raise Wrong(f"the network reads {read} now, and neither the red {red} nor the green {green}. Your sums speak "
                    "of another colour, or of none.")


def _misread(forged: Forged, green: int) -> str | None:
    """The usual slip in forged sums: they are the red disc's, or the green's once it is undone, or go elsewhere."""
    sums = _sums()
    if all(abs(value - sums[0, place]) < 0.05 for place, value in forged):
        return "Under the red disc your sums have these values already. Which do they have under the green one?"
    undone: list[tuple[str, Callable[[int, float], tuple[int, float]]]] = [
        ("You give Z itself. Its logarithm is asked for.", lambda n, v: (n, math.log(v) if v > 0 else v)),
        ("You give how far a sum moves. The value that it moves to is asked for.",
         lambda n, v: (n, v + float(sums[0, n]))),
        ("The sums are counted from 0.", lambda n, v: (n - 1, v)),
        ("The number of a sum is 32 × head + slot, not 4 × slot + head.", lambda n, v: (n % 4 * 32 + n // 4, v)),
    ]
    for sentence, undo in undone:
        meant = tuple(undo(place, value) for place, value in forged)
        if all(0 <= n < 128 and abs(v - sums[1, n]) < 1 for n, v in meant) and _read_with(meant)[1] == green:
            return sentence
    for place, value in forged:
        to_green, yours = (float(v - sums[0, place]) for v in (sums[1, place], value))
        if abs(to_green) < 0.5:
            return f"Sum {place} hardly differs between a red and a green disc. Set one that jumps."
        way, other = ("smaller", "larger") if to_green < 0 else ("larger", "smaller")
        if to_green * yours < 0:
            return f"Under a green disc sum {place} is {way} than under a red one; yours is {other}."
        if abs(yours) > 2 * abs(to_green):
            return f"Sum {place} should be {way} than under the red disc, but not by so much."
    return None


@torch.no_grad()
def _read_with(forged: Forged) -> tuple[list[int], int]:
    """The scene's digits, and what is read under the red disc with these log-sums."""
    from attention_lite.lab.experiments.sums import answers, log_sums, passed

    net, x, labels = _network()
    log_Z = log_sums(net, x).flatten(1)
    for place, value in forged:
        log_Z[0, place] = value
    return labels, int(answers(net, passed(net, x, log_Z.view(1, net.block.block.h, -1))))


@cache
@torch.no_grad()
def _sums() -> Tensor:
    """All sums of the scene under the red, the green and the magenta disc: (3, 128)."""
    from attention_lite.lab import CuedSearch, ask_for, pictures
    from attention_lite.lab.experiments.sums import log_sums

    scene = CuedSearch("test").sample(6, SEED)[SCENE:SCENE + 1]
    net = _network()[0]
    return torch.cat([log_sums(net, net.stem(pictures(ask_for(scene, digit)))).flatten(1) for digit in (0, 1, 2)])


@cache
@torch.no_grad()
def _network() -> tuple[nn.Module, Tensor, list[int]]:
    """The network that does best on validation scenes, its features of the scene, the digits' names."""
    from attention_lite.lab import RECIPES, CuedSearch, load_checkpoint, pictures

    found = [load_checkpoint(TASK, "external", seed) for seed in RECIPES[TASK].seeds_of("external")]
    net = max(found, key=lambda pair: pair[1]["validation_accuracy"])[0]
    scene = CuedSearch("test").sample(6, SEED)[SCENE:SCENE + 1]
    return net, net.stem(pictures(scene)), scene.label[0].tolist()
