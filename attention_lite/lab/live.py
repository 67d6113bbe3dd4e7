"""What a live explorer shows of the lab: networks to run in the page, scenes to change, and scenes to count over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_lite import record_attention
from attention_lite.block import AttentionBlock
from attention_lite.lab import photographs, scoring
from attention_lite.lab.checkpoints import load_checkpoint, round_to_half
from attention_lite.lab.page_weights import pack
from attention_lite.lab.recipes import check_run, recipe_of
from attention_lite.lab.scenes import (
    READER_GAMMA,
    READER_SCALE,
    Scenes,
    _all_crops,
    _crop,
    brightened,
    digits,
    for_readers,
    levels,
)
from attention_lite.lab.tasks import BLACK, PRIMARIES, PRIMARY_HUES, SIX_HUES, TASKS, rgb
from attention_lite.lab.training import pictures, untrained
from attention_lite.networks import SegmentNet

# Maps that a mean may replace.
GATES = {"channel", "spatial", "rows", "columns", "channel_logits", "spatial_logits", "kernel", "split"}
SIX = ("red", "yellow", "green", "cyan", "blue", "magenta")
FIELDS = ("light", "contrast", "y", "x", "side", "angle", "opacity", "colour", "frame", "disc_yx", "disc_colour",
          "flags")


@dataclass(frozen=True)
class Stage:
    """Networks and scenes of one task, as arrays.

    size: side of a picture, in pixels.  palette: {name: [r, g, b]}, the colours that frame, disc and digits may take.
    networks: for each its part, model, seed and whether it is trained.  weights: {part: bytes}, see `page_weights`.
    maps: {part: {block: {map: its shape}}}, of the blocks' attention(), without the batch.
    means: {part: {block: {map: array}}}: the mean over the counted scenes of each map of GATES.
    scenes, counted: descriptions, each with the names of its digits, its answer and what its cue says.
    crops, counted_crops: uint8 (n, 3, S, S), the photographs behind them.
    inks: of each class 0 … 9 the first digit of the scenes' side, its 64 grey levels as letters.
    gamma: the power that brightens every value that the reader is shown, see `scenes.brightened`.
    crisp: uint8 (n, 4 S, 4 S, 3), those of `scenes` for the reader, with the scene's light, brightened.
    stills: uint8 (n, 4 S, 4 S, 3), the scenes as `for_readers` has them: what is seen before the network is there.
    names, alt: what each scene is called, and what it shows.
    """

    size: int
    palette: dict[str, list[float]]
    inks: list[str]
    networks: list[dict[str, Any]]
    weights: dict[str, bytes]
    maps: dict[str, dict[str, dict[str, tuple[int, ...]]]]
    means: dict[str, dict[str, dict[str, np.ndarray]]]
    scenes: list[dict[str, Any]]
    crops: np.ndarray
    gamma: float
    crisp: np.ndarray
    stills: np.ndarray
    names: list[str]
    alt: list[str]
    counted: list[dict[str, Any]]
    counted_crops: np.ndarray


def stage(task: str, model: str, *, seeds: Sequence[int] = (0,), controls: Sequence[str | tuple[str, int]] = (),
          before_training: bool = False, scenes: Scenes | None = None, counted: Scenes | None = None) -> Stage:
    """The networks of `task` with the block `model`, and with those of `controls`, for a live explorer.

    Args:
        task, model, seeds: trained networks that are shipped; the first seed is the one that is shown.
        controls: other models of the task, which take the block's place, in the trainings of `seeds`; or each a pair:
            a model, and the one seed that is shown.
        before_training: whether the networks before their first step come along.
        scenes: those that are shown; by default the first of the counted ones on each photograph, and the first that
            the network of the first seed misreads.
        counted: those over which an intervention is counted; by default the first 200 test scenes of seed 2.

    Raises:
        ValueError: if a task, model or seed is unknown, or the scenes are not the task's.
    """
    if not seeds:
        raise ValueError("seeds must hold one seed at least, got none")
    shown = [(model, seeds), *((c, seeds) if isinstance(c, str) else (c[0], [c[1]]) for c in controls)]
    shown = [(name, [check_run(task, name, seed) for seed in its]) for name, its in shown]
    kind = recipe_of(task).task
    counted = TASKS[kind.name]("test").sample(200, seed=2) if counted is None else counted
    scenes = _chosen(load_checkpoint(task, model, shown[0][1][0])[0], counted) if scenes is None else scenes
    for name, given in (("scenes", scenes), ("counted", counted)):
        if given.size != kind.size:
            raise ValueError(f"{name} must be {kind.size} pixels wide in the task {task}, got {given.size}")
    networks = [{"model": name, "seed": seed, "trained": trained, "part": _part(name, seed, trained)}
                for name, its in shown for trained in ((True, False) if before_training else (True,)) for seed in its]
    palette = _palette(counted)
    maps, means = _mean_maps(task, networks, counted)
    return Stage(
        size=kind.size, palette=palette, inks=_inks(scenes.split), networks=networks,
        weights={n["part"]: pack(task, n["model"], n["seed"], n["trained"]) for n in networks},
        maps=maps, means=means,
        scenes=_described(scenes, palette), crops=_crops(scenes), gamma=READER_GAMMA, crisp=_crisp(scenes),
        stills=_bytes(for_readers(scenes)),
        names=[f"{name} {i + 1}" for i, name in enumerate(scenes.photographs)],
        alt=[_alt(scenes, i, palette) for i in range(len(scenes))],
        counted=_described(counted, palette), counted_crops=_crops(counted))


def _part(model: str, seed: int, trained: bool) -> str:
    return f"{model} {seed}{'' if trained else ' before training'}"


def _chosen(net: torch.nn.Module, scenes: Scenes) -> Scenes:
    """The first scene on each photograph, and the first that the network misreads."""
    first = [scenes.photographs.index(name) for name in photographs.SPLITS[scenes.split] if name in scenes.photographs]
    if not isinstance(net, SegmentNet):       # that one paints, and names no class
        wrong = torch.where(scoring.predictions(net, scenes) != scenes.answer)[0].tolist()
        first += [i for i in wrong if i not in first][:1]
    return scenes[first]


@torch.no_grad()
def _mean_maps(task: str, networks: list[dict[str, Any]], scenes: Scenes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The shapes of all maps, and the means of those that are gates, as `Stage` has them."""
    shapes, means, parts = {}, {}, pictures(scenes).split(50)
    for n in networks:
        net = (load_checkpoint(task, n["model"], n["seed"])[0] if n["trained"]
               else round_to_half(untrained(task, n["model"], n["seed"])))
        found, total = {}, {}
        if any(isinstance(module, AttentionBlock) for module in net.modules()):
            for x in parts:
                with record_attention(net) as recorded:
                    net(x)
                found = {block: {name: tuple(map_.shape[1:]) for name, map_ in maps.items()}
                         for block, maps in recorded.items()}
                for block, maps in recorded.items():
                    for name in GATES & set(maps):
                        total[block, name] = total.get((block, name), 0) + maps[name].sum(0)
                if not any(GATES & set(maps) for maps in recorded.values()):
                    break                       # pairs of places have no mean that another picture could use
        shapes[n["part"]] = found
        means[n["part"]] = {block: {name: (total[block, name] / len(scenes)).numpy() for name in GATES & set(maps)}
                            for block, maps in found.items()}
    return shapes, means


def _palette(scenes: Scenes) -> dict[str, list[float]]:
    names, hues = (SIX, SIX_HUES) if scenes.frame is None else (PRIMARIES, PRIMARY_HUES)
    return {name: rgb(hue, torch.tensor(0.9), torch.tensor(0.9)).tolist()
            for name, hue in zip(names, hues, strict=True)}


def _nearest(colour: Tensor | None, palette: dict[str, list[float]]) -> str | None:
    """The name of the palette's colour of the nearest direction: shades do not count."""
    if colour is None:
        return None
    value = colour - colour.min()
    return max(palette, key=lambda name: float(torch.cosine_similarity(
        value, torch.tensor(palette[name]) - min(palette[name]), dim=0)))


def _letters(grey: np.ndarray) -> str:
    """Grey levels 0 … 16 as letters a … q."""
    return "".join(chr(97 + v) for v in grey.ravel())


def _inks(split: str) -> list[str]:
    labels = digits(split)[1].tolist()
    return [_letters(levels(split)[labels.index(digit)]) for digit in range(10)]


def _described(scenes: Scenes, palette: dict[str, list[float]]) -> list[dict[str, Any]]:
    found = []
    for i in range(len(scenes)):
        values = {name: getattr(scenes, name) for name in FIELDS}
        cue = scenes.frame if scenes.frame is not None else scenes.disc_colour
        found.append({
            "size": scenes.size,
            "levels": [_letters(levels(scenes.split)[g]) for g in scenes.glyph[i]] if scenes.flags is None else [],
            **{name: None if value is None else value[i].tolist() for name, value in values.items()},
            "labels": scenes.label[i].tolist(), "target": int(scenes.target[i]),
            "digits": _names(scenes, i, palette),
            "cue": None if cue is None else _nearest(cue[i], palette)})
    return found


def _crops(scenes: Scenes) -> np.ndarray:
    return _all_crops(scenes.split, scenes.size)[scenes.photo].numpy()


def _crisp(scenes: Scenes) -> np.ndarray:
    crops = torch.stack([_crop(scenes.split, scenes.size, i, READER_SCALE) for i in scenes.photo.tolist()])
    mean = crops.mean((2, 3), keepdim=True)
    bright = torch.lerp(mean, crops, scenes.contrast[:, None, None, None]) * scenes.light[:, None, None, None]
    return _bytes(brightened(bright.clamp(0, 1)).permute(0, 2, 3, 1))


def _bytes(pictures: Tensor) -> np.ndarray:
    return (pictures * 255).round().byte().numpy()


def _names(scenes: Scenes, i: int, palette: dict[str, list[float]]) -> list[str]:
    """The colour of each digit, or of each flag's dot."""
    if scenes.flags is not None:
        return ["black" if label == BLACK else SIX[label] for label in scenes.label[i].tolist()]
    return [_nearest(c, palette) for c in scenes.colour[i]]


def _alt(scenes: Scenes, i: int, palette: dict[str, list[float]]) -> str:
    names = _names(scenes, i, palette)
    if scenes.flags is not None:
        return (f"Flags on a photograph ({scenes.photographs[i]}): with dots of {', '.join(names)}; the one with the "
                f"{names[scenes.target[i]]} dot has a twin among the black ones")
    digits = ", ".join(f"a {name} {label}" for name, label in zip(names, scenes.label[i].tolist(), strict=True))
    cue = ""
    if scenes.frame is not None:
        cue = f"; around it a {_nearest(scenes.frame[i], palette)} frame"
    elif scenes.disc_colour is not None:
        cue = f"; beside them a {_nearest(scenes.disc_colour[i], palette)} disc"
    return f"Handwritten digits on a photograph ({scenes.photographs[i]}): {digits}{cue}"
