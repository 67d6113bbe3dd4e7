"""Checks of the exercises of chapter 01, squeeze-and-excitation."""

import torch

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, same

_SHIFT = {
    "a": "the gates come from z, and z is the mean over all places. "
         "Does a mean change when its terms change places?",
    "c": "it is true that a trained network may react to the border. But the gates see the feature map through z "
         "alone, and this feature map is only rolled.",
}
_CRITICISE = {
    "a": "a gate near 1 only lets the channel pass as it was; it says nothing about the other channels' gates.",
    "b": "the gate is one number for the whole picture. It cannot be larger at the cat than elsewhere; "
         "what is large there is the feature map.",
    "d": "gates are sigmoids, each on its own: they need not sum to one, so that is no fault.",
}


@exercise("se-shift")
def check_shift(answer) -> None:
    """A letter: what shifting a feature map does to its gates."""
    choose(answer, "b", _SHIFT)


@exercise("se-criticise")
def check_criticise(answer) -> None:
    """A letter: what is wrong with a claim about a gate."""
    choose(answer, "c", _CRITICISE)


@exercise("se-gates")
def check_gates(gates) -> None:
    """gates(x, W1, W2): (B, C, H, W), (C/r, C), (C, C/r) -> (B, C), the gates of a batch."""
    for b, c, r, h, w in ((2, 8, 2, 5, 7), (3, 6, 3, 4, 4), (1, 4, 1, 1, 9)):
        x = torch.randn(b, c, h, w) + 0.5
        W1, W2 = torch.randn(c // r, c), torch.randn(c, c // r)
        s = call(gates, x, W1, W2)
        if tuple(s.shape) == (b, c, 1, 1):
            s = s[:, :, 0, 0]
        expect_shape(s, (b, c), "(B, C)")
        z = x.mean((2, 3))
        right = torch.sigmoid(torch.relu(z @ W1.T) @ W2.T)
        if not same(s, right):
            raise Wrong(_what_is_wrong(s, x, W1, W2, right))


def _what_is_wrong(s: torch.Tensor, x: torch.Tensor, W1: torch.Tensor, W2: torch.Tensor, right: torch.Tensor) -> str:
    """The sentence for wrong gates: recognise the usual slips by the numbers they give."""
    z = x.mean((2, 3))
    scores = torch.relu(z @ W1.T) @ W2.T
    squeezed = {
        "the sum": x.sum((2, 3)), "the largest value": x.amax((2, 3)),
        "the mean over the whole batch": z.mean(0, keepdim=True).expand_as(z),
    }
    for name, wrong in squeezed.items():
        if same(s, torch.sigmoid(torch.relu(wrong @ W1.T) @ W2.T)):
            return f"your squeeze takes {name} of each channel; SE takes the mean over the places, picture by picture."
    if same(s, scores):
        return "the sigmoid is missing: your gates are the raw scores W₂ δ(W₁ z), and some lie outside (0, 1)."
    if same(s, scores.softmax(1)):
        return "your gates sum to 1 over the channels: that is a softmax. SE's gates are sigmoids, each on its own."
    if same(s, torch.sigmoid(z @ W1.T @ W2.T)):
        return "the ReLU between the two layers is missing."
    if same(s, torch.sigmoid(torch.relu(torch.relu(z @ W1.T) @ W2.T))):
        return "there is a ReLU too many: after W₂ comes the sigmoid alone. None of your gates is below 0.5."
    worst = (s - right).abs().max().item()
    return f"your gates differ from σ(W₂ δ(W₁ z)) by up to {worst:.2f}."


@exercise("se-scale")
def check_scale(scale) -> None:
    """scale(x, s): (B, C, H, W), (B, C) -> (B, C, H, W), each channel times its gate."""
    for b, c, h, w in ((3, 3, 3, 3), (2, 3, 3, 3), (2, 5, 3, 4), (1, 6, 1, 2)):      # those where slips fit come first
        x, s = torch.randn(b, c, h, w), torch.rand(b, c)
        y = call(scale, x, s)
        expect_shape(y, (b, c, h, w), "(B, C, H, W)")
        right = torch.einsum("bchw,bc->bchw", x, s)
        if same(y, right):
            continue
        if same(y, x + s[:, :, None, None]):
            raise Wrong("you add the gate to the channel. A gate multiplies.")
        if same(y, x * s.softmax(1)[:, :, None, None]):
            raise Wrong("you normalise the gates once more before you use them. They are ready to multiply with.")
        if h == w == c and same(y, x * s[:, None, None, :].expand(b, 1, 1, c)):
            raise Wrong("you multiply each column of the picture with a gate, not each channel: s has to stand on "
                        "axis 1. Broadcasting hides this when C = W.")
        if h == w == c == b and same(y, x * s):
            raise Wrong("x * s multiplies rows and columns of the picture, not channels: broadcasting aligns the last "
                        "axes. Give s two more axes, for H and W.")
        raise Wrong(f"your result differs from s_c · x_c by up to {(y - right).abs().max().item():.2f}.")


@exercise("se-parameters")
def check_parameters(count) -> None:
    """count(C, r): how many parameters the block has without biases."""
    if not callable(count):
        raise Wrong(f"expected a function of C and r, got {type(count).__name__}.")
    for c, r in ((48, 4), (512, 16), (64, 8), (10, 1)):
        n = count(c, r)
        if n is None or n is ...:
            raise Wrong("your function returns nothing yet.")
        if n == 2 * c * c // r:
            continue
        wrong = {
            c * c // r: "that is one of the two layers. There are two.",
            2 * c * c // r + c + c // r: "you count biases too. The paper's layers have none.",
            2 * c * c: "you forget the reduction: the hidden layer has C / r units.",
            2 * (c // r) ** 2: "each layer joins C channels to C / r units, so it has C · C / r weights, not (C / r)².",
        }
        hint = wrong.get(n, f"the block's two layers hold {2 * c * c // r} weights.")
        raise Wrong(f"for C = {c} and r = {r} you count {n}: {hint}")
