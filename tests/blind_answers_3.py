"""Answers to twenty-one more exercises, written before their checks and solutions were read.

As in `blind_answers_1`: wrong answers, what is wrong with each and a pattern that a sentence naming it matches; then
unusual right ones.
"""

from fractions import Fraction

import numpy as np
import torch

# chapter 01
SOME = [8, 27, 26, 36, 44, 32, 42, 19]                      # exchanged, most of the scenes read green
DIFFERENCE, AS_SCORE = [[1, -1, 0], [-1, 1, 0]], [[0, 0], [0, 0], [5, -5]]

# chapter 03
PLACES = [98, 110, 97, 109, 123, 112, 111, 100]             # shut, the 7 is read as a 3
DIGIT = [74, 75, 85, 86, 87, 97, 98, 99, 110, 111, 122, 123]
GLOW = [61, 62, 63, 64, 72, 73, 74, 75, 76, 84, 85, 86, 87, 88, 96, 97, 98, 99, 100, 108, 109, 110, 111, 112, 121,
        122, 123, 124, 133, 134, 135, 136]

# chapter 04
SEEN = [12 * i + j for i in (2, 6, 10) for j in (3, 7, 11)]

# chapter 07
BONUS = ([[20, 0, 0, 0, 0], [0, 20, 0, 0, 0], [0, 0, 20, 0, 0], [0, 0, 0, 10, 0]],
         [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1]])
COLOURS = torch.eye(3, 5)
LESS_DIGITS = torch.tensor([[1, 0, 0, -1, 0], [0, 1, 0, -1, 0], [0, 0, 1, -1, 0]])


def bonus(colour, kind, marker=4):
    """Compares colours, and adds to whatever has the number `marker` (3: digits, 4: discs)."""
    Q, K = torch.zeros(4, 5), torch.zeros(4, 5)
    Q[:3, :3], K[:3, :3] = colour * torch.eye(3), torch.eye(3)
    Q[3, 3], K[3, marker] = kind, 1
    return Q, K


# chapter 09
def fold_interleaved(W_O, sigma):
    return W_O / sigma.repeat_interleave(W_O.shape[1] // len(sigma))


def fold_viewed(W_O, sigma):
    return (W_O.reshape(len(W_O), len(sigma), -1) / sigma[None, :, None]).flatten(1)


def fold_numpy(W_O, sigma):
    W_O, sigma = np.asarray(W_O), np.asarray(sigma)
    return W_O * np.repeat(1 / sigma, W_O.shape[1] // sigma.size)


def fold_diagonal(W_O, sigma):
    return W_O @ torch.diag(torch.kron(1 / sigma, sigma.new_ones(W_O.shape[1] // len(sigma))))


def fold_chunks(W_O, sigma):
    return torch.cat([part / s for part, s in zip(W_O.chunk(len(sigma), dim=1), sigma, strict=True)], dim=1)


def fold_multiplied(W_O, sigma):
    return W_O * sigma.repeat_interleave(W_O.shape[1] // len(sigma))


def fold_tiled(W_O, sigma):
    return W_O / sigma.repeat(W_O.shape[1] // len(sigma))


def fold_squared(W_O, sigma):
    return W_O / sigma.repeat_interleave(W_O.shape[1] // len(sigma))**2


def fold_root(W_O, sigma):
    return W_O / sigma.repeat_interleave(W_O.shape[1] // len(sigma)).sqrt()


def fold_rows(W_O, sigma):
    return W_O / sigma.repeat_interleave(len(W_O) // len(sigma))[:, None]


def fold_mean(W_O, sigma):
    return W_O / sigma.mean()


def fold_in_place(W_O, sigma):
    W_O /= sigma.repeat_interleave(W_O.shape[1] // len(sigma))
    return W_O


def fold_plain(W_O, sigma):
    return W_O / sigma


def letters(right, **wrong):
    """The forms in which one writes a letter, and the mistakes that any choice invites."""
    first = next(iter(wrong))
    return {"wrong": [(f"the letter {letter}", pattern, letter) for letter, pattern in wrong.items()]
                     + [("two letters", r"one letter|one of|only one|single|two", right + first),
                        ("a number in place of a letter", r"letter", "abcd".index(right) + 1),
                        ("yes", r"letter", "yes"), ("nothing", r"letter|no answer|empty", "")],
            "right": [("capital", right.upper()), ("in brackets", f"({right})"), ("spaces and a dot", f" {right}. "),
                      ("a list of one", [right])]}


ANSWERS = {
    "average-elsewhere": letters("b", a=r"large|size|share|chance", c=r"train", d=r"makes them no more"),
    "se-fewest": {
        "wrong": [("every channel", r"8 will do", list(range(48))),
                  ("no channel", r"in 0 channels", []),
                  ("the explorer's four bars", r"explorer pulls these four bars", [8, 32, 36, 43]),
                  ("the blue frame's gates taken for the green's", r"blue|hardly differs", [43, 46, 38, 15, 9]),
                  ("how many, and not which", r"a list of numbers", 8),
                  ("numbered from 1", r"from 0|0 to 47|47", [48, 9, 28, 27, 37, 45, 33, 43]),
                  ("a channel twice", r"in 4 channels", [8, 8, 27, 27, 26, 26, 36, 36]),
                  ("the gates themselves", r"numbers 0 to 47, got", [0.98, 0.02, 0.97])],
        "right": [("a tuple", tuple(SOME)), ("a set", set(SOME)), ("numpy", np.array(SOME)),
                  ("a tensor", torch.tensor(SOME)), ("floats", [float(c) for c in SOME])]},
    "se-softmax": letters("c", a=r"order|level|sum|small|1/48|closed", b=r"still knows the frame", d=r"0|small|sum"),
    "se-gates": {
        "wrong": [("one hidden unit", r"no hidden unit fires", ([[1, -1, 0]], [[0], [0], [5]])),
                  ("too weak", r"Larger weights", (DIFFERENCE, [[0, 0], [0, 0], [1, -1]])),
                  ("both matrices transposed", r"is transposed", (np.array(DIFFERENCE).T, np.array(AS_SCORE).T)),
                  ("W2 before W1", r"in the other order", (AS_SCORE, DIFFERENCE)),
                  ("both units open the gate", r"opens in both cases.*both signs",
                   (DIFFERENCE, [[0, 0], [0, 0], [5, 5]])),
                  ("the signs reversed", r"the wrong way round",
                   (DIFFERENCE, [[0, 0], [0, 0], [-5, 5]])),
                  ("the first gate moves", r"first two gates moves", (DIFFERENCE, [[5, -5], [0, 0], [0, 0]])),
                  ("all gates move", r"first two gates moves", (DIFFERENCE, [[5, -5], [5, -5], [5, -5]])),
                  ("a column for a bias", r"no biases", ([[1, -1, 0, 0], [-1, 1, 0, 0]], AS_SCORE)),
                  ("two units, the same difference", r"stays at ½.*cancels",
                   ([[1, -1, 0], [1, -1, 0]], AS_SCORE)),
                  ("W1 alone", r"two matrices", torch.tensor(DIFFERENCE)),
                  ("looks at the third mean too", r"third|z3|z₃|z_3", (
                      [[1, -1, 1], [-1, 1, 0]], AS_SCORE))],
        "right": [("lists of integers", (DIFFERENCE, AS_SCORE)),
                  ("a mean a unit, the sign in W2", ([[1, 0, 0], [0, 1, 0]], AS_SCORE)),
                  ("a list of arrays", [np.array(DIFFERENCE), np.array(AS_SCORE)]),
                  ("three units, one idle", ([*DIFFERENCE, [0, 0, 0]], [[0, 0, 0], [0, 0, 0], [9, -9, 0]])),
                  ("parameters", (torch.nn.Parameter(torch.tensor(DIFFERENCE) * 3.0),
                                  torch.nn.Parameter(torch.tensor(AS_SCORE) * 1.0))),
                  ("tensors of integers", (torch.tensor(DIFFERENCE), torch.tensor(AS_SCORE)))]},
    "se-control": letters("a", b=r"more scenes", c=r"train|all|every", d=r"tenth|guess|chance|ten"),
    # chapter 02
    "eca-ring": {
        "wrong": [("only one end", r"47|other|both|two", [0]), ("only the other end", r"\b0\b|other|both|two", [47]),
                  ("two at each end", r"two neighbours on each side", [0, 1, 46, 47]),
                  ("all of them", r"keep both neighbours", list(range(48))),
                  ("none: the weights stay", r"something changes", []),
                  ("numbered from 1", r"from 0|0 to 47|47", [1, 48]),
                  ("one neighbour too many", r"gate 1 hears.*as before", [0, 1, 47]),
                  ("the neighbours, not the ends", r"cut between", [1, 46]),
                  ("how many", r"a list of numbers", 2)],
        "right": [("a set", {47, 0}), ("backwards", (47, 0)), ("a tensor", torch.tensor([0, 47])),
                  ("numpy", np.array([0, 47])), ("floats", [0.0, 47.0])]},
    # chapter 03
    "cbam-blind": {
        "wrong": [("rows and columns exchanged", r"changed places", [12 * (n % 12) + n // 12 for n in PLACES]),
                  ("counted from 1, in both", r"counts rows and columns from 1", [n + 13 for n in PLACES if n < 131]),
                  ("numbered from 1", r"counts columns from 1", [n + 1 for n in PLACES]),
                  ("the digit's places alone", r"neighbours have seen it", DIGIT),
                  ("the digit and all around it", r"few|dozen|many|32", GLOW),
                  ("every place", r"few|dozen|many|144|all", list(range(144))),
                  ("pairs of row and column", r"got \(8, 2\)", [divmod(n, 12) for n in PLACES]),
                  ("nothing shut", r"with 0 places shut", []),
                  ("places of the ground", r"lie beside the digit", [0, 1, 2, 12, 13, 24, 130, 131, 142, 143]),
                  ("a number too large", r"143|144|0 to", [*PLACES, 144])],
        "right": [("a set", set(PLACES)), ("numpy", np.array(PLACES)), ("a tensor", torch.tensor(PLACES)),
                  ("a tuple, sorted", tuple(sorted(PLACES))), ("twelve", [*PLACES, 99, 124, 122, 113])]},
    "cbam-level": letters("b", a=r"shortcut|skip|around|no shortcut|branch|fall", c=r"train|mean|chance|three",
                          d=r"\b0\b|zero|erase|nothing|off"),
    # chapter 04
    "bam-moves": {
        "wrong": [("the whole window", r"sieve", [12 * i + j for i in range(11)
                                                                              for j in range(12)]),
                  ("one convolution", r"one dilated convolution", [12 * i + j for i in (2, 6) for j in (3, 7)]),
                  ("the place alone", r"to the sides", [27]),
                  ("all places", r"all 144 cannot be", list(range(144))),
                  ("rows and columns exchanged", r"row|column|swap|exchang", [12 * j + i for i in (2, 6, 10)
                                                                             for j in (3, 7, 11)]),
                  ("numbered from 1", r"number the places from 1", [n + 1 for n in SEEN]),
                  ("without itself", r"the place itself moves", [n for n in SEEN if n != 27]),
                  ("no dilation, one convolution", r"dilat|step|four|4", [12 * i + j for i in (1, 2, 3)
                                                                        for j in (2, 3, 4)]),
                  ("no dilation, two convolutions", r"dilat|step|four|4", [12 * i + j for i in range(5)
                                                                         for j in range(1, 6)]),
                  ("the wider map of block 1", r"0 to 143.*12 i \+ j", [24 * i + j for i in (2, 6, 10)
                                                                       for j in (3, 7, 11)]),
                  ("a cross", r"cross.*corners", [27, 31, 35, 75, 123]),
                  ("pairs", r"got \(2, 3\)", [(i, j) for i in (2, 6, 10) for j in (3, 7, 11)])],
        "right": [("a set", set(SEEN)), ("numpy, backwards", np.array(SEEN)[::-1]), ("a tensor", torch.tensor(SEEN)),
                  ("a range", sorted({*range(27, 36, 4), *range(75, 84, 4), *range(123, 132, 4)}))]},
    "bam-best": letters("d", a=r"share|peak|chance|control", b=r"control|random|chance", c=r"each map that is scored"),
    # chapter 05
    "sk-match": {
        "wrong": [("the same ink", r"made the ink the same", 0.25), ("size alone", r"only the size is left", 1.0),
                  ("the ratio upside down", r"other way round", 2.0),
                  ("percent", r"per cent", 50), ("the root of a half", r"take the root", 0.707),
                  ("invisible", r"no digit left", 0.0),
                  ("the weight itself", r"the weight itself", 0.396), ("words", r"expected a number", "half")],
        "right": [("a fraction", Fraction(13, 25)), ("a tensor", torch.tensor(0.52)), ("numpy", np.float32(0.525)),
                  ("by the rule", 0.5)]},
    # chapter 06
    "psa-tilt": letters("a", b=r"half|all|kernel|divide|norm", c=r"nothing|divide|norm|channel|scale",
                        d=r"of the kind that it was trained on"),
    # chapter 07
    "self-attention-by-hand": {
        "wrong": [("colours alone", r"itself|own colour|same colour", (20 * COLOURS, COLOURS)),
                  ("the disc outweighs the colours", r"so do the others.*both colours", bonus(10, 20)),
                  ("the disc as much as the colours", r"so do the others: one of them gives it 0\.50", bonus(20, 20)),
                  ("looks for a disc only", r"so do the others.*both colours", (
                      [[0, 0, 0, 20, 0]], [[0, 0, 0, 0, 1]])),
                  ("scores too small", r"must be larger to be heard", bonus(2, 1)),
                  ("looks for digits", r"what has the disc that it lacks", bonus(20, 10, marker=3)),
                  ("transposed", r"expected both to be \(d_k, 5\)", tuple(torch.tensor(m).T for m in BONUS)),
                  ("keys before queries", r"in the other order", BONUS[::-1]),
                  ("different widths", r"with one d_k", (BONUS[0], BONUS[1][:3])),
                  ("a minus too many", r"sign|negative|minus|away|least",
                   tuple(map(torch.tensor, (BONUS[0], [[-v for v in row] for row in BONUS[1]])))),
                  ("W_Q alone", r"two matrices", torch.tensor(BONUS[0])),
                  ("red alone", r"so do the others.*both colours", ([[20, 0, 0, 0, 0], [0, 0, 0, 10, 0]],
                                                              [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]))],
        "right": [("lists", BONUS), ("numpy", tuple(np.array(m) for m in BONUS)),
                  ("digits taken from the keys, three numbers", (12 * COLOURS, LESS_DIGITS)),
                  ("a list of tensors of integers", [torch.tensor(m) for m in BONUS]),
                  ("all in the keys", (bonus(1, 1)[0] + 0, bonus(1, 1)[1] * torch.tensor([[40], [40], [40], [20]])))]},
    "self-attention-criticise": letters("d", a=r"scene|2,000|hundredth|few|large", b=r"five|all|train",
                                        c=r"third|chance|guess"),
    # chapter 08
    "danet-sharper": letters("d", a=r"third|paint|decid|sharp", b=r"the table would have to be",
                             c=r"better|decid|sharp|rise"),
    "danet-zero": letters("c", a=r"IoU|same|both|compare", b=r"thousand|scene|large|gap|few",
                          d=r"small|zero|either|less"),
    # chapter 09
    "emsa-fold": {
        "wrong": [("multiplied", r"you multiply", fold_multiplied), ("the heads in the wrong order",
                                                                      r"take turns.*head by head", fold_tiled),
                  ("divided by the variance", r"divide by the variance", fold_squared),
                  ("a root too many", r"do not take it again", fold_root),
                  ("rows in place of columns", r"divide the rows", fold_rows),
                  ("one factor for all heads", r"each head has its own", fold_mean),
                  ("in place", r"changes|in place|copy|itself", fold_in_place),
                  ("not widened", r"d_v columns for each head", fold_plain),
                  ("unchanged", r"as it was", lambda W_O, sigma: W_O),
                  ("a matrix, not a function", r"function|call", torch.ones(4, 4))],
        "right": [("interleaved", fold_interleaved), ("viewed", fold_viewed), ("numpy", fold_numpy),
                  ("a diagonal", fold_diagonal), ("chunks", fold_chunks)]},
    "emsa-fewer": letters("c", a=r"thousand|scene|train|count", b=r"another|this task|here",
                          d=r"use|learn|read|need"),
    # chapter 10
    "external-forge": {
        "wrong": [("the red disc's own value", r"have these values already", {9: 10.79}),
                  ("the magenta disc's values", r"a magenta disc", {17: 10.39, 30: 12.41}),
                  ("three sums", r"2 will do", {9: 6.5, 5: 10.8, 63: 8.9}),
                  ("Z, not its logarithm", r"Its logarithm", {9: 683.0}),
                  ("the wrong direction", r"sum 9 is smaller.*yours is larger",
                                                                   {9: 20.0}),
                  ("head and slot as a pair", r"got \(0, 9\).*32 m \+ s", {(0, 9): 6.5}),
                  ("counted from 1", r"counted from 0", {10: 6.5}),
                  ("4 × slot + head", r"not 4 × slot", {36: 6.5}),
                  ("numbers without values", r"expected a dictionary", [9, 63]),
                  ("nothing", r"is empty", {}), ("a change, not a value", r"how far a sum moves",
                                                                {9: -4.26}),
                  ("beyond the last", r"127|128|0 to", {150: 8.8})],
        "right": [("one will do", {9: 6.5}), ("a tensor", {9: torch.tensor(6.53)}),
                  ("numpy", {np.int64(9): np.float32(6.53), np.int64(63): np.float64(8.88)}),
                  ("a whole number", {9: 6})]},
    "external-places": letters("b", a=r"learned|train", c=r"third|block|guess", d=r"memory|learned|picture"),
    # chapter 11
    "which-reach": {
        "wrong": [("a count, not a share", r"the number of pixels", 225),
                  ("percent", r"per cent", 5.49), ("all pixels", r"whole picture", 1.0),
                  ("the side, not the area", r"share of a side", 15 / 64),
                  ("one place of its map", r"one place of the last map", 1 / 256),
                  ("one pixel", r"that is one pixel", 1 / 4096),
                  ("those that do not move it", r"do not move it", 1 - 225 / 4096),
                  ("none", r"some pixels do move it", 0.0), ("the frame", r"the frame's ring", 1 - (32 / 64)**2),
                  ("three colours counted apart", r"three colours, and counts once", 225 / (3 * 4096))],
        "right": [("a fraction", Fraction(225, 4096)), ("a tensor", torch.tensor(225) / 4096),
                  ("rounded", 0.055), ("numpy", np.float32(0.0549)), ("from a map", torch.tensor(225 / 4096,
                                                                                               dtype=torch.float64))]},
}
