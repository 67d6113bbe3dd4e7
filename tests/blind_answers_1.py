"""Answers written by one who had read the exercises' statements only, and no check: wrong ones, and unusual right ones.

For each exercise three wrong answers, what is wrong with each and a pattern that a sentence naming it matches, and two
right ones. The patterns were written with the answers; where a sentence named the mistake in other words, they
follow it.
"""

import copy
import math

import numpy as np
import torch
from torch import nn

from attention_lite import ScaledDotProductAttention

INF = float("inf")


# chapter 00
def softmax_in_numpy(scores):
    scores = np.asarray(scores)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return torch.from_numpy(e / e.sum(-1, keepdims=True))


def softmax_by_logsumexp(scores):
    return (scores - torch.logsumexp(scores, -1)[..., None]).exp()


def softmax_plain(scores):
    e = scores.exp()
    return e / e.sum(-1, keepdim=True)


def softmax_of_dim_0(scores):
    e = (scores - scores.max(0, keepdim=True).values).exp()
    return e / e.sum(0, keepdim=True)


def softmax_less_mean(scores):
    e = (scores - scores.mean(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


# chapter 02
def kernel_by_steps(C):
    t = (math.log2(C) + 1) / 2
    best = 1
    for k in range(1, 100, 2):
        if abs(k - t) <= abs(best - t):
            best = k
    return best


def kernel_numpy(C):
    t = np.log2(C) / 2 + 0.5
    return np.int64(2 * np.floor(t / 2) + 1)


# chapter 05
def leak_one_by_one(select, z, rows):
    together = select(z, rows)
    alone = torch.cat([select(z[i:i + 1], rows) for i in range(len(z))])
    return not torch.allclose(together, alone, atol=1e-5)


def leak_gradient(select, z, rows):
    z = z.clone().requires_grad_()
    weights = select(z, rows)
    for b in range(len(z)):
        grad, = torch.autograd.grad((weights[b] * torch.randn_like(weights[b])).sum(), z, retain_graph=True)
        others = torch.cat([grad[:b], grad[b + 1:]])
        if others.abs().max() > 1e-7:
            return True
    return False


def leak_sum_over_branches(select, z, rows):
    return not torch.allclose(select(z, rows).sum(1), torch.ones(len(z), rows.shape[1]))


def leak_exact(select, z, rows):
    return bool((select(z, rows)[0] != select(z[:1], rows)[0]).any()) or True


def leak_reversed(select, z, rows):
    return torch.allclose(select(z, rows)[:1], select(z[:1], rows), atol=1e-6)


# chapter 06
class PyramidList(nn.Module):
    def __init__(self, channel, kernels):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channel, channel // len(kernels), k, padding=k // 2) for k in kernels)

    def forward(self, x):
        return torch.cat([conv(x) for conv in self.convs], dim=1)


class PyramidNamed(nn.Module):
    def __init__(self, channel, kernels):
        super().__init__()
        self.n = len(kernels)
        for i, k in enumerate(kernels):
            self.add_module(f"branch{i}", nn.Conv2d(channel, channel // self.n, k, padding="same"))

    def forward(self, x):
        width = x.shape[1] // self.n
        out = torch.empty_like(x)
        for i in range(self.n):
            out[:, i * width:(i + 1) * width] = getattr(self, f"branch{i}")(x)
        return out


class PyramidPlainList(nn.Module):
    def __init__(self, channel, kernels):
        super().__init__()
        self.convs = [nn.Conv2d(channel, channel // len(kernels), k, padding=k // 2) for k in kernels]

    def forward(self, x):
        return torch.cat([conv(x) for conv in self.convs], 1)


class PyramidInPlace(nn.Module):
    def __init__(self, channel, kernels):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(channel, channel // len(kernels), k, padding=k // 2) for k in kernels])

    def forward(self, x):
        for split, conv in zip(x.chunk(len(self.convs), 1), self.convs, strict=True):
            split.copy_(conv(x))
        return x


class PyramidChain(nn.Module):
    def __init__(self, channel, kernels):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(channel, channel // len(kernels), k, padding=k // 2) for k in kernels])

    def forward(self, x):
        y = x.clone()
        for split, conv in zip(y.chunk(len(self.convs), 1), self.convs, strict=True):
            split.copy_(conv(y))
        return y


# chapter 07
def temperature_weights(sa, T):
    new = copy.deepcopy(sa)
    with torch.no_grad():
        new.W_K.weight /= T
        if new.W_K.bias is not None:
            new.W_K.bias /= T
    return new


def temperature_state(sa, T):
    new = ScaledDotProductAttention(sa.d_model, sa.d_k, sa.d_v, sa.h, sa.dropout, sa.W_Q.bias is not None)
    state = {k: v.clone() for k, v in sa.state_dict().items()}
    for k in state:
        if k.startswith("W_Q"):
            state[k] = state[k] / T
    new.load_state_dict(state)
    return new.train(sa.training).to(sa.W_Q.weight)


def temperature_in_place(sa, T):
    sa.W_Q.weight.data /= T
    return sa


def temperature_both(sa, T):
    new = copy.deepcopy(sa)
    new.W_Q.weight.data /= T
    new.W_K.weight.data /= T
    return new


def temperature_multiplied(sa, T):
    new = copy.deepcopy(sa)
    new.W_Q.weight.data *= T
    return new


# chapter 09
# chapter 10
def sums_loop(X, M_k, M_v, log_Z):
    out = torch.zeros(len(X), M_v.shape[1], dtype=X.dtype)
    for i, x in enumerate(X):
        a = [math.exp(float(x @ M_k[m] - log_Z[m])) for m in range(len(M_k))]
        out[i] = sum(w * v for w, v in zip(a, M_v, strict=True)) / sum(a)
    return out


def sums_softmax(X, M_k, M_v, log_Z):
    return (X @ M_k.T - log_Z).softmax(1) @ M_v


def sums_own(X, M_k, M_v, log_Z):
    return (X @ M_k.T).log_softmax(0).softmax(1) @ M_v


def sums_no_rows(X, M_k, M_v, log_Z):
    return (X @ M_k.T - log_Z).exp() @ M_v


def sums_not_log(X, M_k, M_v, log_Z):
    A = (X @ M_k.T).exp() / log_Z
    return A / A.sum(1, keepdim=True) @ M_v


# chapter 12
def pixel_reshape(A, height, width, y, x):
    maps = A[:, :, 1:].reshape(A.shape[0], -1, height // 14, width // 14)
    return maps[:, 1 + (y // 14) * (width // 14) + x // 14]


def pixel_loop(A, height, width, y, x):
    rows, columns = height // 14, width // 14
    i = int(y / 14) * columns + int(x / 14) + 1
    return torch.stack([torch.stack([head[i][1 + r * columns:1 + (r + 1) * columns] for r in range(rows)])
                        for head in A])


def pixel_no_class(A, height, width, y, x):
    rows, columns = height // 14, width // 14
    return A[:, (y // 14) * columns + x // 14, 1:].reshape(-1, rows, columns)


def pixel_swapped(A, height, width, y, x):
    rows, columns = height // 14, width // 14
    return A[:, 1 + (x // 14) * rows + y // 14, 1:].reshape(-1, rows, columns)


def pixel_column(A, height, width, y, x):
    rows, columns = height // 14, width // 14
    return A[:, 1:, 1 + (y // 14) * columns + x // 14].reshape(-1, rows, columns)


def places_zero(net):
    new = copy.deepcopy(net)
    with torch.no_grad():
        new.positions[:, 1:] = 0
    return new


def places_mean(net):
    new = copy.deepcopy(net)
    new.positions.data[:, 1:] = new.positions.data[:, 1:].mean(1, keepdim=True)
    return new


def places_shuffled(net):
    new = copy.deepcopy(net)
    new.positions.data[:, 1:] = new.positions.data[:, 1 + torch.randperm(new.positions.shape[1] - 1)]
    return new


def places_in_place(net):
    net.positions.data.zero_()
    return net


def places_nothing(net):
    return copy.deepcopy(net)


# chapter 13
def overlap_sets(a, b):
    one = {tuple(p) for p in (a > 0.3).nonzero().tolist()}
    two = {tuple(p) for p in (b > 0.3).nonzero().tolist()}
    return len(one & two) / len(one | two)


def overlap_numpy(a, b):
    a, b = np.asarray(a) > 0.3, np.asarray(b) > 0.3
    return np.logical_and(a, b).sum() / np.logical_or(a, b).sum()


def overlap_dice(a, b):
    a, b = a > 0.3, b > 0.3
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def overlap_all_places(a, b):
    return ((a > 0.3) == (b > 0.3)).float().mean()


def overlap_of_first(a, b):
    a, b = a > 0.3, b > 0.3
    return (a & b).sum() / a.sum()


ANSWERS = {
    "average-softmax": {
        "wrong": [("no shift", r"infin|overflow|NaN|large", softmax_plain),
               ("the first axis", r"axis|row", softmax_of_dim_0),
               ("shifted by the mean", r"mean|largest|infin|overflow", softmax_less_mean)],
        "right": [("numpy", softmax_in_numpy), ("logsumexp", softmax_by_logsumexp)]},
    "average-criticise": {
        "wrong": [("colour scale", r"scale|stretch|drawing|look", "b"), ("another query", r"query|other", "d"),
               ("temperature", r"temperature", "a")],
        "right": [("capital", "C"), ("in brackets", "(c)")]},
    "eca-flip": {
        "wrong": [("always", r"change sides", "a"), ("never", r"from which side", "b"),
               ("option's text", r"letter", "a palindrome")],
        "right": [("bracket", "c)"), ("full stop", "C.")]},
    "eca-kernel": {
        "wrong": [("rounded, then made odd upward", r"even|nearest|odd", lambda C: (lambda k: k if k % 2 else k + 1)(
                   round(math.log2(C) / 2 + 0.5))),
               ("natural logarithm", r"log", lambda C: (lambda t: 2 * math.floor(t / 2) + 1)(
                   math.log(C) / 2 + 0.5)),
               ("b forgotten", r"b\b|half|1/2", lambda C: (lambda t: 2 * math.floor(t / 2) + 1)(
                   math.log2(C) / 2))],
        "right": [("a search", kernel_by_steps), ("numpy integer", kernel_numpy)]},
    "cbam-parameters": {
        "wrong": [("two separate MLPs", r"twice|share|one pair|same", lambda C, r, k: 4 * C * C // r + 2 * k * k),
               ("one plane", r"two|plane|maps", lambda C, r, k: 2 * C * C // r + k * k),
               ("biases counted", r"bias", lambda C, r, k: 2 * C * C // r + C // r + C + 2 * k * k + 1)],
        "right": [("float", lambda C, r, k: 2 * C * (C / r) + 2 * k**2),
               ("counted from modules", lambda C, r, k: sum(p.numel() for p in nn.Sequential(
                   nn.Linear(C, C // r, False), nn.Linear(C // r, C, False),
                   nn.Conv2d(2, 1, k, bias=False)).parameters()))]},
    "bam-window": {
        "wrong": [("dilation ignored", r"dilat", lambda n, d: 2 * n + 1),
                  ("sum of the spans", r"overlap|shar|adds|grow",
                lambda n, d: n * (2 * d + 1)),
               ("one side only", r"side|both|left", lambda n, d: n * d + 1)],
        "right": [("measured with ones", lambda n, d: 3 if n * d == 1 else len(range(-n * d, n * d + 1))),
               ("numpy", lambda n, d: np.int32(1) + 2 * np.int32(n) * d)]},
    "sk-leak": {
        "wrong": [("only tests the sums", r"sum|leak|depend", leak_sum_over_branches),
               ("always true", r"always|True|does not depend", leak_exact),
               ("the wrong way round", r"revers|round|opposite|invert", leak_reversed)],
        "right": [("one by one", leak_one_by_one), ("by gradient", leak_gradient)]},
    "psa-bounds": {
        "wrong": [("0 and 1", r"sigmoid|0 and 1|bound|reach", lambda S: (0, 1)),
               ("scores of any S are S = 4", r"S", lambda S: (1 / (1 + 3 * math.e), math.e / (math.e + 3))),
               ("scores between −1 and 1", r"sigmoid|negative|−1|-1", lambda S: (
                   math.exp(-1) / (math.exp(-1) + (S - 1) * math.e), math.e / (math.e + (S - 1) * math.exp(-1))))],
        "right": [("a tensor", lambda S: torch.tensor([1 / (1 + (S - 1) * math.e), math.e / (math.e + S - 1)])),
               ("numpy array", lambda S: np.array([np.exp(0) / (np.exp(0) + (S - 1) * np.e),
                                                   np.e / (np.e + (S - 1))]))]},
    "psa-list": {
        "wrong": [("still a list", r"ModuleList|param|train", PyramidPlainList),
               ("still in place", r"writes into the map", PyramidInPlace),
               ("later kernels see earlier splits", r"whole|input|earlier|before|original", PyramidChain)],
        "right": [("ModuleList", PyramidList), ("add_module", PyramidNamed)]},
    "self-attention-temperature": {
        "wrong": [("in place", r"stay|itself|chang|copy", temperature_in_place),
               ("both divided", r"twice|both|T²|square", temperature_both),
               ("multiplied", r"must flatten", temperature_multiplied)],
        "right": [("keys divided", temperature_weights), ("a new block, state loaded", temperature_state)]},
    "danet-start": {
        "wrong": [("none", r"gradient|alpha|α", "a"), ("all", r"α|alpha|zero|multipl", "d"),
                  ("W_V", r"α|alpha|zero", "c")],
        "right": [("capital", "B"), ("bracket", "b)")]},
    "emsa-shift": {
        "wrong": [("shifted by c", r"sum|zero|norm", "a"), ("depends on the query", r"sum|row|zero|norm|every", "c"),
               ("the weights change", r"value|weights", "d")],
        "right": [("capital", "B"), ("letter and dot", "b.")]},
    "external-sums": {
        "wrong": [("own sums", r"own|given|log_Z", sums_own),
                  ("rows not normalised", r"row|sum|normalis", sums_no_rows),
               ("log taken for the sum", r"log|exp", sums_not_log)],
        "right": [("loops", sums_loop), ("softmax of the difference", sums_softmax)]},
    "compare-interval": {
        "wrong": [("divided by n", r"n − 1|n - 1|ddof|unbiased|spread",
                lambda v: 2.776 * np.std(v) / math.sqrt(len(v))),
               ("whole width", r"half|whole|twice|full", lambda v: 2 * 2.776 * np.std(v, ddof=1) / math.sqrt(len(v))),
               ("normal quantile", r"1\.96|2\.776|Student|t\b", lambda v: 1.96 * np.std(v, ddof=1) / math.sqrt(5))],
        "right": [("torch", lambda v: 2.776 * torch.tensor(v).std() / 5**0.5),
               ("by hand", lambda v: 2.776 * math.sqrt(sum((a - sum(v) / 5)**2 for a in v) / 4 / 5))]},
    "transformer-pixel": {
        "wrong": [("class token counted as a patch", r"class|1 \+|token 0", pixel_no_class),
               ("row and column swapped", r"row|column|swap", pixel_swapped),
               ("what looks at the patch", r"row|column|quer|looks|transpos", pixel_column)],
        "right": [("all maps, then one", pixel_reshape), ("loops", pixel_loop)]},
    "transformer-places": {
        "wrong": [("table shuffled", r"shuffl|differ|same|still|order", places_shuffled),
               ("in place", r"net|itself|chang|copy", places_in_place),
               ("a plain copy", r"still|place|position|shuffl", places_nothing)],
        "right": [("zero", places_zero), ("mean", places_mean)]},
    "gates-overlap": {
        "wrong": [("Dice", r"Dice|twice|either|sum", overlap_dice),
                  ("agreement everywhere", r"places where the maps agree",
                overlap_all_places),
               ("share of the first", r"first|either|both|one map", overlap_of_first)],
        "right": [("sets", overlap_sets), ("numpy", overlap_numpy)]},
    "gates-rescue": {
        "wrong": [("from the figure's page", r"page|0\.\d", ["laterals.1.se"]),
               ("all blocks but a few", r"[Ff]ew|less", ["stages.1.1.se", "stages.0.0.se"]),
               ("nothing given back", r"none|no block|empty|0\.\d|at least", [])],
        "right": [("a tuple", ("stages.1.1.se",)), ("a set", {"stages.1.1.se"})]},
}
