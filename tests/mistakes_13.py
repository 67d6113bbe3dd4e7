"""Mistakes that people make in the exercises of chapter 13, and a part of the sentence that each must get."""

import numpy as np
import torch


def _masks(a, b):
    return a > 0.3, b > 0.3


def _recall(a, b):
    A, B = _masks(a, b)
    return (A & B).sum() / A.sum()


def _precision(a, b):
    A, B = _masks(a, b)
    return (A & B).sum() / B.sum()


def _agreement(a, b):
    A, B = _masks(a, b)
    return (A == B).float().mean()


def _dice(a, b):
    A, B = _masks(a, b)
    return 2 * (A & B).sum() / (A.sum() + B.sum())


MISTAKES = {
    "gates-overlap": [
        (_recall, "first map only"), (_precision, "second map only"), (_agreement, "where the maps agree"),
        (_dice, "known as Dice"), (lambda a, b: torch.minimum(a, b).sum() / torch.maximum(a, b).sum(), "threshold is"),
        (lambda a, b: ((a > 0.3) & (b > 0.3)).sum(), "number of shared places"),
        (lambda a, b: 0.5, "you get"), (lambda a, b: a > 0.3, "expected a number")],
    "gates-rescue": [
        (["stage 2"], "no block of the name"), (3, "expected a list of names"),
        (["smooths.0.se"], "is asked for"), (["stages.1.1.se", "stages.2.1.se", "stages.2.3.se"], "Fewer will do")],
    "gates-explain": [("a", "it could"), ("b", "need not sum"), ("d", "larger network"),
                      ("e", "choose one of the letters")],
}

RIGHT = {
    "gates-explain": ["(c)", "c)", "C."],
    "gates-rescue": [("stages.1.1.se",), {"stages.1.1.se"}, "stages.1.1", np.array(["stages.1.1.se"])],
    "gates-overlap": [lambda a, b: ((a > 0.3) & (b > 0.3)).sum().item() / ((a > 0.3) | (b > 0.3)).sum().item()],
}
