"""Small tasks on photographs, each with a known truth to score attention maps against.

A task draws descriptions (`Scenes`) from a seed or a generator; `draw` turns them into pictures.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite import checks
from attention_lite.lab.precision import float32
from attention_lite.lab.scenes import CROPS, DIGITS, Scenes, digits, target_mask

PRIMARIES = ("red", "green", "blue")
PRIMARY_HUES = torch.tensor([0.0, 1 / 3, 2 / 3], dtype=torch.float32)
# red, yellow, green, cyan, blue, magenta
SIX_HUES = torch.tensor([0.0, 0.13, 0.33, 0.5, 0.64, 0.83], dtype=torch.float32)
BLACK = 6                # the label of a black dot, after those of the six hues: never an answer


def rgb(hue: Tensor, saturation: Tensor | float, value: Tensor | float) -> Tensor:
    """Convert hue, saturation and value, each in [0, 1], to RGB on a new last axis."""
    def component(n: float) -> Tensor:
        k = (n + hue * 6) % 6
        return value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1)

    return torch.stack([component(5.0), component(3.0), component(1.0)], -1)


class Task:
    """A family of scenes on one side of the split.

    size: of the picture, in pixels at scale 1.
    blind: what a network reaches that reads digits and does not know which one is meant.
    """

    name: str
    size: int
    blind: float

    def __init__(self, split: str) -> None:
        if split not in tuple(DIGITS):
            raise ValueError(f"split must be one of {', '.join(DIGITS)}; got {split!r}")
        self.split = split
        labels = digits(split)[1]
        self._of_class = [torch.where(labels == c)[0] for c in range(10)]

    @float32()
    def sample(self, n: int, seed: int | torch.Generator, hide: float = 0.0, contrast: float = 1.0) -> Scenes:
        """Describe n scenes.

        Args:
            n: how many, at least 1.
            seed: an integer, or a generator that goes on from where it is.
            hide: probability that a digit which is not to be read is left invisible.
            contrast: the photographs' contrast, from 0 (their mean colour) to 1. It and `hide` make the training's
                curriculum.

        Raises:
            ValueError: if `n` is below 1, `seed` is neither an integer nor a generator, or `hide` or `contrast`
                is outside [0, 1].
        """
        n = checks.positive_int("n", n)
        hide = checks.share("hide", hide)
        contrast = checks.share("contrast", contrast)
        if not isinstance(seed, torch.Generator):
            seed = checks.integer("seed", seed)
            seed = torch.Generator().manual_seed(seed)
        return self._sample(n, seed, hide).replace(contrast=torch.full((n,), float(contrast)))

    def loss(self, output: Tensor, scenes: Scenes) -> Tensor:
        """What a training makes small: the cross-entropy of the class scores, (n, 10), with the right answers."""
        return F.cross_entropy(output, scenes.answer.to(output.device))

    def _sample(self, n: int, generator: torch.Generator, hide: float) -> Scenes:
        raise NotImplementedError

    def _digits(self, n: int, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Labels (n, k), all different within a scene, and one glyph (n, k) for each."""
        label = torch.rand(n, 10, generator=generator).argsort(1)[:, :k]
        pick = torch.rand(n, k, generator=generator)
        glyph = torch.zeros_like(label)
        for c, members in enumerate(self._of_class):
            glyph = torch.where(label == c, members[(pick * len(members)).long()], glyph)
        return glyph, label


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=generator)


def _vivid(hue: Tensor, generator: torch.Generator) -> Tensor:
    """Colours of the given hues, (…, 3), slightly different each time."""
    hue = hue + _uniform(generator, -0.02, 0.02, *hue.shape)
    return rgb(hue, _uniform(generator, 0.75, 1, *hue.shape), _uniform(generator, 0.75, 1, *hue.shape))


def _hide_others(opacity: Tensor, target: Tensor, hide: float, generator: torch.Generator) -> Tensor:
    """Set the opacity of digits other than the target to zero with probability `hide`."""
    shown = torch.rand(opacity.shape, generator=generator) >= hide
    shown[torch.arange(len(target)), target] = True
    return opacity * shown


class ContextGating(Task):
    """A red, a green and a blue digit in the middle of a photograph; the colour of the frame says which to read.

    No unit of a small convolutional net that sees more than the edge of a digit also sees the frame: the answer
    needs global context.
    """

    name = "context-gating"
    size = 64
    blind = 1 / 3

    def _sample(self, n: int, generator: torch.Generator, hide: float) -> Scenes:
        target = torch.randint(3, (n,), generator=generator)
        glyph, label = self._digits(n, 3, generator)
        turn = 2 * torch.pi * (torch.rand(n, 1, generator=generator) + torch.arange(3) / 3)
        jitter = lambda: _uniform(generator, -1, 1, n, 1)  # noqa: E731
        opacity = _uniform(generator, 0.85, 1, n, 3)
        return Scenes(
            split=self.split, size=self.size,
            photo=torch.randint(CROPS, (n,), generator=generator),
            light=_uniform(generator, 0.6, 1.1, n), contrast=torch.ones(n),
            glyph=glyph, label=label,
            y=self.size / 2 + 9 * turn.sin() + jitter(), x=self.size / 2 + 9 * turn.cos() + jitter(),
            side=_uniform(generator, 13, 15, n, 3), angle=_uniform(generator, -0.2, 0.2, n, 3),
            opacity=_hide_others(opacity, target, hide, generator),
            colour=_vivid(PRIMARY_HUES.expand(n, 3), generator),
            target=target, frame=_vivid(PRIMARY_HUES[target], generator))


@float32()
def ask_for(scenes: Scenes, which: int) -> Scenes:
    """The same scenes with frame or disc recoloured, so that it asks for digit `which` (of a frame: red, green, blue).

    Raises:
        ValueError: if `which` is none of 0, 1 and 2, or the scenes have neither frame nor disc.
    """
    which = checks.plain(which)
    if which not in (0, 1, 2):
        raise ValueError(f"which must be 0 (red), 1 (green) or 2 (blue), got {which!r}")
    asked = torch.full_like(scenes.target, which)
    if scenes.frame is not None:
        colour = rgb(PRIMARY_HUES[which], torch.tensor(0.9), torch.tensor(0.9))
        return scenes.replace(frame=colour.expand(len(scenes), 3), target=asked)
    if scenes.disc_colour is not None:
        return scenes.replace(disc_colour=scenes.colour[:, which], target=asked)
    raise ValueError("scenes must have a frame or a disc (both are None): context gating and cued search draw one")


class CuedSearch(Task):
    """Three digits of different colours and a disc, in cells of a 3 × 3 grid: read the digit of the disc's colour."""

    name = "cued-search"
    size = 48
    blind = 1 / 3        # as an IoU too: of three digits painted, one is right

    def _sample(self, n: int, generator: torch.Generator, hide: float) -> Scenes:
        target = torch.randint(3, (n,), generator=generator)
        glyph, label = self._digits(n, 3, generator)
        cell = torch.rand(n, 9, generator=generator).argsort(1)[:, :4]     # three for the digits, the last for the disc
        y = (cell // 3 + 0.5) * 16 + _uniform(generator, -1.5, 1.5, n, 4)
        x = (cell % 3 + 0.5) * 16 + _uniform(generator, -1.5, 1.5, n, 4)
        hue = SIX_HUES[torch.rand(n, 6, generator=generator).argsort(1)[:, :3]]
        opacity = _uniform(generator, 0.85, 1, n, 3)
        return Scenes(
            split=self.split, size=self.size,
            photo=torch.randint(CROPS, (n,), generator=generator),
            light=_uniform(generator, 0.6, 1.1, n), contrast=torch.ones(n),
            glyph=glyph, label=label, y=y[:, :3], x=x[:, :3],
            side=_uniform(generator, 13, 16, n, 3), angle=_uniform(generator, -0.2, 0.2, n, 3),
            opacity=_hide_others(opacity, target, hide, generator), colour=_vivid(hue, generator),
            target=target, disc_yx=torch.stack([y[:, 3], x[:, 3]], 1),
            disc_colour=_vivid(hue.gather(1, target[:, None])[:, 0], generator))


class CuedSegmentation(CuedSearch):
    """The scenes of cued search: paint the digit of the disc's colour, and nothing else."""

    name = "cued-segmentation"

    def loss(self, output: Tensor, scenes: Scenes) -> Tensor:
        """Cross-entropy of each pixel plus one minus the Dice overlap, of logits (n, S, S) with the digit's cover.

        The digit is a small part of the picture: with cross-entropy alone, painting nothing would cost little.
        """
        truth, painted = target_mask(scenes).to(output.device), output.sigmoid()
        dice = 2 * (painted * truth).sum((1, 2)) / (painted + truth).sum((1, 2))
        return F.binary_cross_entropy_with_logits(output, truth) + 1 - dice.mean()


class OneDigit(Task):
    """One digit of any colour anywhere on a photograph: read it. Its mask is the truth for spatial maps."""

    name = "one-digit"
    size = 48
    blind = 1 / 10       # there is nothing to choose: one class of ten
    sides = (15.0, 19.0)     # of the digit, in pixels

    def _sample(self, n: int, generator: torch.Generator, hide: float) -> Scenes:
        glyph, label = self._digits(n, 1, generator)
        side = _uniform(generator, *self.sides, n, 1)
        free = self.size - side
        return Scenes(
            split=self.split, size=self.size,
            photo=torch.randint(CROPS, (n,), generator=generator),
            light=_uniform(generator, 0.6, 1.1, n), contrast=torch.ones(n),
            glyph=glyph, label=label,
            y=side / 2 + free * torch.rand(n, 1, generator=generator),
            x=side / 2 + free * torch.rand(n, 1, generator=generator),
            side=side, angle=_uniform(generator, -0.2, 0.2, n, 1), opacity=_uniform(generator, 0.75, 1, n, 1),
            colour=rgb(torch.rand(n, 1, generator=generator), _uniform(generator, 0.5, 1, n, 1),
                       _uniform(generator, 0.6, 1, n, 1)),
            target=torch.zeros(n, dtype=torch.long))


class AnySize(OneDigit):
    """One digit on a photograph, from small to three times as large: read it at whatever scale it stands."""

    name = "any-size"
    sides = (9.0, 28.0)


def enlarge(scenes: Scenes, side: float) -> Scenes:
    """The same scenes with their one digit `side` pixels large, moved inwards where it would stick out.

    Raises:
        ValueError: if `side` is not a number above 0 and at most the picture's, or a scene has several digits.
    """
    side = checks.positive_number("side", side)
    if side > scenes.size:
        raise ValueError(f"side must be at most the picture's, {scenes.size} pixels, got {side}")
    if scenes.label.shape[1] != 1:
        raise ValueError(f"scenes must have one digit each, got {scenes.label.shape[1]}")
    low, high = side / 2, scenes.size - side / 2
    return scenes.replace(side=torch.full_like(scenes.side, side), y=scenes.y.clamp(low, high),
                          x=scenes.x.clamp(low, high))


class Binding(Task):
    """Flags in cells of a 3 × 3 grid, half of them with a coloured dot, half with a black one. One dotted flag has a
    twin among the black ones, alike in every part: name the colour of its dot.

    No part on its own tells. Each hue that a part of the dotted flags has stands once at that part of the black ones
    too, but only the twin has all of its hues on one flag. That two hues belong to one thing is what is to be bound.
    (With a single part there is nothing to bind: the black flags without a twin have hues of their own.)

    parts: of a flag, 1 to 4.  pairs: how many dotted flags, and as many black ones, 3 or 4. The target's twin is the
    first black one: number `pairs`.
    """

    size = 48
    parts: int
    pairs = 3
    blind = 1 / 3        # one dotted flag of three

    def _sample(self, n: int, generator: torch.Generator, hide: float) -> Scenes:
        pairs, items = self.pairs, 2 * self.pairs
        target = torch.randint(pairs, (n,), generator=generator)
        label = torch.full((n, items), BLACK)
        label[:, :pairs] = torch.rand(n, 6, generator=generator).argsort(1)[:, :pairs]
        dot = _vivid(SIX_HUES[label.clamp(max=5)], generator) * (label < BLACK)[:, :, None]
        cell = torch.rand(n, 9, generator=generator).argsort(1)[:, :items]
        y = (cell // 3 + 0.5) * 16 + _uniform(generator, -1, 1, n, items)
        x = (cell % 3 + 0.5) * 16 + _uniform(generator, -1, 1, n, items)
        opacity = _uniform(generator, 0.9, 1, n, items)
        shown = torch.rand(n, items, generator=generator) >= hide
        shown[torch.arange(n), target] = True
        shown[:, pairs] = True                                     # its twin
        hues = self._hues(n, target, generator) + _uniform(generator, -0.01, 0.01, n, items, self.parts)
        return Scenes(
            split=self.split, size=self.size,
            photo=torch.randint(CROPS, (n,), generator=generator),
            light=_uniform(generator, 0.4, 0.7, n), contrast=torch.ones(n),
            glyph=torch.zeros_like(label), label=label, y=y, x=x,
            side=_uniform(generator, 12.5, 14, n, items), angle=torch.zeros(n, items),
            opacity=opacity * shown, colour=dot, target=target,
            flags=rgb(hues, torch.tensor(0.75), torch.tensor(0.85)))

    def _hues(self, n: int, target: Tensor, generator: torch.Generator) -> Tensor:
        """The hues of all parts: (n, items, parts)."""
        pairs, parts = self.pairs, self.parts
        ring = (torch.rand(n, 1, parts, generator=generator) + torch.arange(pairs)[:, None] / pairs
                + _uniform(generator, -0.03, 0.03, n, pairs, parts))
        order = torch.rand(n, pairs, parts, generator=generator).argsort(1)
        dotted = ring.gather(1, order)
        twin = dotted[torch.arange(n), target][:, None]
        # The others, in their order, lend the black flags their hues: each part is shifted on its own.
        others = dotted[torch.arange(pairs) != target[:, None]].view(n, pairs - 1, parts)
        if parts == 1:
            return torch.cat([dotted, twin, others + 0.5 / pairs], 1)
        shift = self._shifts(n, generator)
        black = others.gather(1, (torch.arange(pairs - 1)[:, None] + shift[:, None]) % (pairs - 1))
        return torch.cat([dotted, twin, black], 1)

    def _shifts(self, n: int, generator: torch.Generator) -> Tensor:
        """How far each part is shifted, (n, parts): not all of a scene alike, or another flag would have a twin."""
        shift = torch.randint(self.pairs - 1, (n, self.parts), generator=generator)
        alike = (shift == shift[:, :1]).all(1)
        other = torch.randint(self.parts, (n,), generator=generator)
        shift[torch.arange(n), other] += alike * (1 + torch.randint(max(1, self.pairs - 2), (n,), generator=generator))
        return shift % (self.pairs - 1)


def _binding(parts: int) -> type[Binding]:
    return type(f"Binding{parts}", (Binding,), {"name": f"binding-{parts}", "parts": parts, "__module__": __name__})


BINDINGS = tuple(_binding(parts) for parts in range(1, 5))

TASKS: dict[str, type[Task]] = {task.name: task for task in (ContextGating, CuedSearch, CuedSegmentation, OneDigit,
                                                              AnySize, *BINDINGS)}
