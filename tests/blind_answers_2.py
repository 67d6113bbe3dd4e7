"""A second set of answers by one who had read the statements only, for the other exercises; see blind_answers_1."""

import math
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F


# chapter 04
def rows_loop(H, p, d, n):
    for _ in range(n):
        H = H + 2 * p - 2 * d
        if H <= 0:
            return 0
    return H


def rows_measured(H, p, d, n):
    x = torch.zeros(1, 1, H, 2 * d * n + H)
    for _ in range(n):
        try:
            x = F.conv2d(x, torch.zeros(1, 1, 3, 3), padding=p, dilation=d)
        except RuntimeError:
            return 0
    return torch.tensor(x.shape[2])


# chapter 09
def ratio_with(keys):
    def least_ratio(H, W, h, megabytes):
        s = 1
        while h * H * W * keys(H, W, s) * 4 > megabytes * 1e6:
            s *= 2
        return s
    return least_ratio


def conv_keys(H, W, s):
    return H * W if s == 1 else ((H + 2 * (s // 2) - s - 1) // s + 1) * ((W + 2 * (s // 2) - s - 1) // s + 1)


def ratio_measured(H, W, h, megabytes):
    s = 1
    while True:
        x = torch.zeros(1, 1, H, W)
        if s > 1:
            x = F.conv2d(x, torch.zeros(1, 1, s + 1, s + 1), stride=s, padding=s // 2)
        if x.numel() * H * W * h * 4 <= megabytes * 10**6:
            return float(s)
        s *= 2


# chapter 10
# chapter 12
def centres(side):
    i = torch.arange(side)
    return torch.cartesian_prod(i, i).float()


def distance_cdist(A, side):
    A = A[1:, 1:]
    A = A / A.sum(1, keepdim=True)
    p = centres(side)
    return (A * torch.cdist(p, p)).sum(1).mean().item()


def distance_loops(A, side):
    total = 0.0
    a = A.double().tolist()
    for i in range(side * side):
        row = a[i + 1][1:]
        for j, w in enumerate(row):
            total += w / sum(row) * math.hypot(i // side - j // side, i % side - j % side)
    return np.float64(total / side**2)


def distance_not_renormalised(A, side):
    p = centres(side)
    return (A[1:, 1:] * torch.cdist(p, p)).sum(1).mean()


def distance_city(A, side):
    A = A[1:, 1:] / A[1:, 1:].sum(1, keepdim=True)
    p = centres(side)
    return (A * torch.cdist(p, p, p=1)).sum(1).mean()


def distance_in_pixels(A, side):
    return 14 * distance_cdist(A, side)


# chapter 13
ANSWERS = {
    "average-light": {
        "wrong": [("the two exchanged", r"length|difference|doubl|lift", {"doubled": "distance", "lifted": "cosine"}),
               ("dot for doubled", r"four|dot", {"doubled": "dot", "lifted": "distance"}),
               ("cosine twice", r"lift|differ|angle", {"doubled": "cosine", "lifted": "cosine"})],
        "right": [("capitals", {"doubled": "Cosine", "lifted": "Distance"}),
               ("another order, blanks", {"lifted": "distance ", "doubled": " cosine"})]},
    "eca-criticise": {
        "wrong": [("a", r"kernel|wide|order|storage", "a"), ("c", r"sigmoid", "c"),
                  ("d", r"squeeze|where|place", "(d)")],
        "right": [("brackets", "(b)"), ("capital, full stop", "B.")]},
    "cbam-relabel": {
        "wrong": [("nothing done", r"as it came", lambda kernel: kernel),
               ("turned upside down", r"plane|axis|space|row", lambda kernel: kernel.flip(2)),
               ("everything flipped", r"plane|place|space|axis|also", lambda kernel: kernel.flip((1, 2, 3)))],
        "right": [("index", lambda kernel: kernel[:, [1, 0]]), ("roll", lambda kernel: kernel.roll(1, 1).numpy())]},
    "bam-rows": {
        "wrong": [("negative", r"0|negative|nothing", lambda H, p, d, n: H + n * 2 * (p - d)),
               ("once", r"n\b|each|every|convolution", lambda H, p, d, n: max(0, H + 2 * p - 2 * d)),
               ("dilation forgotten", r"dilat|d\b", lambda H, p, d, n: max(0, H + n * (2 * p - 2)))],
        "right": [("loop", rows_loop), ("measured", rows_measured)]},
    "sk-twins": {
        "wrong": [("a", r"A\b|rows|matri", "a"), ("d", r"mix a thing with itself", "(d)"),
                  ("b", r"sum to one|one", "b")],
        "right": [("brackets, capital", "(C)"), ("colon", "c:")]},
    "sk-criticise": {
        "wrong": [("a", r"smaller|weak", "a"), ("b", r"few|compared|often", "b"), ("c", r"sum|proportion", "c")],
        "right": [("brackets", "(d)"), ("capital", "D")]},
    "psa-criticise": {
        "wrong": [("a", r"largest|possible|maximum|far", "a"), ("d", r"half", "(d)"), ("b", r"mean|single", "B")],
        "right": [("brackets", "(c)"), ("capital", "C)")]},
    "self-attention-permute": {
        "wrong": [("a", r"quer|row", "a"), ("c", r"travels with", "(c)"), ("text", r"letter", "nothing")],
        "right": [("brackets", "(b)"), ("capital", "B")]},
    "danet-sign": {
        "wrong": [("one less", r"sum|exp|1 −|1 -|divid|invers|reciprocal", lambda P: 1 - P),
               ("reciprocals only", r"sum", lambda P: 1 / P),
               ("softmax of minus P", r"exp|log|score|softmax|invers|reciprocal", lambda P: (-P).softmax(-1))],
        "right": [("logarithm", lambda P: (-P.log()).softmax(-1)), ("numpy", lambda P: (1 / P.numpy()) / (
            1 / P.numpy()).sum(1, keepdims=True))]},
    "emsa-size": {
        "wrong": [("floor", r"gives the last window room", lambda H, W, s: (H // s, W // s)),
               ("ceiling", r"odd|s = 1|padding|round|floor", lambda H, W, s: (-(-H // s), -(-W // s))),
               ("exchanged", r"row|column|order|swap", lambda H, W, s: (
                   (W + 2 * (s // 2) - s - 1) // s + 1, (H + 2 * (s // 2) - s - 1) // s + 1))],
        "right": [("measured", lambda H, W, s: F.conv2d(torch.zeros(1, 1, H, W), torch.zeros(1, 1, s + 1, s + 1),
                                                     stride=s, padding=s // 2).shape[2:]),
               ("a tensor", lambda H, W, s: torch.tensor([H, W]).add(2 * (s // 2) - s - 1).div(
                   s, rounding_mode="floor") + 1)]},
    "emsa-ratio": {
        "wrong": [("H W / s²", r"round|keys|convolution|whole|up", ratio_with(lambda H, W, s: H * W / s**2)),
               ("H × H map of the keys", r"key|N'|shrunken|both|square", ratio_with(
                   lambda H, W, s: (conv_keys(H, W, s)**2) / (H * W))),
               ("mebibytes", r"10\^6|10⁶|1024|2\^20|million", lambda H, W, h, megabytes: ratio_with(conv_keys)(
                   H, W, h, megabytes * 2**20 / 1e6))],
        "right": [("formula", ratio_with(conv_keys)), ("measured, float", ratio_measured)]},
    "external-loud": {
        "wrong": [("a", r"row|column|sum|differ", "a"), ("b", r"column|places|other|slot|sum", "b)"),
                  ("text", r"letter",
                "both")],
        "right": [("brackets", "(c)"), ("capital", "C")]},
    "cost-pairs": {
        "wrong": [("all at N", r"N / s|s²|s\^2|shrunken|keys", lambda d, s: 2 * d * s**2),
               ("ratio ignored", r"s\b|ratio", lambda d, s: 2 * d),
               ("one projection", r"project|two|output|four", lambda d, s: d * (s**2 + 1) / 2)],
        "right": [("floats", lambda d, s: (2 * d * d + 2 * d * d / s**2) / (2 * d / s**2)),
               ("Fraction", lambda d, s: Fraction(d) * (1 + s * s))]},
    "cost-criticise": {
        "wrong": [("a", r"batch", "a"), ("c", r"param", "C"), ("d", r"stride|bas", "(d)")],
        "right": [("brackets", "(b)"), ("full stop", "b.")]},
    "transformer-distance": {
        "wrong": [("rows not renormalised", r"sum to one|renormal|class", distance_not_renormalised),
               ("city blocks", r"straight|city|diagonal|hypot|Euclid", distance_city),
               ("pixels", r"pixel|14|patches", distance_in_pixels)],
        "right": [("cdist", distance_cdist), ("loops", distance_loops)]},
    "transformer-criticise": {
        "wrong": [("a", r"pixel|patch|weight", "a"), ("b", r"overlay|side|weight", "b"), ("d", r"sum|scale", "(d)")],
        "right": [("brackets", "(c)"), ("capital", "C")]},
    "gates-explain": {
        "wrong": [("a", r"forced act as computed", "a"), ("b", r"sum", "B"), ("d", r"larger|size", "d)")],
        "right": [("brackets", "(c)"), ("capital", "C.")]},
}
