"""Noise taken off a photograph by averages of its pixels: of the nearest ones, or of those that are like it.

Nearness is the control of likeness: a box or a Gaussian bell weighs a pixel by where it lies alone. Each method's one
setting is chosen on three photographs and reported on three others.
"""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from attention_lite.lab import patches
from attention_lite.lab.precision import float32

NOISE = 0.1              # its standard deviation; colours run from 0 to 1
SIDE, SOURCE = 48, 96    # pixels of a piece, and of the photograph's middle that it is made of
TUNING, REPORTED = ("astronaut", "flower", "rocket"), ("chelsea", "china", "coffee")
SEEDS = range(3)
SETTINGS: dict[str, tuple[float, ...]] = {
    "box": (3, 5, 7), "bell": (0.6, 0.7, 0.8, 0.9, 1.0),
    "like, itself too": (0.12, 0.14, 0.16, 0.18, 0.2), "like, others": (0.06, 0.08, 0.1, 0.12)}
RUNS = [{"photograph": name, "seed": seed} for name in REPORTED for seed in SEEDS]


def piece(photograph: str) -> Tensor:
    """The middle of a photograph at half its size: (48, 48, 3)."""
    return patches.window(photograph, (SIDE, SIDE), source=(SOURCE, SOURCE))


def add_noise(picture: Tensor, seed: int = 0) -> Tensor:
    """The picture with Gaussian noise on each number."""
    return picture + NOISE * torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed))


def psnr(picture: Tensor, truth: Tensor) -> float:
    """The peak signal-to-noise ratio, in decibels: 3 more is half the squared error."""
    return -10 * math.log10((picture - truth).square().mean())


def near(picture: Tensor, weight: Tensor) -> Tensor:
    """Each pixel becomes an average of the square around it: (H, W, 3), weights (size, size) that sum to one."""
    squares = patches.neighbourhoods(picture, len(weight)).unflatten(1, (weight.numel(), 3))
    return (weight.reshape(-1, 1) * squares).sum(1).reshape(picture.shape)


def box(picture: Tensor, size: float) -> Tensor:
    """The mean of the size × size pixels around each."""
    return near(picture, torch.full((int(size), int(size)), 1 / size ** 2))


def bell(picture: Tensor, width: float) -> Tensor:
    """Weights that fall with the distance between the places, as a Gaussian bell."""
    step = torch.arange(9) - 4
    d2 = step[:, None] ** 2 + step ** 2
    return near(picture, torch.softmax(-d2.flatten() / (2 * width ** 2), 0).view(9, 9))


def like(picture: Tensor, tau: float, itself: bool = False) -> Tensor:
    """Chapter 00's average over all places that look alike, by their 3 × 3 pixels; over the others only, or not."""
    q = patches.neighbourhoods(picture, 3)
    S = 2 * q @ q.T - (q ** 2).sum(1)
    if not itself:
        S.fill_diagonal_(-torch.inf)
    return (torch.softmax(S / tau, 1) @ picture.reshape(-1, 3)).reshape(picture.shape)


METHODS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "box": box, "bell": bell, "like, itself too": lambda picture, tau: like(picture, tau, itself=True),
    "like, others": like}


@cache
def chosen(method: str) -> float:
    """The setting that is best on the photographs for tuning."""
    pieces = [piece(name) for name in TUNING]
    return max(SETTINGS[method], key=lambda setting: sum(
        psnr(METHODS[method](add_noise(truth), setting), truth) for truth in pieces))


@float32()
def measure(photograph: str, seed: int) -> dict:
    """One row: the decibels that each method reaches with the setting named on other photographs."""
    truth = piece(photograph)
    noisy = add_noise(truth, seed)
    return {"noisy": psnr(noisy, truth)} | {
        name: psnr(method(noisy, chosen(name)), truth) for name, method in METHODS.items()} | {
        "settings": {name: chosen(name) for name in METHODS}}
