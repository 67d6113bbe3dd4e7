"""Checks of the exercises of chapter 07, self-attention."""

import copy
import math

import torch
from torch import Tensor, nn

from attention_lite.exercises import (
    Wrong,
    ask,
    call,
    choose,
    described,
    exercise,
    module,
    same,
    tensor,
)
from attention_lite.self_attention import ScaledDotProductAttention

# What the tokens of the exercise on a head by hand hold; the first three are the colour.
FEATURES = ("red", "green", "blue", "digit", "disc")
GROUND = 20
SAME = torch.eye(3, dtype=torch.bool)      # of the colours of disc and digit


@exercise("self-attention-by-hand")
def check_by_hand(matrices) -> None:
    """(W_Q, W_K), each (d_k, 5): the digit of the disc's colour looks at the disc, the two others do not."""
    if not isinstance(matrices, (tuple, list)) or len(matrices) != 2:
        raise Wrong(f"expected the two matrices (W_Q, W_K), got {described(matrices)}.")
    W_Q, W_K = (tensor(matrix).double() for matrix in matrices)
    if W_Q.dim() != 2 or W_Q.shape[1] != len(FEATURES) or W_K.shape != W_Q.shape:
        raise Wrong(f"your matrices have shapes {tuple(W_Q.shape)} and {tuple(W_K.shape)}; expected both to be "
                    "(d_k, 5), with one d_k.")
    A = _weights_of_digits(W_Q, W_K)                             # (colour of the disc, digit, token)
    if not torch.isfinite(A).all():
        raise Wrong("your weights are not all finite (NaN or infinity).")
    disc, own = A[:, :, 3], A[:, torch.arange(3), torch.arange(3)]
    asked, other = disc[SAME].min().item(), disc[~SAME].max().item()
    if _found(A).all():
        return
    if _found(_weights_of_digits(W_K, W_Q)).all():
        raise Wrong("your matrices stand in the other order: the queries' comes first, (W_Q, W_K).")
    if _found(_weights_of_digits(W_Q, -W_K)).all():
        raise Wrong("each score has the wrong sign: the disc gets the least weight where it should get the most.")
    if _found(A).any():
        worst = FEATURES[int(_found(A).float().argmin())]
        raise Wrong(f"where the disc is {FEATURES[int(_found(A).float().argmax())]} your head does it, where it is "
                    f"{worst} it does not. Every one of the three colours needs its row.")
    if asked >= 0.9:
        raise Wrong(f"the digit of the disc's colour looks at the disc, but so do the others: one of them gives it "
                    f"{other:.2f}. What in the score depends on both colours?")
    if own[SAME].max() > 0.4:
        raise Wrong(f"the digit of the disc's colour keeps {own[SAME].max():.2f} of its weight for itself, and "
                    f"the disc gets {asked:.2f}. The digit has its own colour, too: what has the disc that it lacks?")
    ground = A[:, :, 4:].sum(2)[SAME].max().item()
    if ground > 0.5:
        raise Wrong(f"{ground:.2f} of the weight lies on the {GROUND} places of ground, whose scores are 0. The other "
                    "scores must be larger to be heard among so many.")
    raise Wrong(f"the digit of the disc's colour gives the disc {asked:.2f}, and another digit up to {other:.2f}; at "
                "least 0.9 and at most 0.1 are asked for.")


def _found(A: Tensor) -> Tensor:
    """For a red, a green, a blue disc: whether the digit of its colour looks at it, and no other does."""
    disc = A[:, :, 3]
    return (disc >= torch.where(SAME, 0.9, 0.0)).all(1) & (disc <= torch.where(SAME, 1.0, 0.1)).all(1)


def _weights_of_digits(W_Q: Tensor, W_K: Tensor) -> Tensor:
    """The weights of three digits on themselves, the disc and the ground, while the disc is red, green, blue."""
    colours, rows = torch.eye(3, dtype=torch.double), []
    for colour in colours:
        digits = torch.cat([colours, torch.tensor([[1.0, 0.0]] * 3, dtype=torch.double)], 1)
        disc = torch.cat([colour, torch.tensor([0.0, 1.0], dtype=torch.double)])[None]
        x = torch.cat([digits, disc, torch.zeros(GROUND, len(FEATURES), dtype=torch.double)])
        scores = (x[:3] @ W_Q.T) @ (x @ W_K.T).T / math.sqrt(len(W_Q))
        rows.append(scores.softmax(-1))
    return torch.stack(rows)


@exercise("self-attention-permute")
def check_permute(choice) -> None:
    """What happens to the output if keys and values are shuffled alike, the queries not: "a" to "d"."""
    choose(choice, "b", {
        "a": "the output has one row for each *query*, in their order. Were the queries shuffled?",
        "c": "each value still travels with its own key. Write out the sum over the keys for one query: does its order "
             "matter?",
        "d": "the softmax is taken over the keys, whatever their order: each key keeps its score, and so its weight."})


@exercise("self-attention-criticise")
def check_criticise(choice) -> None:
    """The strongest objection to "forbid the disc, and accuracy falls: so this head brings its colour"."""
    choose(choice, "d", {
        "a": "with 2,000 scenes a share is known to two or three hundredths; this fall is far larger.",
        "b": "the plot has all five trainings, and each falls. What else was taken away, besides this head's keys?",
        "c": "a third is what one reaches who reads the digits and guesses. Below it is no less of a loss."})


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
