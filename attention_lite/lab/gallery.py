"""A small picture of each mechanism and of both real networks at work, for a page that shows them all."""

import numpy as np
import torch

from attention_lite import SimAM
from attention_lite.lab import comparison, photographs, printed, seen, text_gates
from attention_lite.lab.asking import changes
from attention_lite.lab.checkpoints import load_checkpoint
from attention_lite.lab.experiments import lines
from attention_lite.lab.pretrained import text_detector, vision_transformer
from attention_lite.lab.scenes import Scenes, brightened, disc_mask, draw, frame_mask, masks
from attention_lite.lab.tasks import ContextGating, CuedSearch, OneDigit, ask_for
from attention_lite.lab.training import pictures

GATES = ("se", "eca", "cbam", "bam", "sk", "psa")
READERS = ("self-attention", "danet", "emsa", "external")
EXTRA = ("coordinate", "global context", "simam")      # outside the comparison, whose scenes the others show
REAL = ("transformer", "text")
SIDE = 192            # pixels: a multiple of both tasks' scenes
FULL = 64             # times an even share: from there on a patch has all its light
GAP = 6               # between two pictures side by side
LIGHT, SHADE = (np.array(colour) for colour in ((1.0, 0.97, 0.8), (0.05, 0.04, 0.15)))
MARKER, ASKING = (np.array(colour) for colour in ((1.0, 0.85, 0.0), (0.4, 0.8, 1.0)))


def thumbnail(name: str) -> np.ndarray:
    """The picture of a mechanism or a real network, uint8, (SIDE, SIDE, 3).

    Of a mechanism, (SIDE, 2 SIDE + GAP, 3): a scene in grey twice, its first digit asked for and its last, the digits
    as lines of their colours; light where the trained block puts out more than on average over the three that could
    be asked for, dark where less. Of the transformer: where a head looks from the astronaut's name badge, which has a
    blue line around it. Of the text detector: what it takes for text. Of coordinate attention: where the gates of rows
    and columns let most pass. Of a global context block: where its map lies. Of SimAM: where its gates are highest on
    the cat's own three colours.

    Raises:
        ValueError: if there is none of that name, or a real network's weights are missing.
    """
    if name in REAL:
        picture = _transformer() if name == "transformer" else _text()
    elif name in GATES + READERS:
        picture = _mechanism(name)
    elif name in EXTRA:
        picture = {"coordinate": _coordinate, "global context": _context, "simam": lambda: cat(SIDE)}[name]()
    else:
        raise ValueError(f"name must be one of {', '.join(GATES + READERS + EXTRA + REAL)}; got {name!r}")
    return (255 * picture.clip(0, 1)).round().astype(np.uint8)


def _mechanism(name: str) -> np.ndarray:
    """The scene of the overview pages, and of the five trainings the one that reads best on validation."""
    task = ContextGating if name in GATES else CuedSearch
    rows = [row for row in comparison.load()["rows"]
            if (row["task"], row["model"]) == ("context-gating" if name in GATES else "cued-search", name)]
    best = max(rows, key=lambda row: row["validation_accuracy"])
    net = load_checkpoint(best["task"], name, best["seed"])[0].requires_grad_(False)
    scene = task("test").sample(200, seed=2)[:1]
    digits = [0, 2]
    change = changes(net, scene)[digits, 0].nan_to_num()
    change = (change / change.abs().max()).numpy()          # one scale for both
    first, last = (_asked(ask_for(scene, digit), one, name in GATES)
                   for digit, one in zip(digits, change, strict=True))
    return np.concatenate([first, np.full((SIDE, GAP, 3), 0.5), last], axis=1)


def _asked(scene: Scenes, change: np.ndarray, by_frame: bool) -> np.ndarray:
    """A scene in grey with the block's change over it, (h, w) in [-1, 1]; digits are lines, the cue is as it was."""
    scale = SIDE // scene.size
    bare = brightened(draw(scene.replace(opacity=torch.zeros_like(scene.opacity)), scale))[0].mean(0)[..., None].numpy()
    grey = 0.47 + 0.45 * (bare - bare.mean())               # of colours only the digits' and the cue's are left
    change = _enlarged(change)
    shown = grey + 0.95 * np.abs(change) ** 0.6 * (np.where(change > 0, LIGHT, SHADE) - grey)
    for mask, colour in zip(masks(scene, scale)[0], scene.colour[0].numpy(), strict=True):
        shown = np.where(_edge(mask, 3), colour, shown)
    cue = frame_mask(scene.size, scale) if by_frame else disc_mask(scene, scale)[0]
    return np.where(cue.numpy()[..., None] > 0.5, draw(scene, scale)[0].permute(1, 2, 0).numpy(), shown)


def _edge(mask: torch.Tensor, width: int) -> np.ndarray:
    """A line so wide around what a mask (SIDE, SIDE) covers: bool (SIDE, SIDE, 1)."""
    whole = (mask[None] > 0.5).float()
    return (torch.nn.functional.max_pool2d(whole, 2 * width + 1, 1, width) > whole)[0, ..., None].numpy()


def _coordinate() -> np.ndarray:
    """A scene of one digit, lit by the last gates of the network without shortcuts, the mean of all channels."""
    scene = OneDigit("test").sample(200, seed=2)[:1]
    net = load_checkpoint(lines.TASK, "coordinate-plain", 0)[0]
    gates = lines.crossed(lines.run(net, pictures(scene), lambda block, own: own)[1][-1])[0]
    strength = _enlarged(((gates - gates.min()) / (gates.max() - gates.min())).numpy())
    return _lit(draw(scene, SIDE // scene.size)[0].permute(1, 2, 0).numpy(), strength)


@torch.no_grad()
def _context() -> np.ndarray:
    """The gates' scene, lit where the one map lies, of three trainings that of the best on validation."""
    scene = ContextGating("test").sample(200, seed=2)[:1]
    trained = [load_checkpoint("context-gating", "global-context", seed) for seed in range(3)]
    net, _ = max(trained, key=lambda one: one[1]["validation_accuracy"])
    weights = net.block.attention(net.stem(pictures(scene)))["context"][0].numpy()
    return _lit(draw(scene, SIDE // scene.size)[0].permute(1, 2, 0).numpy(), _enlarged(weights / weights.max()))


def cat(side: int) -> np.ndarray:
    """The cat, lit by SimAM's gates of its own three colours, their mean at each place: (side, side, 3) in [0, 1].

    The highest fiftieth of the gates is lit in full.
    """
    picture = photographs.picture(photographs.load("chelsea"), side)
    gates = SimAM().attention(picture)["channel_and_place"][0].mean(0).numpy()
    strength = ((gates - gates.min()) / (np.quantile(gates, 0.98) - gates.min())).clip(0, 1)
    return _lit(picture[0].permute(1, 2, 0).numpy(), strength[..., None] ** 1.5, glow=0.7).clip(0, 1)


def _lit(picture: np.ndarray, strength: np.ndarray, glow: float = 0.25) -> np.ndarray:
    """A picture (S, S, 3), dark but where the strength (S, S, 1), from 0 to 1, lights it in yellow."""
    return picture * (0.45 + 0.55 * strength) + glow * strength * MARKER


@torch.no_grad()
def _transformer() -> np.ndarray:
    looked = seen.see(vision_transformer(), "astronaut")
    head = seen.named_head("astronaut")
    q, k = (tokens[head["layer"], head["head"]] for tokens in (looked.queries, looked.keys))
    patch = seen.patch_of("astronaut", "name badge")
    scores = k @ q[1 + patch] / q.shape[-1] ** 0.5
    weights = scores.softmax(0)[1:].unflatten(0, (seen.GRID, seen.GRID)).numpy()
    strength = _enlarged((len(k) * weights / FULL).clip(0, 1) ** 0.5)
    asking = torch.zeros(seen.GRID ** 2).index_fill(0, torch.tensor(patch), 1).unflatten(0, (seen.GRID, seen.GRID))
    lit = _lit(text_gates.square(looked.image, SIDE) / 255, strength)
    return np.where(_edge(torch.from_numpy(_enlarged(asking.numpy())[..., 0]), 2), ASKING, lit)


@torch.no_grad()
def _text() -> np.ndarray:
    signed = printed.with_words("coffee")
    text, _ = text_gates.look(text_detector(), photographs.picture(signed, text_gates.SIDE))
    picture = text_gates.square(signed, SIDE) / 255
    shade = _enlarged((text > text_gates.TEXT).float().numpy())
    grey = picture.mean(2, keepdims=True) * 0.75 + 0.25
    return grey * (1 - shade) + (0.35 * picture + 0.65 * MARKER) * shade


def _enlarged(values: np.ndarray) -> np.ndarray:
    """A square map at the size of the picture, each place a square; (SIDE, SIDE, 1)."""
    at = np.arange(SIDE) * len(values) // SIDE
    return values[at][:, at, None]
