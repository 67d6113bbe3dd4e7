"""Checks of the exercises of chapter 04, bottleneck attention (BAM)."""

from attention_lite.exercises import Wrong, choose, exercise, formula, indices

SIDE, DILATION, PLACE = 12, 4, (2, 3)      # of the map, of the two convolutions, and where a feature is changed

_BEST = {
    "a": "the share of the whole map differs from training to training just as much: the trouble is elsewhere.",
    "b": "it is a fair control for chance. The trouble is with the other side of the comparison.",
    "c": "true, but it holds for each map that is scored. It does not explain a difference between trainings.",
}


@exercise("bam-best")
def check_best(answer) -> None:
    """A letter: what speaks against a claim about one training's map."""
    choose(answer, "d", _BEST)


def _reached(steps: tuple[int, ...]) -> set[int]:
    """The places of the map that lie so many steps from PLACE, down and to the right."""
    rows, columns = ([v + step for step in steps if 0 <= v + step < SIDE] for v in PLACE)
    return {SIDE * i + j for i in rows for j in columns}


@exercise("bam-moves")
def check_moves(places) -> None:
    """Numbers of the places whose M_s moves when the features at PLACE change."""
    chosen = set(indices(places, SIDE * SIDE, "places", f"place (i, j) has the number {SIDE} i + j"))
    d, (i, j) = DILATION, PLACE
    right = _reached((-2 * d, -d, 0, d, 2 * d))
    if chosen == right:
        return
    slips = {
        "the dilated convolutions look to the sides, too: more places than this one see it.": _reached((0,)),
        "these are its neighbours. At dilation 4 the nine weights stand four places apart.": _reached((-1, 0, 1)),
        "these are the places around it. At dilation 4 the steps are four places long.": _reached((-2, -1, 0, 1, 2)),
        "that is one dilated convolution. There are two in a row, so two steps are possible.": _reached((-d, 0, d)),
        "the window reaches so far, but it is a sieve: only every fourth row and column is seen.":
            _reached(tuple(range(-2 * d, 2 * d + 1))),
        "all 144 cannot be: from row 2 in steps of four you never come to row 3.": set(range(SIDE * SIDE)),
        "rows and columns have changed places: place (i, j) has the number 12 i + j.":
            {SIDE * (v % SIDE) + v // SIDE for v in right},
        "you count rows and columns from 1. They begin at 0.": {SIDE * (v // SIDE - 1) + v % SIDE - 1 for v in right},
        "you number the places from 1. Place (0, 0) has the number 0.": {v + 1 for v in right},
        "the place itself moves, too: the nine weights have one in the middle.": right - _reached((0,)),
        "you step from row to row. The nine weights step from column to column, too.":
            {v for v in right if v % SIDE == j},
        "you step from column to column. The nine weights step from row to row, too.":
            {v for v in right if v // SIDE == i},
        "that is a cross. The nine weights step in rows and columns at once, so the corners are seen.":
            {v for v in right if v // SIDE == i or v % SIDE == j},
    }
    for sentence, wrong in slips.items():
        if chosen == wrong:
            raise Wrong(sentence)
    missing, idle = right - chosen, sorted(chosen - right)
    why = f" Place {divmod(idle[0], SIDE)} is one: steps of four do not lead there." if idle else ""
    if missing:
        raise Wrong(f"{len(missing)} of the places that move {'is' if len(missing) == 1 else 'are'} missing"
                    + (f", and {_stay(idle)}.{why}" if idle else ". Take up to two steps of four, slanting ones too."))
    raise Wrong(f"all that move are there, but {_stay(idle)} where {'it is' if len(idle) == 1 else 'they are'}.{why}")


def _stay(idle: list[int]) -> str:
    return f"{len(idle)} of yours {'stays' if len(idle) == 1 else 'stay'}"


formula(
    "bam-window", "n d", [(3, 4), (2, 4), (1, 1), (2, 1), (5, 7), (1, 3)],
    lambda n, d: 2 * n * d + 1, {
        "each layer reaches d steps to *either* side of a place.": lambda n, d: n * d + 1,
        "the place itself, in the middle, counts too.": lambda n, d: 2 * n * d,
        "the windows overlap: every further layer adds 2d places, not a whole window.": lambda n, d: n * (2 * d + 1),
        "the windows overlap: every further layer adds 2d places, not a whole kernel of 3.": lambda n, d: 3 * n * d,
        "reaches add up from layer to layer; they do not multiply.": lambda n, d: (2 * d + 1) ** n,
        "reaches add up from layer to layer; they do not multiply, and a 3 × 3 kernel is not three times as wide.":
            lambda n, d: 3 ** n,
        "that is the window at dilation 1.": lambda n, d: 2 * n + 1,
        "that is the window of one layer. Each further one reaches d steps further.": lambda n, d: 2 * d + 1,
        "you count the places that are seen at dilation 1. The question is how wide their window is.":
            lambda n, d: (2 * n + 1) ** 2,
        "you count all the places of the window. The question is how wide it is.": lambda n, d: (2 * n * d + 1) ** 2,
        "that is how far it reaches to one side. The window has two sides and a middle.": lambda n, d: n * d,
        "the first layer's dilation counts too.": lambda n, d: 2 * (n - 1) * d + 3,
    }, "Draw one row, and step back layer by layer.")

formula(
    "bam-rows", "H p d n", [(20, 2, 3, 3), (7, 1, 2, 3), (14, 4, 4, 2), (10, 0, 1, 1), (5, 3, 2, 2), (5, 1, 3, 2),
                            (30, 1, 4, 2), (3, 0, 2, 2)],
    lambda H, p, d, n: max(0, H + n * (2 * p - 2 * d)), {
        "that is the size with the padding p = d. Here it is another.": lambda H, p, d, n: H,
        "that is right at dilation 1. At dilation d a 3 × 3 kernel is 2d + 1 rows tall.":
            lambda H, p, d, n: H + n * (2 * p - 2),
        "that is right at dilation 1 alone. At dilation d a 3 × 3 kernel is 2d + 1 rows tall.":
            lambda H, p, d, n: max(0, H + n * (2 * p - 2)),
        "both count twice, above and below.": lambda H, p, d, n: H + n * (p - d),
        "padding and dilation both count twice, above and below.": lambda H, p, d, n: max(0, H + n * (p - d)),
        "the padding counts twice, above and below.": lambda H, p, d, n: max(0, H + n * (p - 2 * d)),
        "that is one convolution. The next one starts from what it leaves.": lambda H, p, d, n: H + 2 * p - 2 * d,
        "that is one convolution of the n. The next one starts from what it leaves.":
            lambda H, p, d, n: max(0, H + 2 * p - 2 * d),
        "fewer than no rows cannot come out: return 0.": lambda H, p, d, n: H + n * (2 * p - 2 * d),
        "every convolution pads, not the first alone.": lambda H, p, d, n: H + 2 * p - 2 * d * n,
        "each of the n convolutions pads, not the first alone.": lambda H, p, d, n: max(0, H + 2 * p - 2 * d * n),
        "a 3 × 3 kernel at dilation d is 2d + 1 rows tall, so each convolution takes 2d rows, not 2d + 1.":
            lambda H, p, d, n: max(0, H + n * (2 * p - 2 * d - 1)),
        "a 3 × 3 kernel at dilation d is 2d + 1 rows tall, not 3d.": lambda H, p, d, n: max(
            0, H + n * (2 * p - 3 * d + 1)),
        "the padding is missing: it adds p rows above and p below.": lambda H, p, d, n: max(0, H - 2 * d * n),
        "there is nothing to return 1 for: where no window fits, no row comes out.": lambda H, p, d, n: max(
            1, H + n * (2 * p - 2 * d)),
    }, "Each convolution turns H rows into H + 2p − 2d.")
