"""Checks of the exercises of chapter 01, squeeze-and-excitation."""

from functools import cache

import torch
from torch import Tensor, nn

from attention_lite.exercises import Wrong, choose, described, exercise, indices, tensor

SEED = 1                 # of the network that the chapter takes apart
ENOUGH = 0.5             # of the scenes with a red frame are to be read as if it were green
FEW = 8                  # gates that bring it so far

_SOFTMAX = {
    "a": "the order of the gates stays, but not their size: 48 numbers that sum to 1 are about 1/48 each.",
    "b": "a softmax of the scores still knows the frame: its largest gates belong to the same channels as before. "
         "What gets lost is something else.",
    "d": "no gate is 0: the softmax makes them small. The network reads more than a blind choice among ten digits.",
}
_CONTROL = {
    "b": "on more scenes the share would come out about the same. The trouble is what was measured, not how often.",
    "c": "another seed falls as deep: no network can read a map of zeros.",
    "d": "a tenth is what a blind choice among ten digits gives. That is low enough for any claim.",
}


@exercise("se-softmax")
def check_softmax(answer) -> None:
    """A letter: what a trained network reads once a softmax stands in place of its sigmoid."""
    choose(answer, "c", _SOFTMAX)


@exercise("se-control")
def check_control(answer) -> None:
    """A letter: what is wrong with setting all gates to 0 as a control."""
    choose(answer, "a", _CONTROL)


@exercise("se-gates")
def check_gates(layers) -> None:
    """(W1, W2): of three gates the third opens where z₁ > z₂ and closes where z₁ < z₂, the others stay at ½."""
    if not isinstance(layers, (tuple, list)) or len(layers) != 2:
        raise Wrong(f"expected the two matrices (W1, W2), got {described(layers)}.")
    W1, W2 = (tensor(layer).double() for layer in layers)
    if W1.dim() != 2 or W2.dim() != 2 or W1.shape[1] != 3 or W2.shape != W1.shape[::-1]:
        raise Wrong(f"your matrices have shapes {tuple(W1.shape)} and {tuple(W2.shape)}; expected (k, 3) and (3, k), "
                    "with k hidden units.")
    z = torch.rand(200, 3, dtype=torch.double)
    z[:, 1] = (z[:, 0] + torch.where(z[:, 0] < 0.5, 0.5, -0.5)).clamp(0, 1)
    s = torch.sigmoid(torch.relu(z @ W1.T) @ W2.T)
    first = z[:, 0] > z[:, 1]
    if (s[:, :2] - 0.5).abs().max() > 1e-6:
        raise Wrong("one of the first two gates moves. Its rows of W2 must be zero: σ(0) = ½.")
    if not torch.isfinite(s).all():
        raise Wrong("your gates are not all finite (NaN or infinity).")
    opened, closed = s[first, 2].min().item(), s[~first, 2].max().item()
    if opened >= 0.9 and closed <= 0.1:
        return
    if s[first, 2].max() <= 0.1 and s[~first, 2].min() >= 0.9:
        raise Wrong("it is the wrong way round: your gate closes where z₁ is the larger.")
    if opened >= 0.9 and abs(closed - 0.5) < 1e-6:
        raise Wrong("where z₁ is the larger it opens. Elsewhere no hidden unit fires, and a sum of nothing is 0: the "
                    "gate is σ(0) = ½, not closed. What would have to fire there?")
    if closed <= 0.1 and abs(opened - 0.5) < 1e-6:
        raise Wrong("where z₂ is the larger it closes. Elsewhere no hidden unit fires, and the gate is σ(0) = ½, not "
                    "open. What would have to fire there?")
    if opened > 0.5 > closed:
        raise Wrong(f"it goes the right way, but not far enough: with z₁ and z₂ half apart your gate is {opened:.2f} "
                    f"and {closed:.2f}; 0.9 and 0.1 are asked for. Larger weights do that.")
    raise Wrong(f"where z₁ is larger by a half your gate goes down to {opened:.2f}, and where z₂ is, up to "
                f"{closed:.2f}.")


@exercise("se-fewest")
def check_fewest(channels) -> None:
    """Numbers of channels that get the green frame's gates: so few, and the network reads the green digit."""
    chosen = indices(channels, 48, "channels")
    red, green = _read_with_green_gates(tuple(chosen))
    if green < ENOUGH:
        count = f"{len(chosen)} channel{'' if len(chosen) == 1 else 's'}"
        raise Wrong(f"with the green frame's gates in {count} the network reads the green digit in {green:.0%} of the "
                    f"scenes and the red in {red:.0%}; green in half of them is asked for." + _one_sided(chosen))
    if len(chosen) > FEW:
        raise Wrong(f"the network reads the green digit in {green:.0%} of the scenes, with {len(chosen)} gates. "
                    f"{FEW} will do.")


def _one_sided(chosen: list[int]) -> str:
    """What to say where all of the gates go the same way."""
    mean = _network()[2]
    change = (mean[1] - mean[0])[chosen]
    if len(chosen) > 1 and (change < 0).all():
        return " You only close gates. The channels that speak for green must open, too."
    if len(chosen) > 1 and (change > 0).all():
        return " You only open gates. The channels that speak for red must close, too."
    return ""


@cache
def _read_with_green_gates(chosen: tuple[int, ...]) -> tuple[float, float]:
    """In which share of 200 test scenes with a red frame the red and the green digit are read."""
    from attention_lite.lab.experiments.frame_gates import answers, passed, signal

    net, (x, label), mean = _network()
    s = signal(net.block, x).clone()
    s[:, list(chosen)] = mean[1, list(chosen)]
    read = answers(net, passed(net, x, s))
    return tuple((read == label[:, digit]).float().mean().item() for digit in (0, 1))


@cache
@torch.no_grad()
def _network() -> tuple[nn.Module, tuple[Tensor, Tensor], Tensor]:
    """The trained network, the features and labels of the scenes, and the mean gates of the three frames."""
    from attention_lite.lab import ContextGating, ask_for, load_checkpoint, pictures
    from attention_lite.lab.experiments.frame_gates import means_by_frame

    net = load_checkpoint("context-gating", "se", SEED)[0].requires_grad_(False)
    scenes = ask_for(ContextGating("test").sample(200, seed=2), 0)
    known = ContextGating("validation").sample(300, seed=1)
    return net, (net.stem(pictures(scenes)), scenes.label), means_by_frame(net, known)
