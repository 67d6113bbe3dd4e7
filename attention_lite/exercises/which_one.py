"""Checks of the closing chapter's exercises: what each block costs, and what five trainings tell."""

import math
import statistics

from attention_lite.exercises import Wrong, choose, close, exercise, formula, number, shown


@exercise("cost-eca")
def check_eca(answer) -> None:
    """The parameters that ECA adds to ResNet-50 with the paper's adaptive kernel."""
    wrong = {
        80: "80 comes out with a kernel of 3 in the first stage, or of 5 in the last. The formula gives neither. "
            "Or a tie, that at 2048, went down: it goes up.",
        22: "that is one block a stage. The stages have 3, 4, 6 and 3 blocks.",
        20: "that is one block a stage, with the abstract's kernels. The stages have 3, 4, 6 and 3 blocks.",
        74: "a tie between two odd numbers goes up, not down, and 4.5 is nearest to 5.",
        62: "k is 5 for 256, 512 and 1024 channels and 7 for 2048. Yours are those of the blocks' narrow layers: ECA "
            "stands where they are four times as wide.",
        68: "k is 5 for 256, 512 and 1024 channels and 7 for 2048. Yours are those of the blocks' narrow layers: ECA "
            "stands where they are four times as wide.",
        112: "that is a kernel of 7 in every stage. Only the last, with 2048 channels, has it.",
        48: "that is a kernel of 3 in every stage. Only narrower layers have it.",
        98: "5.5 is nearer to 5 than to 7: the third stage has k = 5.",
        102: "you count biases too. The convolution has none.",
    }
    count = number(answer)
    if not close(count, 86):
        raise Wrong(f"you count {shown(count)}: " + wrong.get(
            count, "add n · k over the four stages, with n = 3, 4, 6, 3 and k from log₂ of 256, 512, 1024, 2048."))


def _matrices(C: int, r: int) -> float:
    return 2 * C * C / r


formula(
    "cost-cbam", "C r k", [(256, 16, 7), (64, 8, 3), (512, 4, 5), (48, 6, 9)],
    lambda C, r, k: _matrices(C, r) + 2 * k * k, {
        "the convolution reads two maps, the mean and the maximum over channels: it has 2 k² weights.":
            lambda C, r, k: _matrices(C, r) + k * k,
        "you count an MLP for each pool. Both pools share one.": lambda C, r, k: 2 * _matrices(C, r) + 2 * k * k,
        "you count an MLP for each pool, and one plane of the kernel. Both pools share one MLP; the kernel has two "
        "planes.": lambda C, r, k: 2 * _matrices(C, r) + k * k,
        "you forget the spatial gate's convolution.": lambda C, r, k: _matrices(C, r),
        "you forget the channel gate's MLP.": lambda C, r, k: 2 * k * k,
        "you count biases of the MLP. The equations have none.":
            lambda C, r, k: _matrices(C, r) + C + C / r + 2 * k * k,
        "you count biases, of the MLP and of the convolution. The equations have none.":
            lambda C, r, k: _matrices(C, r) + C + C / r + 2 * k * k + 1,
        "you count a bias of the convolution. The equations have none.":
            lambda C, r, k: _matrices(C, r) + 2 * k * k + 1,
        "you count a norm after the convolution. The equations have none.":
            lambda C, r, k: _matrices(C, r) + 2 * k * k + 2,
        "you count one of the MLP's two matrices.": lambda C, r, k: _matrices(C, r) / 2 + 2 * k * k,
        "you count one of the MLP's two matrices and one of the kernel's two planes.":
            lambda C, r, k: _matrices(C, r) / 2 + k * k,
        "the convolution reads the two pooled maps, not all C channels.": lambda C, r, k: _matrices(C, r) + C * k * k,
        "the convolution reads the two pooled maps, not all C channels twice.":
            lambda C, r, k: _matrices(C, r) + 2 * C * k * k,
        "a k × k kernel has k² weights a plane, not k.": lambda C, r, k: _matrices(C, r) + 2 * k,
        "you forget the reduction: the MLP joins C channels to C / r units.": lambda C, r, k: 2 * C * C + 2 * k * k,
        "each matrix joins C channels to C / r units, so it has C · C / r weights, not (C / r)².":
            lambda C, r, k: 2 * (C / r) ** 2 + 2 * k * k,
    }, "The MLP, which both pools share, has two matrices, and the convolution's kernel two planes.")


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
