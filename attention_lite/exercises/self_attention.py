"""Checks of the exercises of chapter 07, self-attention."""

import copy
import math

import torch
from torch import Tensor, nn

from attention_lite.exercises import (
    NotFinite,
    Wrong,
    ask,
    call,
    choose,
    exercise,
    expect_shape,
    module,
    same,
    tensor,
)
from attention_lite.self_attention import ScaledDotProductAttention


@exercise("self-attention-head")
def check_head(attend) -> None:
    """attend(Q, K, V): (N_q, d_k), (N_k, d_k), (N_k, d_v) -> (N_q, d_v), one head of attention."""
    for n_q, n_k, d_k, d_v in ((5, 7, 8, 3), (1, 4, 2, 6), (6, 6, 16, 16)):
        Q, K, V = torch.randn(n_q, d_k), torch.randn(n_k, d_k), torch.randn(n_k, d_v)
        result = call(attend, Q, K, V)
        if tuple(result.shape) == (n_q, n_k) != (n_q, d_v):
            raise Wrong(f"your result has shape {(n_q, n_k)}, one number for each query and key: those are "
                        "the weights. Average the values with them.")
        expect_shape(result, (n_q, d_v), "(N_q, d_v)")
        wide = torch.eye(n_k, n_k + 2)               # the identity as values: the output is the weights
        A = call(attend, Q, K, wide)
        expect_shape(A, (n_q, n_k + 2), "(N_q, d_v)")
        scores = Q @ K.T
        _check_weights(A[:, :n_k], scores, d_k, {n_k: "the number of keys", n_q: "the number of queries",
                                                 n_k + 2: "the width of the values"})
        if not same(result, (scores / math.sqrt(d_k)).softmax(-1) @ V):
            raise Wrong("your weights are right, but your output is not their average of the values, A V.")


def _check_weights(A: Tensor, scores: Tensor, d_k: int, sizes: dict[int, str]) -> None:
    """Refuse weights other than softmax(scores / sqrt(d_k)) over the last axis; say what they are."""
    root = math.sqrt(d_k)
    if same(A, (scores / root).softmax(-1)):
        return
    sums = A.sum(-1)
    worst = sums[(sums - 1).abs().argmax()].item()
    if abs(worst - 1) > 1e-3:
        columns = same(A.sum(0), torch.ones(A.shape[1]), 1e-3)
        hint = ("Each column sums to 1 instead: did you normalise over the queries?" if columns
                else "Did you forget the softmax?")
        raise Wrong(f"the weights of a query should sum to 1 over the keys; yours sum to {worst:.2f}. {hint}")
    if (A <= 0).any():
        raise Wrong("some of your weights are not positive; a softmax makes every weight larger than 0.")
    # Were they softmax(scores / c)? Then log A is linear in the scores along each row, with the slope 1/c.
    s = (scores - scores.mean(-1, keepdim=True)).double()
    logs = A.double().log()
    logs = logs - logs.mean(-1, keepdim=True)
    slope = ((s * logs).sum() / (s * s).sum()).item()
    if abs(slope) > 1e-6 and (logs - slope * s).abs().max() < 1e-2:
        if abs(slope - 1) < 1e-3:
            raise Wrong(f"your weights are softmax(q·k): the scaling is missing. "
                        f"Divide the scores by √d_k = {root:.2f}.")
        if slope < 0:
            raise Wrong("the sign of your scores is turned: the most alike key gets the smallest weight.")
        what = next((f", the root of {what}" for size, what in sizes.items()
                     if abs(slope * math.sqrt(size) - 1) < 1e-3), "")
        what = what or (", d_k itself" if abs(slope * d_k - 1) < 1e-3 else "")
        raise Wrong(f"your scores are divided by {1 / slope:.2f}{what}; with d_k = {d_k} they should be divided by "
                    f"√d_k = {root:.2f}.")
    difference = (A - (scores / root).softmax(-1)).abs().max().item()
    raise Wrong(f"your weights differ from softmax(QKᵀ/√d_k) by up to {difference:.2f}.")


@exercise("self-attention-split")
def check_split(split) -> None:
    """split(x, h): (B, N, h·d) -> (B, h, N, d); head i gets the i-th run of d channels of every token."""
    for batch, n, h, d in ((2, 5, 3, 4), (1, 4, 2, 6), (3, 6, 1, 2)):
        x = torch.arange(batch * n * h * d, dtype=torch.float32).reshape(batch, n, h * d)
        result = call(split, x, h)
        expected = x.unflatten(-1, (h, d)).transpose(1, 2)
        if tuple(result.shape) == (batch, n, h, d) != (batch, h, n, d):
            raise Wrong(f"your result has shape {(batch, n, h, d)}: (B, N, h, d). Each head needs its own "
                        "table of tokens: swap the axes N and h.")
        expect_shape(result, tuple(expected.shape), "(B, h, N, d)")
        if torch.equal(result, expected):
            continue
        if torch.equal(result, x.reshape(batch, h, n, d)):
            raise Wrong(_mixed(result, n, h * d))
        if torch.equal(result, x.unflatten(-1, (d, h)).permute(0, 3, 1, 2)):
            raise Wrong(f"your head 0 takes channels 0, {h}, {2 * h}, … of a token, one in every {h}. "
                        f"It should take the first {d}.")
        raise Wrong(f"in head 0 your first token is {result[0, 0, 0].tolist()}; it should be the first {d} "
                    f"channels of token 0, {expected[0, 0, 0].tolist()}.")


def _mixed(result: Tensor, n: int, width: int) -> str:
    """The sentence for numbers laid out as (B, h, N, d) without moving any: what head 0 was made of."""
    tokens = sorted({int(v) // width for v in result[0, 0].flatten().tolist()})
    return (f"your shape is right, but your head 0 is made of token{'s' if len(tokens) > 1 else ''} "
            f"{', '.join(map(str, tokens))} alone instead of a part of all {n}. A view relabels numbers "
            "without moving them: split the last axis first, then transpose.")


@exercise("self-attention-mask")
def check_mask(masked_weights) -> None:
    """masked_weights(scores, allowed): scores and booleans (N_q, N_k), True = may attend -> weights."""
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    some = torch.tensor([[True, False, True, True], [False, False, True, False], [True, True, True, True]])
    for allowed, size in ((causal, 1.0), (some, 1.0), (causal, 30.0)):
        _check_masked(masked_weights, size * torch.randn(allowed.shape), allowed)
    for low in (-3e2, -3e3, -3e4, -3e5):
        _check_low_scores(masked_weights, low)


def _check_low_scores(masked_weights, low: float) -> None:
    """What is forbidden must stay so beside very low scores that are allowed."""
    scores, allowed = low + torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[True, True, False]])
    try:
        A = call(masked_weights, scores, allowed)
    except NotFinite:
        raise Wrong(f"with scores near {low:g} your weights are not numbers: all exponentials are 0. Use "
                    "torch.softmax, or subtract the largest score first.") from None
    if not same(A, torch.tensor([[0.5, 0.5, 0.0]])):
        raise Wrong(f"with scores near {low:g} the forbidden key gets the weight {A[0, -1]:.3g}: a large negative "
                    "number is not low enough beside every score. Take −∞.")


def _check_masked(masked_weights, scores: Tensor, allowed: Tensor) -> None:
    """Refuse weights other than the softmax over the allowed keys; say what they are."""
    try:
        A = call(masked_weights, scores, allowed)
    except NotFinite:
        A = torch.as_tensor(ask(masked_weights, scores, allowed)).detach()
        full = allowed.all(-1)                 # an inverted mask leaves a query that may attend to every key none
        if A.shape == scores.shape and A[full].isnan().all() and not A[~full].isnan().any():
            raise Wrong("True means *may* attend: fill the scores where allowed is False. Yours are filled where it is "
                        "True, and the query that may attend to every key is left with none.") from None
        raise
    expect_shape(A, tuple(scores.shape), "(N_q, N_k)")
    expected = scores.masked_fill(~allowed, -math.inf).softmax(-1)
    if same(A, expected):
        return
    leak = A[~allowed].max().item()
    if leak > 1e-6 and A[0][allowed[0]].abs().max() < 1e-6:       # every table forbids query 0 a key
        raise Wrong("all the weight of query 0 lies on keys that are forbidden to it: True means "
                    "*may* attend, so fill the scores where allowed is False.")
    if same(A, scores.softmax(-1)):
        raise Wrong("there is no mask in your weights: they are the softmax of all the scores.")
    if same(A, scores.masked_fill(~allowed, -math.inf).softmax(0).nan_to_num()):
        raise Wrong("you normalise over the queries, down the columns. Each row, a query's, sums to 1.")
    if leak > 1e-6:
        raise Wrong(f"a forbidden key still gets the weight {leak:.3g}. Its score must be −∞ before the "
                    "softmax: e to the power of any other number is more than 0.")
    sums = A.sum(-1)
    worst = sums[(sums - 1).abs().argmax()].item()
    if abs(worst - 1) > 1e-3:
        raise Wrong(f"forbidden keys get no weight, but the rest of a row sums to {worst:.2f}, not 1. "
                    "Mask before the softmax, not after it.")
    raise Wrong(f"your weights on the allowed keys differ from the softmax over those keys by up to "
                f"{(A - expected).abs().max():.2f}.")


@exercise("self-attention-permute")
def check_permute(choice) -> None:
    """What happens to the output if keys and values are shuffled alike, the queries not: "a", "b" or "c"."""
    choose(choice, "b", {
        "a": "the output has one row for each *query*, in their order. Were the queries shuffled?",
        "c": "each value still travels with its own key. Write out the sum over the keys for one query: does its order "
             "matter?"})


@exercise("self-attention-temperature")
def check_temperature(with_temperature) -> None:
    """with_temperature(sa, T): a new block whose weights are softmax(QKᵀ/(√d_k T)), else the same."""
    for bias in (False, True):
        sa = ScaledDotProductAttention(12, 4, 6, 2, dropout=0.25, bias=bias).eval()
        x, before = 2 * torch.randn(2, 5, 12), copy.deepcopy(sa.state_dict())
        scores = sa.attention(x)["position"].log().detach()
        for T in (0.5, 1.0, 3.0):
            warm = module(ask(with_temperature, sa, T), "a ScaledDotProductAttention")
            if any(not torch.equal(v, before[k]) for k, v in sa.state_dict().items()):
                raise Wrong("your function changes the block that it was given. Change a copy.deepcopy of it.")
            if warm is sa:
                raise Wrong("you return the block that you were given. A new one is asked for: a copy.deepcopy of it.")
            _check_else_the_same(warm, sa)
            with torch.no_grad():
                A, y = tensor(ask(warm.attention, x)["position"]), call(warm, x)
                _check_sharpness(A, scores, T, bias)
                V = sa.W_V(x).unflatten(-1, (2, 6)).transpose(1, 2)
                if not same(y, sa.W_O(((scores / T).softmax(-1) @ V).transpose(1, 2).flatten(2))):
                    raise Wrong("the weights are right, but the output is not: the temperature must leave "
                                "the values and W_O alone.")
    sa.train()
    if not ask(with_temperature, sa, 2.0).training:
        raise Wrong("the block that you were given is in training mode, yours is not. Else it shall be the same.")


def _check_else_the_same(warm: nn.Module, sa: ScaledDotProductAttention) -> None:
    """Refuse a block in another mode, with another dropout, or with parameters that it shares with the one given."""
    if warm.training:
        raise Wrong("the block that you were given is in evaluation mode, yours is in training mode. Else it shall be "
                    "the same.")
    if getattr(warm, "dropout", None) != sa.dropout:
        raise Wrong(f"the block that you were given drops weights at a rate of {sa.dropout}, yours does not. "
                    "Else it shall be the same.")
    own = {p.data_ptr() for p in sa.parameters()}
    shared = [name for name, p in warm.named_parameters() if p.data_ptr() in own]
    if shared:
        raise Wrong(f"your block shares {shared[0]} with the one that you were given: who trains one changes the "
                    "other. Copy it, with copy.deepcopy.")


def _check_sharpness(A: Tensor, scores: Tensor, T: float, bias: bool) -> None:
    """Refuse weights other than softmax(scores / T); name the power of T that they show instead."""
    if same(A, (scores / T).softmax(-1)):
        return
    note = " This block has biases: a bias is a part of the query, it must be divided too." if bias else ""
    for power, what in ((0, "as sharp as before"),
                        (-1, "softmax(score · T): a higher temperature must flatten, not sharpen"),
                        (2, "softmax(score / T²): scale the queries or the keys, not both"),
                        (0.5, "softmax(score / √T)")):
        if same(A, (scores / T ** power).softmax(-1)):
            raise Wrong(f"at T = {T:g} your weights are {what}.")
    raise Wrong(f"at T = {T:g} your weights differ from softmax(score / T) by up to "
                f"{(A - (scores / T).softmax(-1)).abs().max():.3f}.{note}")
