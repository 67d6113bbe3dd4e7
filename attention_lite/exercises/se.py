"""Checks of the exercises of chapter 01, squeeze-and-excitation."""

from functools import cache

import torch
from torch import Tensor, nn

from attention_lite.exercises import Wrong, choose, described, exercise, indices, tensor

SEED = 1                 # of the network that the chapter takes apart
ENOUGH = 0.5             # of the scenes with a red frame are to be read as if it were green
FEW = 8                  # gates that bring it so far
IDLE = 0.2               # a mean gate that moves by less between two frames says little
FOUR_BARS = {8, 32, 36, 43}        # of the explorer's link

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
    if not _fit(W1, W2):
        raise Wrong(f"your matrices have shapes {tuple(W1.shape)} and {tuple(W2.shape)}; expected (k, 3) and (3, k)"
                    + (_misshapen(W1, W2) or ", with k hidden units."))
    first, s = _gates(W1, W2)
    if (s[:, :2] - 0.5).abs().max() > 1e-6:
        raise Wrong("one of the first two gates moves. Its rows of W2 must be zero: σ(0) = ½.")
    if not torch.isfinite(s).all():
        raise Wrong("your gates are not all finite (NaN or infinity).")
    opened, closed = s[first, 2].min().item(), s[~first, 2].max().item()
    if _solved(W1, W2):
        return
    if (s[:, 2] - 0.5).abs().max() < 1e-6:
        raise Wrong("your third gate stays at ½ whatever the means are: what the units give it is 0, or cancels.")
    if s[first, 2].max() <= 0.1 and s[~first, 2].min() >= 0.9:
        raise Wrong("it is the wrong way round: your gate closes where z₁ is the larger.")
    if opened >= 0.9 and abs(closed - 0.5) < 1e-6:
        raise Wrong("where z₁ is the larger it opens. Elsewhere no hidden unit fires, and a sum of nothing is 0: the "
                    "gate is σ(0) = ½, not closed. What would have to fire there?")
    if closed <= 0.1 and abs(opened - 0.5) < 1e-6:
        raise Wrong("where z₂ is the larger it closes. Elsewhere no hidden unit fires, and the gate is σ(0) = ½, not "
                    "open. What would have to fire there?")
    if _solved(W1 * torch.tensor([1, 1, 0]), W2):
        raise Wrong("your third gate hears the third mean, too, and z₃ has no say here: its column of W1 must be zero.")
    if (s[:, 2] > 0.5).all() or (s[:, 2] < 0.5).all():
        way, other = ("opens", "close") if s[0, 2] > 0.5 else ("closes", "open")
        both = (W2[2] > 0).any() and (W2[2] < 0).any()
        raise Wrong(f"your gate {way} in both cases, where z₁ is the larger and where z₂ is. One of the units must "
                    f"{other} it: " + ("yours hardly fires in either. Give it the difference." if both else
                                       "W2 needs both signs."))
    if opened > 0.5 > closed:
        raise Wrong(f"it goes the right way, but not far enough: with z₁ and z₂ half apart your gate is {opened:.2f} "
                    f"and {closed:.2f}; 0.9 and 0.1 are asked for. Larger weights do that.")
    raise Wrong(f"where z₁ is larger by a half your gate can be as low as {opened:.2f}, and where z₂ is, as high as "
                f"{closed:.2f}: it hears " + ("z₃, too." if W1[:, 2].any() else "more than their difference."))


def _fit(W1: Tensor, W2: Tensor) -> bool:
    """Whether these can be the matrices of a gate of three channels."""
    return W1.dim() == W2.dim() == 2 and W1.shape[1] == 3 and W2.shape == W1.shape[::-1]


def _gates(W1: Tensor, W2: Tensor) -> tuple[Tensor, Tensor]:
    """For 200 triples of means whose first two are a half apart: whether the first is the larger, and the gates."""
    z = torch.rand(200, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    z[:, 1] = (z[:, 0] + torch.where(z[:, 0] < 0.5, 0.5, -0.5)).clamp(0, 1)
    return z[:, 0] > z[:, 1], torch.sigmoid(torch.relu(z @ W1.T) @ W2.T)


def _solved(W1: Tensor, W2: Tensor) -> bool:
    if not _fit(W1, W2):
        return False
    first, s = _gates(W1, W2)
    return bool((s[:, :2] - 0.5).abs().max() <= 1e-6 and s[first, 2].min() >= 0.9 and s[~first, 2].max() <= 0.1)


def _misshapen(W1: Tensor, W2: Tensor) -> str:
    """What would bring two matrices of other shapes into these."""
    if _solved(W2, W1):
        return ". Yours stand in the other order: W1 is the first."
    if W1.dim() == W2.dim() == 2 and _solved(W1.T, W2.T):
        return ". Each of yours is transposed: W1 has a row for each hidden unit, W2 one for each gate."
    if W1.dim() == W2.dim() == 2 and (W1.shape[1] == 4 or W2.shape[1] == W1.shape[0] + 1):
        return ". There are no biases here, so no matrix has a further column."
    return ""


@exercise("se-fewest")
def check_fewest(channels) -> None:
    """Numbers of channels that get the green frame's gates: so few, and the network reads the green digit."""
    chosen = indices(channels, 48, "channels")
    red, green = _read_with_green_gates(tuple(chosen))
    if green < ENOUGH:
        count = f"{len(chosen)} channel{'' if len(chosen) == 1 else 's'}"
        raise Wrong(f"with the green frame's gates in {count} the network reads the green digit in {green:.0%} of the "
                    f"scenes and the red in {red:.0%}; green in half of them is asked for." + _chosen_badly(chosen))
    if len(chosen) > FEW:
        raise Wrong(f"the network reads the green digit in {green:.0%} of the scenes, with {len(chosen)} gates. "
                    f"{FEW} will do.")


def _chosen_badly(chosen: list[int]) -> str:
    """What to say where the gates hardly move, or all go the same way."""
    mean = _network()[2]
    change = (mean[1] - mean[0])[chosen]
    idle = [channel for channel, moved in zip(chosen, change.abs().tolist(), strict=True) if moved < IDLE]
    if set(chosen) == FOUR_BARS:
        return " The explorer pulls these four bars all the way to 0 and 1, further than a frame does, in one scene."
    if 2 * len(idle) > len(chosen):
        return f" Between these two frames the gate of channel {idle[0]} hardly differs. Which do?"
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
