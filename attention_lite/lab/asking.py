"""What a block changes at places whose own features stay: the frame or the disc of a scene asks for another digit."""

import torch
from torch import Tensor, nn

from attention_lite.lab.scenes import Scenes, masks
from attention_lite.lab.scoring import on_grid
from attention_lite.lab.tasks import ask_for
from attention_lite.lab.training import pictures

DIGITS = range(3)


@torch.no_grad()
def changes(net: nn.Module, scenes: Scenes) -> Tensor:
    """What `net.block` puts out, summed over channels, while each of the three digits is asked for, less their mean.

    NaN where the features that come into the block change too: near what was recoloured. Elsewhere every change is
    the block's doing.

    Args:
        net: a network with a `stem` and a `block`.
        scenes: n scenes with three digits, and a frame or a disc.

    Returns:
        (3, n, h, w) by the digit that is asked for.

    Raises:
        ValueError: if the scenes have neither frame nor disc.
    """
    x = torch.stack([net.stem(pictures(ask_for(scenes, digit))) for digit in DIGITS])
    stays = (x == x[:1]).all(0).all(1)                                 # (n, h, w)
    y = net.block(x.flatten(0, 1)).unflatten(0, x.shape[:2]).sum(2)
    return (y - y.mean(0)).where(stays, torch.nan)


def lit_and_dimmed(net: nn.Module, scenes: Scenes) -> tuple[float, float]:
    """How often the digit that is asked for gains most of the three, a place, and how often it gains least.

    A blind block reaches a third. Digits all of whose places are NaN in `changes` are not counted.

    Raises:
        ValueError: that of `changes`.
    """
    change = changes(net, scenes)
    cover = on_grid(masks(scenes), tuple(change.shape[-2:]))           # (n, 3, h, w)
    gain = change[:, :, None].where(cover, torch.nan).nanmean((3, 4))  # (3, n, digit)
    seen = ~gain.isnan().any(2)
    wanted = torch.tensor(DIGITS)[:, None].expand_as(seen)
    lit, dimmed = (((gain * sign).argmax(2) == wanted)[seen].float().mean().item() for sign in (1, -1))
    return lit, dimmed
