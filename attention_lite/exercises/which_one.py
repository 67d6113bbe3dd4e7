"""Checks of the closing chapter's exercises: what each block costs, and what five trainings tell."""

import math
import statistics

from attention_lite.checks import plain
from attention_lite.exercises import Wrong, choose, exercise


@exercise("cost-eca")
def check_eca(answer) -> None:
    """The parameters that ECA adds to ResNet-50 with the paper's adaptive kernel."""
    answer = plain(answer)
    if isinstance(answer, bool) or not isinstance(answer, (int, float)):
        raise Wrong(f"expected a number, got {type(answer).__name__}.")
    wrong = {
        80: "80 comes out with a kernel of 3 in the first stage, or of 5 in the last. The formula gives neither.",
        22: "that is one block a stage. The stages have 3, 4, 6 and 3 blocks.",
        74: "a tie between two odd numbers goes up, not down, and 4.5 is nearest to 5.",
    }
    if answer != 86:
        raise Wrong(f"you count {answer}: " + wrong.get(
            answer, "add n · k over the four stages, with n = 3, 4, 6, 3 and k from log₂ of 256, 512, 1024, 2048."))


@exercise("cost-cbam")
def check_cbam(count) -> None:
    """count(C, r, k): the parameters of CBAM by its paper's equations."""
    for C, r, k in ((256, 16, 7), (64, 8, 3), (512, 4, 5)):
        n = _number(count, C, r, k)
        mlp, conv = 2 * C * C // r, 2 * k * k
        if n == mlp + conv:
            continue
        wrong = {
            mlp + k * k: "the convolution reads two maps, the mean and the maximum over channels: it has 2 k² weights.",
            2 * mlp + conv: "you count an MLP for each pool. Both pools share one.",
            mlp: "you forget the spatial gate's convolution.",
            conv: "you forget the channel gate's MLP.",
            mlp + conv + C + C // r: "you count biases. The equations have none.",
            mlp + conv + 1: "you count a bias of the convolution. The equations have none.",
            C * C // r + conv: "you count one of the MLP's two matrices.",
            mlp + 2 * C * k * k: "the convolution reads the two pooled maps, not all C channels.",
        }
        raise Wrong(f"for C = {C}, r = {r}, k = {k} you count {n}: "
                    + wrong.get(n, f"the MLP holds {mlp} weights and the convolution {conv}."))


@exercise("cost-pairs")
def check_pairs(crossing) -> None:
    """crossing(d, s): the N from which EMSA's products cost more than its projections."""
    for d, s in ((64, 1), (64, 2), (96, 4)):
        n = _number(crossing, d, s)
        if abs(n - d * (s * s + 1)) < 1e-6:
            continue
        wrong = {
            2 * d * s * s: "you let keys and values be projected at all N places. They are shrunken first, to N / s².",
            d * (s + 1): "the map shrinks by s in both directions, so keys and values have N / s² places, not N / s.",
            2 * d: "that is self-attention. For s > 1 keys and values are fewer.",
            d * s * s: "you count only two of the projections.",
            d: "you forget that there are four projections and two products of pairs.",
        }
        raise Wrong(f"for d = {d}, s = {s} you give N = {n}: "
                    + wrong.get(n, "set 2 N d² + 2 (N / s²) d² equal to 2 N² d / s² and solve for N."))


@exercise("cost-criticise")
def check_criticise(answer) -> None:
    """Which objection to a comparison is right."""
    choose(answer, "b", {
        "a": "MACs are counted for one image; a batch multiplies them all alike.",
        "c": "parameters are another column. The claim is about MACs, and it fails by itself.",
        "d": "what counts is what each block adds to its own base. Is it the same base?",
    })


@exercise("compare-interval")
def check_interval(half_width) -> None:
    """half_width(values): half the width of the 95 % interval of five numbers, by Student's t."""
    for values in ([0.9, 0.91, 0.92, 0.93, 0.94], [0.95, 0.69, 0.92, 0.92, 0.89], [2.0, 2.0, 2.0, 2.0, 7.0]):
        got = _number(half_width, list(values))
        s, t = statistics.stdev(values), 2.776
        right = t * s / math.sqrt(5)
        if abs(got - right) < 2e-3 * right:
            continue
        wrong = {
            t * statistics.pstdev(values) / math.sqrt(5): "the sum of squares is divided by n − 1 = 4, not by n = 5.",
            t * s: "divide by √n: the mean of five scatters less than one training.",
            1.96 * s / math.sqrt(5): "1.96 is for many trainings. For five, Student's t is 2.776.",
            2 * right: "that is the whole width. Half of it is asked for.",
            s / math.sqrt(5): "that is the standard error. Multiply it by t = 2.776.",
            t * s * s / math.sqrt(5): "take the root of the variance before you use it.",
        }
        near = next((words for value, words in wrong.items() if abs(got - value) < 2e-3 * value), None)
        raise Wrong(f"for {values} you give {got:.4f}: " + (near or "compute t · s / √5 with t = 2.776."))


def _number(function, *arguments: object) -> float:
    if not callable(function):
        raise Wrong(f"expected a function, got {type(function).__name__}.")
    n = plain(function(*arguments))
    if n is None or n is ...:
        raise Wrong("your function returns nothing yet.")
    if isinstance(n, bool) or not isinstance(n, (int, float)):
        raise Wrong(f"your function should return a number, got {type(n).__name__}.")
    return n
