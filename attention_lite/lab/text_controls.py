"""Foreign gates changed in one thing at a time on the pictures with text: how many words are found, made and stored.

`python -m attention_lite.lab text-gates` makes the file; a test answers a sample of it anew.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from attention_lite.lab import photographs, pretrained, printed
from attention_lite.lab.files import read_results, write_whole
from attention_lite.lab.text_answers import stored as stored_answers
from attention_lite.lab.text_gates import (
    KIN,
    SIDE,
    STAGES,
    TEXT,
    TEXTS,
    Gates,
    at_level,
    book_pictures,
    iou,
    levelled,
    look,
    shuffled,
    with_random_zeros,
    with_zeros,
    with_zeros_alike,
    words_found,
)

FILE = Path(__file__).parent / "text_controls.json"
DONORS = ("cat", "cup")  # the two whose gates lose most words
DRAWS = 8
ONES = ("temple", "astronaut", "flower", "cat", "cup", "mean of the rest", "own, one a block", "all ½", "all 1")

Row = dict[str, str | int | float]


def gates(picture: str, own: dict[str, Gates]) -> Iterator[tuple[str, str, int, Gates]]:
    """What `picture` is given: whose, how it is changed, which draw, and the gates; the neck's are as they are.

    Args:
        picture: one of TEXTS.
        own: each picture's own gates.
    """
    mine, place = own[picture], DRAWS * TEXTS.index(picture)       # no draw is used twice
    for k in range(DRAWS):
        yield picture, "shuffled", k, shuffled(mine, k)
    for donor in DONORS:
        theirs = own[donor]
        yield donor, "as they are", 0, theirs
        yield donor, "its zeros put back", 0, with_zeros(theirs, mine)
        yield donor, "zeros of its kind", 0, with_zeros(theirs, own[KIN[picture][0]])
        for k in range(DRAWS):
            yield donor, "random zeros", k, with_random_zeros(theirs, mine, place + k)
            yield donor, "zeros as open", k, with_zeros_alike(theirs, mine, place + k)
        yield donor, "one a block", 0, levelled(theirs)
        yield donor, "one a block, its zeros", 0, with_zeros(levelled(theirs), mine)
        yield donor, "its own, opened", 0, {name: s.where(s > 0, theirs[name]) if name.startswith(STAGES) else s
                                            for name, s in mine.items()}
        yield donor, "at its level", 0, at_level(theirs, mine)
        yield donor, "its own, at their level", 0, at_level(mine, theirs)
        yield donor, "in the stages alone", 0, {name: s for name, s in theirs.items() if name.startswith(STAGES)}
        yield donor, "in the neck alone", 0, {name: s for name, s in theirs.items() if not name.startswith(STAGES)}


def rows(pictures: tuple[str, ...] = TEXTS) -> Iterator[Row]:
    """A row for each picture and each of `gates`: words found, of how many, IoU with its own map, share that is text.

    Raises:
        ValueError: if the weights are missing (see `read_weights`).
    """
    net = pretrained.text_detector()
    x = {name: photographs.picture(picture, SIDE) for name, picture in book_pictures().items()}
    seen = {name: look(net, picture) for name, picture in x.items()}
    for name in pictures:
        words = printed.words_of(name)
        for whose, how, draw, forced in gates(name, {name: own for name, (_, own) in seen.items()}):
            text = look(net, x[name], forced)[0]
            yield {"picture": name, "whose": whose, "gates": how, "draw": draw, "words": words_found(text, words),
                   "of": len(words), "iou": round(iou(text, seen[name][0]), 4),
                   "text": round((text > TEXT).float().mean().item(), 4)}


def save(found: list[Row], file: Path = FILE) -> None:
    """Write the rows, a line each; whole or not at all."""
    lines = ",\n".join(json.dumps(row) for row in found)
    write_whole(file, f'{{"rows": [\n{lines}\n]}}\n'.encode())


def stored(file: Path = FILE) -> list[Row]:
    """The rows that `rows` gave, without running the network.

    Raises:
        ValueError: if there is no such file, or it is none of these.
    """
    return read_results(file, "python -m attention_lite.lab text-gates")["rows"]


def by_source(whose: str, how: tuple[str, ...], score: str) -> dict[str, dict[str, list[float]]]:
    """Scores of the stored rows, {picture: {gates: [a value a draw]}}: "words", as a share, or "iou"."""
    kept = stored()
    return {name: {gates: [row["words"] / row["of"] if score == "words" else row["iou"] for row in kept
                           if (row["picture"], row["gates"]) == (name, gates) and row["whose"] in (whose, name)]
                   for gates in how} for name in TEXTS}


def by_donor(score: str) -> dict[str, dict[str, list[float]]]:
    """The same of the stored answers, {picture: {source: [a value each]}}: under others' gates, and some that are MADE.

    Its own gates, shuffled, have a value a draw.
    """
    answers, drawn = stored_answers(), by_source("", ("shuffled",), score)

    def of(name: str, source: str) -> float:
        found, words = answers.words(name, source)
        return found / words if score == "words" else answers.iou(name, source)

    return {name: {"same kind": [of(name, kin)],
                   "other text": [of(name, other) for other in TEXTS if other not in (name, kin)],
                   **{source: [of(name, source)] for source in ONES}, "own, shuffled": drawn[name]["shuffled"]}
            for name in TEXTS for kin in KIN[name][:1]}
