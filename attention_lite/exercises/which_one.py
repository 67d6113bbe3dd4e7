"""Checks of the closing chapter's exercises: what each block costs, and what five trainings tell."""

import math
import statistics

from attention_lite.exercises import Wrong, choose, close, exercise, formula, number, shown

REACH = 225 / 4096                # of ContextNet before its head: 15 × 15 of 64 × 64 pixels


@exercise("which-reach")
def check_reach(answer) -> None:
    """The share of the pixels that a unit of context gating's network hears without a block."""
    wrong = {
        225: "225 is the number of pixels. The share is that of all 64 × 64.",
        15 / 64: "15 / 64 is the share of a side. Pixels lie in a square.",
        15: "15 is the side of the window, in pixels. What is its share of the picture?",
        1: "1 is what a unit hears with a block that looks at the whole picture. Take the model \"none\".",
        169 / 2304: "that is the network of cued search. Take the task \"context-gating\".",
        49 / 4096: "7 × 7 pixels is what reaches the block. Go on to the last map: the tail sees more.",
        100 * REACH: "that is per cent. The share itself lies between 0 and 1.",
        1 - REACH: "those are the pixels that do not move it. The others are asked for.",
        REACH / 3: "a pixel has three colours, and counts once: divide by 64 × 64, not by three times as much.",
        3 * REACH: "a pixel has three colours, and counts once: you count each of them.",
        225 / 48**2: "context gating's pictures have 64 × 64 pixels, not 48 × 48.",
        1 / 256: "that is one place of the last map. Each convolution looks beyond its own place.",
        1 / 4096: "that is one pixel. The unit looks at a whole window of them.",
        0: "some pixels do move it: a unit looks at what its convolutions reach. Does your picture need a gradient?",
        3 / 4: "that is the share of the frame's ring. Which pixels reach the unit?",
        0.05: "that is rounded too far: give three digits.",
    }
    share = number(answer)
    if not close(share, REACH, 0.002):           # 0.055 is right, 224 pixels are not
        known = next((words for value, words in wrong.items() if close(share, value, 1e-3)), None) or _window(share)
        raise Wrong(f"you get {shown(share)}: " + (
            known or "stem, block and tail in a row, the unit in the middle, and the share of the pixels whose "
                     "gradient is not zero."))


def _window(share: float) -> str | None:
    """What to say of a share that is a square window of the wrong side."""
    side = round(64 * abs(share) ** 0.5)
    if not 0 < share < 1 or not close(share, (side / 64) ** 2, 1e-3):
        return None
    size = "small" if side < 15 else "large"
    return f"that is a window of {side} × {side} pixels, which is too {size}. Ask the gradient."


formula(
    "cost-pairs", "d s", [(64, 1), (64, 2), (96, 4), (48, 3)],
    lambda d, s: d * (s * s + 1), {
        "you let keys and values be projected at all N places. They are shrunken first, to N / s².":
            lambda d, s: 2 * d * s * s,
        "the map shrinks by s in both directions, so keys and values have N / s² places, not N / s.":
            lambda d, s: d * (s + 1),
        "that is self-attention. For s > 1 keys and values are fewer.": lambda d, s: 2 * d,
        "you count only two of the projections: keys and values are projected as well.": lambda d, s: d * s * s,
        "you count only two of the projections: queries and output are projected as well.": lambda d, s: d,
        "you count one projection at the N places. There are two, the queries' and the output's.":
            lambda d, s: d * (s * s / 2 + 1),
        "you count one projection of the N / s² places. There are two: keys and values.":
            lambda d, s: d * (s * s + 0.5),
        "you count half of the projections: two at N places, two at N / s².": lambda d, s: d * (s * s + 1) / 2,
        "you count the operations of the projections double, 2 each for a multiplication and an addition, but not "
        "those of the pairs.": lambda d, s: 2 * d * (s * s + 1),
        "you count three projections, all at N places.": lambda d, s: 1.5 * d * s * s,
        "s is missing where the pairs are counted: they cost 2 N² d / s².": lambda d, s: d * (1 + 1 / s**2),
        "both sides have a factor N. Divide by it once: what is left is N itself.":
            lambda d, s: (d * (s * s + 1)) ** 0.5,
    }, "Set 2 N d² + 2 (N / s²) d² equal to 2 N² d / s², and solve for N.")


@exercise("cost-criticise")
def check_criticise(answer) -> None:
    """Which objection to a comparison is right."""
    choose(answer, "b", {
        "a": "MACs are counted for one image; a batch multiplies them all alike.",
        "c": "parameters are another column. The claim is about MACs, and it fails by itself.",
        "d": "what counts is what each block adds to its own base. Is it the same base?",
    })


_T = 2.776
formula(
    "compare-interval", "values", [([0.9, 0.91, 0.92, 0.93, 0.94],), ([0.95, 0.69, 0.92, 0.92, 0.89],),
                                   ([2.0, 2.0, 2.0, 2.0, 7.0],)],
    lambda v: _T * statistics.stdev(v) / math.sqrt(5), {
        "the sum of squares is divided by n − 1 = 4, not by n = 5.": lambda v: _T * statistics.pstdev(v) / math.sqrt(5),
        "divide by √n: the mean of five scatters less than one training.": lambda v: _T * statistics.stdev(v),
        "divide by √n, not by n.": lambda v: _T * statistics.stdev(v) / 5,
        "divide by √5, not by √4: it is in the variance that n − 1 stands.": lambda v: _T * statistics.stdev(v) / 2,
        "1.96 is for many trainings. For five, Student's t is 2.776.":
            lambda v: 1.96 * statistics.stdev(v) / math.sqrt(5),
        "1.96 is for many trainings: for five, Student's t is 2.776. And the sum of squares is divided by n − 1.":
            lambda v: 1.96 * statistics.pstdev(v) / math.sqrt(5),
        "2.571 is Student's t for six values. For five it is 2.776.":
            lambda v: 2.571 * statistics.stdev(v) / math.sqrt(5),
        "2.132 leaves 5 % on each side. For 95 % in the middle Student's t is 2.776.":
            lambda v: 2.132 * statistics.stdev(v) / math.sqrt(5),
        "that is twice as much: the whole width. (Or √n is missing, and the sum of squares divided by n.)":
            lambda v: 2 * _T * statistics.stdev(v) / math.sqrt(5),
        "that is half of the half width.": lambda v: _T * statistics.stdev(v) / math.sqrt(5) / 2,
        "that is the standard error. Multiply it by t = 2.776.": lambda v: statistics.stdev(v) / math.sqrt(5),
        "that is the spread s. Multiply it by t = 2.776 and divide by √n.": lambda v: statistics.stdev(v),
        "take the root of the variance before you use it.": lambda v: _T * statistics.variance(v) / math.sqrt(5),
        "that is half of the distance from the smallest to the largest. Compute t · s / √5.":
            lambda v: (max(v) - min(v)) / 2,
        "that is an end of the interval, the mean and the half width together.":
            lambda v: statistics.mean(v) + _T * statistics.stdev(v) / math.sqrt(5),
        "that is an end of the interval, the mean less the half width.":
            lambda v: statistics.mean(v) - _T * statistics.stdev(v) / math.sqrt(5),
    }, "Compute t · s / √5 with t = 2.776.", tolerance=1e-3)
