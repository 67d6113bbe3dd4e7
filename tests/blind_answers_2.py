"""A second set of answers by one who had read the statements only, for the other exercises; see blind_answers_1."""

import math
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


# chapter 00
def attend_loops(scores, values):
    out = []
    for row in scores.tolist():
        m = max(row)
        e = [math.exp(s - m) for s in row]
        out.append([sum(w * v for w, v in zip(e, column, strict=True)) / sum(e) for column in values.T.tolist()])
    return out


def attend_einsum(scores, values):
    return torch.einsum("qk,kc->qc", torch.softmax(scores, 1), values)


def attend_over_queries(scores, values):
    return scores.softmax(0) @ values


def attend_unnormalised(scores, values):
    return scores.exp() @ values


def attend_scaled(scores, values):
    return (scores / math.sqrt(scores.shape[-1])).softmax(-1) @ values


# chapter 02
def gates_numpy(x, w):
    x, w = x.numpy(), w.numpy()
    z = np.pad(x.mean((2, 3)), ((0, 0), (len(w) // 2,) * 2))
    u = np.stack([z[:, c:c + len(w)] @ w for c in range(x.shape[1])], 1)
    return 1 / (1 + np.exp(-u))


def gates_band(x, w):
    C, p = x.shape[1], len(w) // 2
    M = torch.zeros(C, C, dtype=x.dtype)
    for c in range(C):
        for j in range(len(w)):
            if 0 <= c + j - p < C:
                M[c, c + j - p] = w[j]
    return torch.sigmoid(x.mean(dim=(-2, -1)) @ M.T)


def gates_np_convolve(x, w):
    z = x.mean((2, 3))
    return torch.stack([torch.sigmoid(torch.tensor(np.convolve(row.numpy(), w.numpy(), "same"))) for row in z])


def gates_no_padding(x, w):
    return F.conv1d(x.mean((2, 3))[:, None], w[None, None]).sigmoid()[:, 0]


def gates_over_batch(x, w):
    z = x.mean((2, 3)).T[:, None]
    return F.conv1d(z, w[None, None], padding=len(w) // 2).sigmoid()[:, 0].T


def k_of(C):
    t = math.log2(C) / 2 + 0.5
    return 2 * math.floor(t / 2) + 1


def count_loop(stages):
    total = 0
    for n, C in stages:
        for _ in range(n):
            total += k_of(C)
    return total


def count_numpy(stages):
    return np.sum([n * k_of(C) for n, C in stages])


# chapter 04
def output_expand(x, M_c, M_s):
    B, C, H, W = x.shape
    gate = torch.sigmoid(M_c.view(B, C, 1, 1).expand_as(x) + M_s.view(B, 1, H, W).expand_as(x))
    return torch.mul(x, gate).add(x)


def output_loops(x, M_c, M_s):
    y = x.clone()
    for b in range(x.shape[0]):
        for c in range(x.shape[1]):
            y[b, c] *= 1 + 1 / (1 + torch.exp(-(M_c[b, c] + M_s[b])))
    return y


def output_product(x, M_c, M_s):
    return x * (1 + M_c.sigmoid()[:, :, None, None] * M_s.sigmoid()[:, None])


def output_no_skip(x, M_c, M_s):
    return x * (M_c[:, :, None, None] + M_s[:, None]).sigmoid()


def output_two_sigmoids(x, M_c, M_s):
    return x + x * (M_c.sigmoid()[:, :, None, None] + M_s.sigmoid()[:, None])


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


# chapter 06
def weights_loop(F_, W1, W2):
    u = torch.stack([torch.sigmoid(torch.relu(F_[:, i].mean((2, 3)) @ W1[i].T) @ W2[i].T)
                     for i in range(F_.shape[1])], dim=1)
    return u.exp() / u.exp().sum(1, keepdim=True)


def weights_einsum(F_, W1, W2):
    z = torch.einsum("bschw->bsc", F_) / (F_.shape[-1] * F_.shape[-2])
    a = torch.einsum("bsc,shc->bsh", z, W1).clamp(min=0)
    return torch.softmax(torch.special.expit(torch.einsum("bsh,sch->bsc", a, W2)), dim=1)


def scores_of(F_, W1, W2):
    z = F_.mean((3, 4))
    return torch.einsum("bsh,sch->bsc", torch.einsum("bsc,shc->bsh", z, W1).relu(), W2)


# chapter 07
def split_list(x, h):
    return torch.stack(x.chunk(h, dim=-1), dim=1)


def split_loop(x, h):
    B, N, D = x.shape
    d = D // h
    y = torch.zeros(B, h, N, d, dtype=x.dtype)
    for i in range(h):
        y[:, i] = x[..., i * d:(i + 1) * d]
    return y


# chapter 08
def position_conv(x, W_Q, W_K, W_V, alpha):
    q, k, v = (F.conv2d(x, W[:, :, None, None]).flatten(2) for W in (W_Q, W_K, W_V))
    A = torch.softmax(torch.einsum("bci,bcj->bij", q, k), -1)
    return x + alpha * torch.einsum("bij,bcj->bci", A, v).reshape(x.shape)


def position_loop(x, W_Q, W_K, W_V, alpha):
    B, C, H, W = x.shape
    y = x.clone()
    for b in range(B):
        t = x[b].reshape(C, H * W).T
        A = ((t @ W_Q.T) @ (t @ W_K.T).T).softmax(1)
        y[b] += alpha * (A @ (t @ W_V.T)).T.reshape(C, H, W)
    return y


def position_parts(x, W_Q, W_K, W_V):
    t = x.flatten(2).transpose(1, 2)
    return t @ W_Q.T, t @ W_K.T, t @ W_V.T


def position_scaled(x, W_Q, W_K, W_V, alpha):
    q, k, v = position_parts(x, W_Q, W_K, W_V)
    A = (q @ k.mT / math.sqrt(x.shape[1])).softmax(-1)
    return x + alpha * (A @ v).mT.reshape(x.shape)


def position_view_back(x, W_Q, W_K, W_V, alpha):
    q, k, v = position_parts(x, W_Q, W_K, W_V)
    return x + alpha * ((q @ k.mT).softmax(-1) @ v).reshape(x.shape)


def position_untransposed(x, W_Q, W_K, W_V, alpha):
    t = x.flatten(2).transpose(1, 2)
    A = ((t @ W_Q) @ (t @ W_K).mT).softmax(-1)
    return x + alpha * (A @ (t @ W_V)).mT.reshape(x.shape)


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
def heads_loop(X, M_k, M_v, W_O, h):
    out = []
    for part in torch.chunk(X, h, 1):
        A = (part @ M_k.T).softmax(0)
        A = A / A.sum(1, keepdim=True)
        out.append(A @ M_v)
    out = torch.cat(out, 1)
    return out if h == 1 else out @ W_O.T


def heads_batched(X, M_k, M_v, W_O, h):
    f = X.reshape(len(X), h, -1)
    A = torch.einsum("nhc,sc->nhs", f, M_k).log_softmax(0).softmax(2)
    y = torch.einsum("nhs,sc->nhc", A, M_v).reshape(len(X), -1)
    return F.linear(y, W_O)


def heads_one_norm(X, M_k, M_v, W_O, h):
    f = X.reshape(len(X), h, -1)
    A = torch.einsum("nhc,sc->nhs", f, M_k).softmax(0)
    A = A / A.sum((1, 2), keepdim=True)
    return torch.einsum("nhs,sc->nhc", A, M_v).reshape(len(X), -1) @ W_O.T


def heads_interleaved(X, M_k, M_v, W_O, h):
    f = X.reshape(len(X), -1, h).transpose(1, 2)
    A = torch.einsum("nhc,sc->nhs", f, M_k).log_softmax(0).softmax(2)
    return torch.einsum("nhs,sc->nhc", A, M_v).reshape(len(X), -1) @ W_O.T


def heads_no_mix(X, M_k, M_v, W_O, h):
    f = X.reshape(len(X), h, -1)
    A = torch.einsum("nhc,sc->nhs", f, M_k).log_softmax(0).softmax(2)
    return torch.einsum("nhs,sc->nhc", A, M_v).reshape(len(X), -1)


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
def level_numpy(s, t):
    s, t = np.array(s), np.array(t)
    return t / t.mean() * s.mean()


def level_sums(s, t):
    return torch.mul(t, s.sum() / t.sum())


ANSWERS = {
    "average-attend": {
        "wrong": [("softmax over the queries", r"axis|key|quer|row", attend_over_queries),
               ("not divided by the sum", r"sum|normalis|divid|average", attend_unnormalised),
               ("divided by a root", r"divid|root|scale|temperature", attend_scaled)],
        "right": [("loops", attend_loops), ("einsum", attend_einsum)]},
    "average-light": {
        "wrong": [("the two exchanged", r"length|difference|doubl|lift", {"doubled": "distance", "lifted": "cosine"}),
               ("dot for doubled", r"four|dot", {"doubled": "dot", "lifted": "distance"}),
               ("cosine twice", r"lift|differ|angle", {"doubled": "cosine", "lifted": "cosine"})],
        "right": [("capitals", {"doubled": "Cosine", "lifted": "Distance"}),
               ("another order, blanks", {"lifted": "distance ", "doubled": " cosine"})]},
    "eca-gates": {
        "wrong": [("kernel turned round", r"from its far end", gates_np_convolve),
               ("no padding", r"pad z", gates_no_padding),
               ("along the batch", r"batch|channel|picture", gates_over_batch)],
        "right": [("numpy", gates_numpy), ("a band matrix", gates_band)]},
    "eca-parameters": {
        "wrong": [("once a stage", r"n\b|block|each|every", lambda stages: sum(k_of(C) for _, C in stages)),
               ("times C", r"C\b|channel|share|one kernel", lambda stages: sum(n * C * k_of(C) for n, C in stages)),
               ("pairs read as (C, n)", r"pair|order|\(n, C\)|swap",
                lambda stages: sum(C * k_of(n) for n, C in stages))],
        "right": [("loop", count_loop), ("numpy", count_numpy)]},
    "eca-criticise": {
        "wrong": [("a", r"kernel|wide|order|storage", "a"), ("c", r"sigmoid", "c"),
                  ("d", r"squeeze|where|place", "(d)")],
        "right": [("brackets", "(b)"), ("capital, full stop", "B.")]},
    "cbam-max-alone": {
        "wrong": [("a", r"max", "a"), ("c", r"max", "c"), ("more than a letter", r"letter", "neither")],
        "right": [("bracket", "b)"), ("capital", "B")]},
    "cbam-relabel": {
        "wrong": [("nothing done", r"as it came", lambda kernel: kernel),
               ("turned upside down", r"plane|axis|space|row", lambda kernel: kernel.flip(2)),
               ("everything flipped", r"plane|place|space|axis|also", lambda kernel: kernel.flip((1, 2, 3)))],
        "right": [("index", lambda kernel: kernel[:, [1, 0]]), ("roll", lambda kernel: kernel.roll(1, 1).numpy())]},
    "cbam-criticise": {
        "wrong": [("a", r"sum", "a"), ("b", r"untrained", "(B)"), ("d", r"coarse|kernel", "d")],
        "right": [("brackets", "(c)"), ("blank", "c ")]},
    "bam-output": {
        "wrong": [("product of gates", r"sum|product|multipl|add", output_product), ("no skip", r"x \+|1 \+|skip|add",
                output_no_skip),
               ("two sigmoids", r"sigmoid", output_two_sigmoids)],
        "right": [("expand", output_expand), ("loops", output_loops)]},
    "bam-rows": {
        "wrong": [("negative", r"0|negative|nothing", lambda H, p, d, n: H + n * 2 * (p - d)),
               ("once", r"n\b|each|every|convolution", lambda H, p, d, n: max(0, H + 2 * p - 2 * d)),
               ("dilation forgotten", r"dilat|d\b", lambda H, p, d, n: max(0, H + n * (2 * p - 2)))],
        "right": [("loop", rows_loop), ("measured", rows_measured)]},
    "bam-criticise": {
        "wrong": [("a", r"sum", "a"), ("c", r"24|places|coarse", "C"), ("d", r"untrained|train", "d)")],
        "right": [("full stop", "b."), ("brackets", " (b) ")]},
    "sk-span": {
        "wrong": [("k d", r"gap|between|k − 1|k - 1|last", lambda k, d: k * d),
               ("k + d", r"gap|between|each|every|multipl", lambda k, d: k + 2 * (d - 1)),
               ("without the one", r"count|one|end|\+ 1", lambda k, d: (k - 1) * d)],
        "right": [("range", lambda k, d: len(range((k - 1) * d + 1))), ("numpy", lambda k, d: np.int64(k + (k - 1) * (
            d - 1)))]},
    "sk-twins": {
        "wrong": [("a", r"A\b|rows|matri", "a"), ("c", r"mix a thing with itself", "(c)"),
                  ("d", r"sum to one|one", "d")],
        "right": [("brackets, capital", "(B)"), ("colon", "b:")]},
    "sk-criticise": {
        "wrong": [("a", r"how a softmax works", "a"), ("c", r"few|small|hundredth|matter", "c"),
                  ("d", r"seed|level", "d")],
        "right": [("brackets", "(b)"), ("capital", "B")]},
    "psa-weights": {
        "wrong": [("softmax over channels", r"channel|split|axis", lambda *a: scores_of(*a).sigmoid().softmax(2)),
               ("no inner sigmoid", r"sigmoid", lambda *a: scores_of(*a).softmax(1)),
               ("gates alone", r"softmax|sum", lambda *a: scores_of(*a).sigmoid())],
        "right": [("a loop over splits", weights_loop), ("einsum", weights_einsum)]},
    "psa-parameters": {
        "wrong": [("groups ignored", r"group", lambda C, kernels, groups: sum(k * k * C * C // len(kernels)
                                                                           for k in kernels)),
               ("input split too", r"whole|input|split|all", lambda C, kernels, groups: sum(
                   k * k * (C // len(kernels))**2 // g for k, g in zip(kernels, groups, strict=True))),
               ("kernel of full width", r"share|split|S\b|output", lambda C, kernels, groups: sum(
                   k * k * C * C // g for k, g in zip(kernels, groups, strict=True)))],
        "right": [("modules", lambda C, kernels, groups: sum(nn.Conv2d(
                   C, C // len(kernels), k, groups=g, bias=False).weight.numel()
                   for k, g in zip(kernels, groups, strict=True))),
               ("Fractions", lambda C, kernels, groups: sum(Fraction(k * k * C, g) * Fraction(C, len(kernels))
                                                            for k, g in zip(kernels, groups, strict=True)))]},
    "psa-criticise": {
        "wrong": [("a", r"largest|possible|0\.475|far", "a"), ("c", r"half", "(c)"), ("d", r"mean|single", "D")],
        "right": [("brackets", "(b)"), ("capital", "B)")]},
    "self-attention-split": {
        "wrong": [("bare view", r"view|token|transpos|mix", lambda x, h: x.reshape(x.shape[0], h, x.shape[1], -1)),
               ("no transpose", r"shape|transpos|axes|axis", lambda x, h: x.unflatten(-1, (h, -1))),
               ("strided heads", r"every|next|neighbour|interleav|first", lambda x, h: x.unflatten(-1, (-1, h)).permute(
                   0, 3, 1, 2))],
        "right": [("chunks", split_list), ("a loop", split_loop)]},
    "self-attention-permute": {
        "wrong": [("a", r"quer|row", "a"), ("c", r"travels with", "(c)"), ("text", r"letter", "nothing")],
        "right": [("brackets", "(b)"), ("capital", "B")]},
    "danet-position": {
        "wrong": [("divided by a root", r"root|divid|scal", position_scaled),
               ("back without a transpose", r"swap its axes|transpos", position_view_back),
               ("matrices not transposed", r"transpos|row|W_Q|\.T|matri", position_untransposed)],
        "right": [("1 × 1 convolutions", position_conv), ("a loop", position_loop)]},
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
    "external-heads": {
        "wrong": [("normalised over all heads", r"head|own|each", heads_one_norm),
               ("heads interleaved", r"first|next|interleav|every|neighbour", heads_interleaved),
               ("no W_O", r"W_O|mix", heads_no_mix)],
        "right": [("none for one head", heads_loop), ("W_O always", heads_batched)]},
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
    "gates-level": {
        "wrong": [("added instead", r"add|shift|multipl|times", lambda s, t: t + s.mean() - t.mean()),
               ("the wrong picture's", r"foreign|own|t\b|pattern", lambda s, t: s * t.mean() / s.mean()),
               ("only the mean", r"all|same|pattern|t\b", lambda s, t: torch.full_like(t, s.mean().item()))],
        "right": [("numpy", level_numpy), ("sums", level_sums)]},
    "gates-explain": {
        "wrong": [("a", r"forced act as computed", "a"), ("b", r"sum", "B"), ("d", r"larger|size", "d)")],
        "right": [("brackets", "(c)"), ("capital", "C.")]},
}
