"""The mechanisms as diagrams: boxes and arrows, drawn by matplotlib from the tables below. Lengths in inches."""

from itertools import pairwise
from typing import NamedTuple

from attention_lite.extras import extra

with extra("book"):
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import to_rgba
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch
    from matplotlib.path import Path
    from matplotlib.text import Text

from attention_lite.figures import CYCLE

WIDTH = 5.5          # of every diagram
PHONE = 4.3          # of every upright one, so that a phone shows its smallest letters large enough
LABEL, SHAPE = 10, 9.1     # points
RADIUS = 0.11        # of a product or a sum
INK = "#404040"      # of lines and shapes

# Told apart by outline as well as by colour: ground (it lets a dark page through), edge, line width, rounding.
KINDS = {
    "map": (to_rgba(CYCLE[0], 0.14), CYCLE[0], 1.0, 0.0),
    "fixed": ("none", "#595959", 1.0, 0.06),
    "learned": (to_rgba(CYCLE[2], 0.14), CYCLE[2], 2.0, 0.06),
    "weights": (to_rgba(CYCLE[1], 0.14), CYCLE[1], 1.0, 0.17),
}


class Box(NamedTuple):
    """A feature map ("map"), a step with nothing to learn ("fixed"), with weights ("learned"), or what makes gates or
    attention weights ("weights"). x and y are its middle."""

    label: str
    x: float
    y: float
    width: float
    kind: str
    height: float = 0.36
    rotation: float = 0


class Join(NamedTuple):
    """A product or a sum of what arrives, element by element: `sign` is × or +."""

    sign: str
    x: float
    y: float


class Arrow(NamedTuple):
    """A line through `points` with a head at the last. `symbol` is what flows and `shape` its shape; they stand on
    either side of the first segment, at the fraction `at` of it."""

    points: tuple[tuple[float, float], ...]
    symbol: str = ""
    shape: str = ""
    at: float = 0.5


class Diagram(NamedTuple):
    """One mechanism: its height, and all that is drawn."""

    height: float
    boxes: tuple[Box, ...]
    joins: tuple[Join, ...]
    arrows: tuple[Arrow, ...]


MAP = r"$C\times H\times W$"
MEAN = "mean over\nplaces"


def _channel_gate(*inner: Box, arrows: tuple[Arrow, ...]) -> Diagram:
    """SE and ECA: the map above, the gates below, and what makes one vector of another between them."""
    x = inner[-1].x
    return Diagram(
        2.0,
        (Box("$x$", 0.25, 1.75, 0.34, "map"), Box(MEAN, 1.05, 0.3, 0.84, "fixed", 0.44), *inner,
         Box(r"$\sigma$", x, 1.02, 0.46, "weights"), Box(r"$\tilde x$", 5.25, 1.75, 0.34, "map")),
        (Join("×", x, 1.75),),
        (Arrow(((0.42, 1.75), (x - RADIUS, 1.75)), "", MAP, 0.6), Arrow(((1.05, 1.75), (1.05, 0.52))), *arrows,
         Arrow(((x, 0.52), (x, 0.84)), "", "$C$"), Arrow(((x, 1.2), (x, 1.75 - RADIUS)), "$s$", "$C$"),
         Arrow(((x + RADIUS, 1.75), (5.08, 1.75)), "", MAP)))


SE = _channel_gate(
    Box(r"$W_1$, $\delta$", 2.5, 0.3, 0.65, "learned", 0.44), Box("$W_2$", 3.8, 0.3, 0.5, "learned", 0.44),
    arrows=(Arrow(((1.47, 0.3), (2.175, 0.3)), "$z$", "$C$"), Arrow(((2.825, 0.3), (3.55, 0.3)), "", "$C/r$")))

# Where SE stands in a ResNet's bottleneck: at the end of the residual branch, before the sum.
SE_IN_RESNET = Diagram(
    1.35,
    (Box("$x$", 0.25, 1.05, 0.34, "map"),
     Box(r"$1\times 1$, $3\times 3$, $1\times 1$", 1.95, 0.3, 1.5, "learned", 0.44),
     Box("SE", 3.5, 0.3, 0.5, "weights"), Box(r"$\delta$", 4.72, 1.05, 0.32, "fixed"),
     Box("$y$", 5.3, 1.05, 0.3, "map")),
    (Join("+", 4.26, 1.05),),
    (Arrow(((0.42, 1.05), (4.15, 1.05)), "the shortcut", MAP), Arrow(((0.62, 1.05), (0.62, 0.3), (1.2, 0.3))),
     Arrow(((2.7, 0.3), (3.25, 0.3))), Arrow(((3.75, 0.3), (4.26, 0.3), (4.26, 0.94))),
     Arrow(((4.37, 1.05), (4.56, 1.05))), Arrow(((4.88, 1.05), (5.15, 1.05)))))

ECA = _channel_gate(
    Box("$k$ weights, slid\nalong the channels", 3.8, 0.3, 1.5, "learned", 0.44),
    arrows=(Arrow(((1.47, 0.3), (3.05, 0.3)), "$z$", "$C$"),))

CBAM = Diagram(
    2.0,
    (Box("$x$", 0.22, 1.75, 0.34, "map"), Box("mean, max\nover places", 0.8, 0.3, 0.94, "fixed", 0.44),
     Box(r"$W_1$, $\delta$, $W_2$" "\nof each, sum", 2.22, 0.3, 1.02, "learned", 0.44),
     Box(r"$\sigma$", 2.22, 1.02, 0.46, "weights"),
     Box("mean, max\nover channels", 3.39, 0.3, 1.1, "fixed", 0.44),
     Box(r"$k\times k$", 4.88, 0.3, 0.46, "learned", 0.44), Box(r"$\sigma$", 4.88, 1.02, 0.46, "weights"),
     Box(r"$\tilde{\tilde x}$", 5.3, 1.75, 0.3, "map")),
    (Join("×", 2.22, 1.75), Join("×", 4.88, 1.75)),
    (Arrow(((0.39, 1.75), (2.11, 1.75)), "", MAP, 0.6), Arrow(((0.8, 1.75), (0.8, 0.52))),
     Arrow(((1.27, 0.3), (1.71, 0.3)), "", r"$2\times C$"), Arrow(((2.22, 0.52), (2.22, 0.84)), "", "$C$"),
     Arrow(((2.22, 1.2), (2.22, 1.64)), "$s$", "$C$"),
     Arrow(((2.33, 1.75), (4.77, 1.75)), r"$\tilde x$", MAP, 0.72), Arrow(((3.39, 1.75), (3.39, 0.52))),
     Arrow(((3.94, 0.3), (4.65, 0.3)), "", r"$2\times H\times W$"),
     Arrow(((4.88, 0.52), (4.88, 0.84)), "", r"$H\times W$"),
     Arrow(((4.88, 1.2), (4.88, 1.64)), "$g$", r"$H\times W$", 0.35), Arrow(((4.99, 1.75), (5.15, 1.75)))))

BAM = Diagram(
    2.7,
    (Box("$x$", 0.22, 2.2, 0.34, "map"), Box(MEAN, 1.1, 1.3, 0.84, "fixed", 0.44),
     Box(r"$W_1$, $\delta$, $W_2$, BN", 2.86, 1.3, 1.44, "learned", 0.44),
     Box(r"$1\times 1$, $\delta$", 0.98, 0.3, 0.6, "learned", 0.44),
     Box(r"$3\times 3$ at $d$, $\delta$, twice" "\n" r"$1\times 1$, BN", 2.86, 0.3, 1.44, "learned", 0.44),
     Box(r"$\sigma$", 4.52, 0.8, 0.46, "weights"), Box("$y$", 5.31, 2.2, 0.3, "map")),
    (Join("+", 4.08, 0.8), Join("×", 4.52, 2.2), Join("+", 4.92, 2.2)),
    (Arrow(((0.39, 2.2), (4.41, 2.2)), "", MAP), Arrow(((0.5, 2.2), (0.5, 1.3), (0.68, 1.3))),
     Arrow(((0.5, 1.3), (0.5, 0.3), (0.68, 0.3))), Arrow(((1.52, 1.3), (2.14, 1.3)), "$z$", "$C$"),
     Arrow(((1.28, 0.3), (2.14, 0.3)), "", r"$(C/r)\times H\times W$"),
     Arrow(((3.58, 1.3), (4.08, 1.3), (4.08, 0.91)), "$M_c$", "$C$"),
     Arrow(((3.58, 0.3), (4.08, 0.3), (4.08, 0.69)), "$M_s$", r"$H\times W$"),
     Arrow(((4.19, 0.8), (4.29, 0.8))), Arrow(((4.52, 0.98), (4.52, 2.09)), "$M$", MAP),
     Arrow(((4.63, 2.2), (4.81, 2.2))), Arrow(((0.5, 2.2), (0.5, 2.58), (4.92, 2.58), (4.92, 2.31))),
     Arrow(((5.03, 2.2), (5.16, 2.2)))))

COORDINATE = Diagram(
    2.65,
    (Box("$x$", 0.22, 2.35, 0.34, "map"), Box("mean of\neach row", 1.06, 1.3, 0.92, "fixed", 0.44),
     Box("mean of\neach column", 1.06, 0.45, 0.92, "fixed", 0.44),
     Box("$F_1$, BN\n" r"$\delta$", 2.48, 0.875, 0.66, "learned", 1.29),
     Box("$F_h$", 3.25, 1.3, 0.4, "learned"), Box("$F_w$", 3.25, 0.45, 0.4, "learned"),
     Box(r"$\sigma$", 3.98, 1.3, 0.42, "weights"), Box(r"$\sigma$", 4.78, 0.45, 0.42, "weights"),
     Box(r"$\tilde x$", 5.31, 2.35, 0.3, "map")),
    (Join("×", 3.98, 2.35), Join("×", 4.78, 2.35)),
    (Arrow(((0.39, 2.35), (3.87, 2.35)), "", MAP), Arrow(((0.49, 2.35), (0.49, 1.3), (0.6, 1.3))),
     Arrow(((0.49, 1.3), (0.49, 0.45), (0.6, 0.45))),
     Arrow(((1.52, 1.3), (2.15, 1.3)), "$z^h$", r"$C\times H$"),
     Arrow(((1.52, 0.45), (2.15, 0.45)), "$z^w$", r"$C\times W$"),
     Arrow(((2.81, 1.3), (3.05, 1.3))), Arrow(((2.81, 0.45), (3.05, 0.45))),
     Arrow(((3.45, 1.3), (3.77, 1.3))), Arrow(((3.45, 0.45), (4.57, 0.45))),
     Arrow(((3.98, 1.48), (3.98, 2.24)), "$g^h$", r"$C\times H$"),
     Arrow(((4.78, 0.63), (4.78, 2.24)), "$g^w$", r"$C\times W$"),
     Arrow(((4.09, 2.35), (4.67, 2.35))), Arrow(((4.89, 2.35), (5.16, 2.35)))))

SK = Diagram(
    2.3,
    (Box("$x$", 0.2, 1.15, 0.3, "map"), Box(r"$3\times 3$" "\n" r"BN, $\delta$", 0.96, 2.0, 0.84, "learned", 0.44),
     Box(r"$3\times 3$ at 2" "\n" r"BN, $\delta$", 0.96, 0.3, 0.84, "learned", 0.44),
     Box(MEAN, 2.3, 1.15, 0.86, "fixed", 0.44),
     Box(r"$W$, BN" "\n" r"$\delta$", 3.24, 1.15, 0.6, "learned", 0.44),
     Box("$A$\n$B$", 3.92, 1.15, 0.26, "learned", 0.44),
     Box("soft-\nmax", 4.48, 1.15, 0.54, "weights", 0.44), Box("$V$", 5.34, 1.15, 0.28, "map")),
    (Join("+", 1.64, 1.15), Join("×", 4.48, 2.0), Join("×", 4.48, 0.3), Join("+", 4.94, 1.15)),
    (Arrow(((0.35, 1.15), (0.44, 1.15), (0.44, 2.0), (0.54, 2.0))),
     Arrow(((0.44, 1.15), (0.44, 0.3), (0.54, 0.3))),
     Arrow(((1.38, 2.0), (4.37, 2.0)), "$U_1$", MAP), Arrow(((1.38, 0.3), (4.37, 0.3)), "$U_2$", MAP),
     Arrow(((1.64, 2.0), (1.64, 1.26))), Arrow(((1.64, 0.3), (1.64, 1.04))), Arrow(((1.75, 1.15), (1.87, 1.15))),
     Arrow(((2.73, 1.15), (2.94, 1.15)), "$s$", "$C$"), Arrow(((3.54, 1.15), (3.79, 1.15)), "$z$", "$d$"),
     Arrow(((4.05, 1.15), (4.21, 1.15))),
     Arrow(((4.48, 1.37), (4.48, 1.89)), "$a$", "$C$"), Arrow(((4.48, 0.93), (4.48, 0.41)), "$b$", "$C$"),
     Arrow(((4.59, 2.0), (4.94, 2.0), (4.94, 1.26))), Arrow(((4.59, 0.3), (4.94, 0.3), (4.94, 1.04))),
     Arrow(((5.05, 1.15), (5.2, 1.15)))))

_ROWS = (2.15, 1.65, 1.15, 0.65)
PSA = Diagram(
    2.4,
    (Box("$x$", 0.22, 1.4, 0.34, "map"),
     *(Box(rf"${k}\times {k}$", 0.98, y, 0.6, "learned") for k, y in zip((3, 5, 7, 9), _ROWS, strict=True)),
     Box("stack", 1.68, 1.4, 0.28, "fixed", 1.86, 90),
     Box(MEAN, 2.45, 0.3, 0.84, "fixed", 0.44),
     Box(r"$W_1$, $\delta$, $W_2$" "\nof each split", 3.57, 0.3, 1.0, "learned", 0.44),
     Box(r"$\sigma$", 4.46, 0.3, 0.42, "weights"), Box("softmax", 4.46, 1.2, 0.74, "weights"),
     Box("join", 4.87, 2.1, 0.28, "fixed", 0.46, 90), Box(r"$\tilde x$", 5.31, 2.1, 0.3, "map")),
    (Join("×", 4.46, 2.1),),
    (Arrow(((0.39, 1.4), (0.52, 1.4), (0.52, _ROWS[0]), (0.68, _ROWS[0]))),
     *(Arrow(((0.52, 1.4), (0.52, y), (0.68, y))) for y in _ROWS[1:]),
     *(Arrow(((1.28, y), (1.54, y))) for y in _ROWS),
     Arrow(((1.82, 2.1), (4.35, 2.1)), "$F$", r"$S\times (C/S)\times H\times W$", 0.6),
     Arrow(((2.45, 2.1), (2.45, 0.52))), Arrow(((2.87, 0.3), (3.07, 0.3))), Arrow(((4.07, 0.3), (4.25, 0.3))),
     Arrow(((4.46, 0.48), (4.46, 1.02)), "$s$", r"$S\times (C/S)$"),
     Arrow(((4.46, 1.38), (4.46, 1.99)), "$a$", r"$S\times (C/S)$", 0.4),
     Arrow(((4.57, 2.1), (4.73, 2.1))), Arrow(((5.01, 2.1), (5.16, 2.1)))))

_HEADS = r"$h\times N\times d_k$"
WEIGHTED_AVERAGE = Diagram(
    1.5,
    (Box("$x$", 0.22, 1.2, 0.34, "map"), Box("describe\neach place", 1.22, 1.2, 0.84, "fixed", 0.44),
     Box(r"$-\Vert q_i-k_j\Vert^2$", 2.88, 1.2, 1.0, "fixed", 0.44),
     Box("softmax\nover places", 4.5, 1.2, 0.92, "weights", 0.44), Box("$AV$", 4.5, 0.3, 0.46, "fixed"),
     Box("colours", 1.22, 0.3, 0.84, "fixed"), Box("$y$", 5.3, 0.3, 0.3, "map")),
    (),
    (Arrow(((0.39, 1.2), (0.8, 1.2))), Arrow(((0.58, 1.2), (0.58, 0.3), (0.8, 0.3))),
     Arrow(((1.64, 0.3), (4.27, 0.3)), "$V$", r"$N\times d_v$"),
     Arrow(((1.64, 1.2), (2.38, 1.2)), "$Q = K$", r"$N\times d_k$", 0.45),
     Arrow(((3.38, 1.2), (4.04, 1.2)), "$S$", r"$N\times N$", 0.42),
     Arrow(((4.5, 0.98), (4.5, 0.48)), "$A$", r"$N\times N$"), Arrow(((4.73, 0.3), (5.15, 0.3)))))

SELF_ATTENTION = Diagram(
    2.0,
    (Box("$X$", 0.22, 1.7, 0.34, "map"), Box("$W_Q$", 1.2, 1.7, 0.4, "learned"),
     Box("$W_K$", 1.2, 1.1, 0.4, "learned"), Box("$W_V$", 1.2, 0.3, 0.4, "learned"),
     Box(r"$QK^\top\!/\sqrt{d_k}$", 2.62, 1.4, 0.9, "fixed", 0.96),
     Box("softmax\nover keys", 4.2, 1.4, 0.82, "weights", 0.44), Box("$AV$", 4.2, 0.3, 0.46, "fixed"),
     Box("$W_O$", 4.82, 0.3, 0.4, "learned"), Box("$Y$", 5.3, 0.3, 0.3, "map")),
    (),
    (Arrow(((0.39, 1.7), (1.0, 1.7)), "", r"$N\times C$", 0.36), Arrow(((0.85, 1.7), (0.85, 1.1), (1.0, 1.1))),
     Arrow(((0.85, 1.1), (0.85, 0.3), (1.0, 0.3))),
     Arrow(((1.4, 1.7), (2.17, 1.7)), "$Q$", _HEADS, 0.46), Arrow(((1.4, 1.1), (2.17, 1.1)), "$K$", _HEADS, 0.46),
     Arrow(((1.4, 0.3), (3.97, 0.3)), "$V$", r"$h\times N\times d_v$"),
     Arrow(((3.07, 1.4), (3.79, 1.4)), "$S$", r"$h\times N\times N$", 0.47),
     Arrow(((4.2, 1.18), (4.2, 0.48)), "$A$", r"$h\times N\times N$"),
     Arrow(((4.43, 0.3), (4.62, 0.3))), Arrow(((5.02, 0.3), (5.15, 0.3)))))

DANET = Diagram(
    3.5,
    (Box("$x$", 0.2, 1.64, 0.3, "map"), Box("conv", 0.82, 2.3, 0.44, "learned"),
     Box("conv", 0.82, 0.98, 0.44, "learned"),
     Box("$W_Q$", 1.7, 3.2, 0.4, "learned"), Box("$W_K$", 1.7, 2.74, 0.4, "learned"),
     Box("$W_V$", 1.7, 2.3, 0.4, "learned"), Box(r"$QK^\top$", 2.42, 2.97, 0.5, "fixed", 0.82),
     Box("softmax\nover keys", 3.62, 2.97, 0.82, "weights", 0.44), Box("$AV$", 3.62, 2.3, 0.42, "fixed"),
     Box(r"$\alpha$", 4.1, 2.3, 0.26, "learned"), Box("conv", 4.9, 2.3, 0.44, "learned"),
     Box(r"$xx^\top$", 1.94, 0.98, 0.48, "fixed"),
     Box("softmax\nover channels", 3.55, 0.98, 1.1, "weights", 0.44), Box("$Rx$", 3.55, 0.3, 0.42, "fixed"),
     Box(r"$\beta$", 4.1, 0.3, 0.26, "learned"), Box("conv", 4.9, 0.3, 0.44, "learned"),
     Box("$y$", 5.3, 1.3, 0.26, "map")),
    (Join("+", 4.48, 2.3), Join("+", 4.48, 0.3), Join("+", 4.9, 1.3)),
    (Arrow(((0.35, 1.64), (0.46, 1.64), (0.46, 2.3), (0.6, 2.3))),
     Arrow(((0.46, 1.64), (0.46, 0.98), (0.6, 0.98))),
     Arrow(((1.04, 2.3), (1.5, 2.3))), Arrow(((1.26, 2.3), (1.26, 2.74), (1.5, 2.74))),
     Arrow(((1.26, 2.74), (1.26, 3.2), (1.5, 3.2))), Arrow(((1.9, 3.2), (2.17, 3.2)), "$Q$"),
     Arrow(((1.9, 2.74), (2.17, 2.74)), "$K$"), Arrow(((2.67, 2.97), (3.21, 2.97)), "$S$", r"$N\times N$", 0.45),
     Arrow(((3.62, 2.75), (3.62, 2.48)), "$A$", r"$N\times N$"),
     Arrow(((1.9, 2.3), (3.41, 2.3)), "$V$", r"$N\times C$"), Arrow(((3.83, 2.3), (3.97, 2.3))),
     Arrow(((4.23, 2.3), (4.37, 2.3))), Arrow(((1.26, 2.3), (1.26, 1.74), (4.48, 1.74), (4.48, 2.19))),
     Arrow(((4.59, 2.3), (4.68, 2.3))), Arrow(((4.9, 2.12), (4.9, 1.41))),
     Arrow(((1.04, 0.98), (1.7, 0.98))), Arrow(((2.18, 0.98), (3.0, 0.98)), "$T$", r"$C\times C$"),
     Arrow(((3.55, 0.76), (3.55, 0.48)), "$R$", r"$C\times C$"),
     Arrow(((1.26, 0.98), (1.26, 0.3), (3.34, 0.3))), Arrow(((3.76, 0.3), (3.97, 0.3))),
     Arrow(((4.23, 0.3), (4.37, 0.3))), Arrow(((1.26, 0.98), (1.26, 1.48), (4.48, 1.48), (4.48, 0.41))),
     Arrow(((4.59, 0.3), (4.68, 0.3))), Arrow(((4.9, 0.48), (4.9, 1.19))), Arrow(((5.01, 1.3), (5.17, 1.3)))))

EMSA = Diagram(
    2.3,
    (Box("$X$", 0.2, 2.0, 0.3, "map"), Box("DWConv\n" r"$\div\,s$, LN", 0.92, 0.86, 0.74, "learned", 0.46),
     Box("$W_Q$", 2.0, 2.0, 0.4, "learned"), Box("$W_K$", 2.0, 1.4, 0.4, "learned"),
     Box("$W_V$", 2.0, 0.3, 0.4, "learned"), Box(r"$QK^\top\!/\sqrt{d_k}$", 2.95, 1.7, 0.9, "fixed", 0.96),
     Box("mix\nheads", 3.98, 1.7, 0.56, "learned", 0.44),
     Box("softmax\nover keys", 4.96, 1.7, 0.82, "weights", 0.44), Box("IN", 3.98, 0.98, 0.4, "weights"),
     Box(r"$\hat AV$", 3.98, 0.3, 0.46, "fixed"), Box("$W_O$", 4.7, 0.3, 0.4, "learned"),
     Box("$Y$", 5.3, 0.3, 0.3, "map")),
    (),
    (Arrow(((0.35, 2.0), (1.8, 2.0)), "", r"$N\times C$"),
     Arrow(((0.46, 2.0), (0.46, 0.86), (0.55, 0.86))),
     Arrow(((1.29, 0.86), (1.62, 0.86), (1.62, 1.4), (1.8, 1.4))), Arrow(((1.62, 0.86), (1.62, 0.3), (1.8, 0.3))),
     Arrow(((2.2, 2.0), (2.5, 2.0)), "$Q$"), Arrow(((2.2, 1.4), (2.5, 1.4)), "$K$"),
     Arrow(((2.2, 0.3), (3.75, 0.3)), "$V$", r"$h\times N'\!\times d_v$"), Arrow(((3.4, 1.7), (3.7, 1.7)), "$S$"),
     Arrow(((4.26, 1.7), (4.55, 1.7)), r"$\tilde S$"),
     Arrow(((4.96, 1.48), (4.96, 0.98), (4.18, 0.98)), "$A$"),
     Arrow(((3.98, 0.8), (3.98, 0.48)), r"$\hat A$", r"$h\times N\times N'$"),
     Arrow(((4.21, 0.3), (4.5, 0.3))), Arrow(((4.9, 0.3), (5.15, 0.3)))))

EXTERNAL = Diagram(
    1.85,
    (Box("$X$", 0.22, 1.45, 0.34, "map"), Box("$M_k$", 1.15, 1.45, 0.42, "learned"),
     Box("softmax\nover places", 2.59, 1.45, 0.94, "weights", 0.44),
     Box(r"$\div$ sum over" "\nslots", 4.2, 1.45, 0.98, "weights", 0.44),
     Box("$M_v$", 4.2, 0.3, 0.42, "learned"), Box("$W_O$", 4.8, 0.3, 0.4, "learned"),
     Box("$Y$", 5.3, 0.3, 0.3, "map")),
    (),
    (Arrow(((0.39, 1.45), (0.94, 1.45)), "", r"$N\times C$"),
     Arrow(((1.36, 1.45), (2.12, 1.45)), "$L$", r"$h\times N\times S$", 0.46),
     Arrow(((3.06, 1.45), (3.71, 1.45)), r"$\hat A$", r"$h\times N\times S$", 0.46),
     Arrow(((4.2, 1.23), (4.2, 0.48)), "$A$", r"$h\times N\times S$"), Arrow(((4.41, 0.3), (4.6, 0.3))),
     Arrow(((5.0, 0.3), (5.15, 0.3)))))

# One layer of a vision transformer: attention above, from left to right, then the MLP below, from right to left.
TRANSFORMER_LAYER = Diagram(
    3.0,
    (Box("$X$", 0.22, 1.85, 0.34, "map"), Box("LN", 1.0, 2.7, 0.4, "learned"),
     Box("$W_Q$, $W_K$\n$W_V$", 1.83, 2.7, 0.72, "learned", 0.44),
     Box("softmax\nover keys", 3.15, 2.7, 0.82, "weights", 0.44), Box("$AV$", 4.06, 2.7, 0.46, "fixed"),
     Box("$W_O$", 4.66, 2.7, 0.4, "learned"), Box("$s_1$", 5.2, 2.25, 0.36, "learned"),
     Box("LN", 4.3, 1.2, 0.4, "learned"), Box("MLP", 2.9, 1.2, 0.56, "learned"),
     Box("$s_2$", 1.6, 1.2, 0.36, "learned"), Box("$X'$", 0.22, 0.3, 0.34, "map")),
    (Join("+", 5.2, 1.85), Join("+", 1.0, 0.3)),
    (Arrow(((0.39, 1.85), (5.09, 1.85)), "", r"$(1+N)\times C$", 0.4),
     Arrow(((0.55, 1.85), (0.55, 2.7), (0.8, 2.7))), Arrow(((1.2, 2.7), (1.47, 2.7))),
     Arrow(((2.19, 2.7), (2.74, 2.7)), "$Q$, $K$"),
     Arrow(((1.83, 2.48), (1.83, 2.15), (4.06, 2.15), (4.06, 2.52)), "$V$"),
     Arrow(((3.56, 2.7), (3.83, 2.7)), "$A$"), Arrow(((4.29, 2.7), (4.46, 2.7))),
     Arrow(((4.86, 2.7), (5.2, 2.7), (5.2, 2.43))), Arrow(((5.2, 2.07), (5.2, 1.96))),
     Arrow(((5.2, 1.74), (5.2, 0.3), (1.11, 0.3))), Arrow(((5.2, 1.2), (4.5, 1.2))),
     Arrow(((4.1, 1.2), (3.18, 1.2)), "", r"$(1+N)\times C$"), Arrow(((2.62, 1.2), (1.78, 1.2))),
     Arrow(((1.42, 1.2), (1.0, 1.2), (1.0, 0.41))), Arrow(((0.89, 0.3), (0.39, 0.3)))))

# The whole transformer: patches become tokens above, from left to right; the layers read them below, and back.
TRANSFORMER = Diagram(
    1.95,
    (Box("photo", 0.3, 1.65, 0.5, "map"), Box("patches\n$W$, $b$", 1.86, 1.65, 0.7, "learned", 0.44),
     Box("class token\nin front", 3.14, 1.65, 0.94, "learned", 0.44), Box("$e$", 4.46, 1.2, 0.32, "learned", 0.3),
     Box("layer 0", 4.46, 0.3, 0.62, "weights", 0.44), Box("layer 1", 3.5, 0.3, 0.62, "weights", 0.44),
     Box("layer 11", 2.3, 0.3, 0.68, "weights", 0.44), Box("LN", 1.5, 0.3, 0.4, "learned"),
     Box("tokens", 0.36, 0.3, 0.6, "map")),
    (Join("+", 4.46, 1.65),),
    (Arrow(((0.55, 1.65), (1.51, 1.65)), "", r"$3\times 224\times 224$"),
     Arrow(((2.21, 1.65), (2.67, 1.65)), "", r"$N\times C$"),
     Arrow(((3.61, 1.65), (4.35, 1.65)), "", r"$(1+N)\times C$"), Arrow(((4.46, 1.35), (4.46, 1.54))),
     Arrow(((4.57, 1.65), (5.2, 1.65), (5.2, 0.3), (4.77, 0.3))), Arrow(((4.15, 0.3), (3.81, 0.3))),
     Arrow(((3.19, 0.3), (2.64, 0.3)), "…"), Arrow(((1.96, 0.3), (1.7, 0.3))), Arrow(((1.3, 0.3), (0.66, 0.3)))))

# The text detector: stages that shrink at the left, a neck that adds coarse maps to finer ones, the head at the right.
_LEVELS = (2.9, 2.1, 1.3, 0.5)
_STAGES = ("48 at 1/4\nSE", "96 at 1/8\nSE", "192 at 1/16\nSE, SE", "384 at 1/32\nSE")
TEXT_DETECTOR = Diagram(
    3.4,
    (Box("photo", 0.3, 2.9, 0.5, "map"), Box("stem", 0.9, 2.9, 0.44, "learned"),
     *(Box(words, 1.72, y, 0.84, "weights", 0.44) for words, y in zip(_STAGES, _LEVELS, strict=True)),
     *(Box(r"$1\times 1$" "\n+ SE", 2.72, y, 0.56, "weights", 0.44) for y in _LEVELS),
     *(Box(r"$7\times 7$" "\n+ SE", 3.72, y, 0.56, "weights", 0.44) for y in _LEVELS),
     Box("stack", 4.34, 1.7, 0.28, "fixed", 2.84, 90), Box("head", 4.84, 1.7, 0.34, "learned", 0.5, 90),
     Box("text", 5.26, 1.7, 0.3, "map", 0.5, 90)),
    tuple(Join("+", 3.22, y) for y in _LEVELS[:3]),
    (Arrow(((0.55, 2.9), (0.68, 2.9))), Arrow(((1.12, 2.9), (1.3, 2.9))),
     *(Arrow(((1.72, y - 0.22), (1.72, below + 0.22))) for y, below in pairwise(_LEVELS)),
     *(Arrow(((2.14, y), (2.44, y))) for y in _LEVELS), *(Arrow(((3.0, y), (3.11, y))) for y in _LEVELS[:3]),
     Arrow(((3.0, 0.5), (3.44, 0.5))), *(Arrow(((3.33, y), (3.44, y))) for y in _LEVELS[:3]),
     Arrow(((3.22, 0.5), (3.22, 1.19))), *(Arrow(((3.22, y + 0.11), (3.22, above - 0.11))) for above, y in
                                           pairwise(_LEVELS[:3])),
     *(Arrow(((4.0, y), (4.2, y))) for y in _LEVELS), Arrow(((4.48, 1.7), (4.67, 1.7))),
     Arrow(((5.01, 1.7), (5.11, 1.7)))))

DIAGRAMS = {"weighted average": WEIGHTED_AVERAGE, "SE": SE, "ECA": ECA, "CBAM": CBAM, "BAM": BAM, "SK": SK,
            "PSA": PSA, "self-attention": SELF_ATTENTION, "DANet": DANET, "EMSA": EMSA, "external": EXTERNAL,
            "SE in a ResNet": SE_IN_RESNET, "transformer": TRANSFORMER, "transformer layer": TRANSFORMER_LAYER,
            "text detector": TEXT_DETECTOR, "coordinate": COORDINATE}


# What the package's blocks have where nothing else is said.
DEFAULTS = {
    "weighted average": r"$\tau = 0.5$, by which $S$ is divided",
    "SE": "$r = 16$, no biases", "ECA": "$k$ from $C$: 3, 5, 7, …", "CBAM": "$r = 16$, $k = 7$",
    "BAM": "$r = 16$, $d = 4$", "SK": "two branches, $r = 16$, 32 groups, $L = 32$", "PSA": "$S = 4$, $r = 16$",
    "self-attention": "$h = 8$, $d_k = d_v = C/h$", "DANet": r"$\alpha = \beta = 0$ at the start",
    "EMSA": "$h = 8$, $s = 1$", "external": "$S = 64$, $h = 1$",
    "SE in a ResNet": "$r = 16$", "transformer": "12 layers, $h = 6$, $C = 384$, $N = 256$",
    "transformer layer": "$h = 6$, $C = 384$", "text detector": "$r = 4$, hard sigmoids, biases",
    "coordinate": "$r = 32$, but 8 hidden units or more"}

# Upright, for a phone: where the lanes of a drawing stand, from left to right. Its other direction runs downwards.
LANES = {
    "weighted average": {1.2: 0.8, 0.3: 3.0},
    "SE": {1.75: 0.5, 1.02: 2.2, 0.3: 3.5}, "ECA": {1.75: 0.5, 1.02: 2.0, 0.3: 3.4},
    "CBAM": {1.75: 0.5, 1.02: 2.2, 0.3: 3.5}, "BAM": {2.58: 0.2, 2.2: 0.6, 1.3: 1.7, 0.8: 2.4, 0.3: 3.3},
    "SK": {2.0: 0.6, 1.15: 2.1, 0.3: 3.6}, "PSA": {2.15: 0.5, 1.65: 1.2, 1.15: 1.9, 0.65: 2.6, 0.3: 3.5},
    "self-attention": {1.7: 0.6, 1.1: 2.0, 0.3: 3.5},
    "DANet": {3.2: 0.35, 2.97: 0.52, 2.3: 1.6, 1.74: 2.12, 1.48: 2.21, 0.98: 2.85, 0.3: 4.03},
    "EMSA": {2.0: 0.5, 1.4: 1.6, 0.86: 2.6, 0.3: 3.6}, "external": {1.45: 1.2, 0.3: 3.2},
    "SE in a ResNet": {1.05: 1.3, 0.3: 2.8}, "transformer": {1.65: 0.8, 1.2: 1.7, 0.3: 3.2},
    "transformer layer": {2.7: 0.8, 1.85: 1.9, 1.2: 2.8, 0.3: 3.8},
    "text detector": {2.9: 0.55, 2.1: 1.6, 1.3: 2.65, 0.5: 3.7}, "coordinate": {2.35: 0.55, 1.3: 2.0, 0.45: 3.4}}
STEP = 1.0           # inches downwards for one to the right


class Drawn(NamedTuple):
    """What was drawn, for those who want to measure it."""

    figure: Figure
    boxes: list[tuple[Patch, Text]]
    arrows: list[tuple[FancyArrowPatch, list[Text]]]


def draw(name: str) -> Drawn:
    """Draw one mechanism of `DIAGRAMS`, with its defaults below. `figure.upright` is the same for a narrow page.

    Raises:
        ValueError: if there is no such diagram.
    """
    if name not in DIAGRAMS:
        raise ValueError(f"name must be one of {', '.join(DIAGRAMS)}; got {name!r}")
    # Twice the screen's dots, since hair lines and small letters need them. The page shows it at half that size.
    drawn = _drawn(plt.figure(dpi=192, layout="none"), DIAGRAMS[name], WIDTH, DEFAULTS[name])
    drawn.figure.upright = draw_upright(name).figure
    return drawn


def draw_upright(name: str) -> Drawn:
    """The diagram turned: from above to below, with the lanes of `LANES` side by side. pyplot does not show it."""
    figure = Figure(dpi=192, layout="none")
    FigureCanvasAgg(figure)
    return _drawn(figure, upright(DIAGRAMS[name], LANES[name]), PHONE, DEFAULTS[name])


def _drawn(figure: Figure, diagram: Diagram, width: float, defaults: str) -> Drawn:
    height = diagram.height + 0.25                          # with a line above for the defaults
    figure.set_size_inches(width, height)
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.set_axis_off()
    ax.text(0.05, height - 0.12, "by default " + defaults, fontsize=SHAPE, color=INK, va="center")
    for x, y in _forks(diagram):
        ax.add_patch(Circle((x, y), 0.03, color=INK, zorder=2))
    return Drawn(figure, [_box(ax, box) for box in (*diagram.boxes, *diagram.joins)],
                 [_arrow(ax, arrow) for arrow in diagram.arrows])


def upright(diagram: Diagram, lanes: dict[float, float]) -> Diagram:
    """The diagram with its two directions exchanged: what ran to the right runs down, what stood above stands left."""
    levels = sorted(lanes)
    height = STEP * WIDTH + 0.1

    def across(y: float) -> float:
        return float(np.interp(y, levels, [lanes[level] for level in levels]))

    def turned(box: Box | Join) -> Box | Join:
        place = {"x": across(box.y), "y": height - STEP * box.x}
        if isinstance(box, Join):
            return box._replace(**place)
        if box.height <= 0.5:
            wide, high = _extent(box)
            return box._replace(**place, rotation=0, **({"width": high, "height": wide} if box.rotation else {}))
        left, right = across(box.y + box.height / 2), across(box.y - box.height / 2)
        place |= {"x": (left + right) / 2, "width": max(right - left, box.width)}
        return box._replace(**place, height=0.44, rotation=0)

    def moved(point: tuple[float, float], end: bool) -> tuple[float, float]:
        """A point, which at an arrow's end stays on the edge of its box."""
        x, y = point
        new_x, new_y = across(y), height - STEP * x
        for box in (*diagram.boxes, *diagram.joins) if end else ():
            wide, high = _extent(box)
            if abs(x - box.x) > wide / 2 + 1e-6 or abs(y - box.y) > high / 2 + 1e-6:
                continue
            new = turned(box)
            new_wide, new_high = _extent(new)
            if abs(abs(x - box.x) - wide / 2) < 1e-6:
                return new_x, new.y + (new_high / 2 if x < box.x else -new_high / 2)
            return new.x + (new_wide / 2 if y < box.y else -new_wide / 2), new_y
        return new_x, new_y

    arrows = tuple(arrow._replace(points=tuple(
        moved(point, place in (0, len(arrow.points) - 1)) for place, point in enumerate(arrow.points)))
        for arrow in diagram.arrows)
    return Diagram(height, tuple(map(turned, diagram.boxes)), tuple(map(turned, diagram.joins)), arrows)


def _extent(box: Box | Join) -> tuple[float, float]:
    return (2 * RADIUS, 2 * RADIUS) if isinstance(box, Join) else (box.width, box.height)


def _forks(diagram: Diagram) -> set[tuple[float, float]]:
    """Where an arrow leaves another arrow, not a box."""
    starts = {arrow.points[0] for arrow in diagram.arrows}
    extents = [(box.x, box.y, *_extent(box)) for box in (*diagram.boxes, *diagram.joins)]
    return {(px, py) for px, py in starts
            if all(abs(px - x) > wide / 2 + 1e-6 or abs(py - y) > high / 2 + 1e-6 for x, y, wide, high in extents)}


def _box(ax: Axes, box: Box | Join) -> tuple[Patch, Text]:
    if isinstance(box, Join):
        patch: Patch = Circle((box.x, box.y), RADIUS, facecolor="none", edgecolor="black", zorder=3)
        text = ax.text(box.x, box.y, box.sign, fontsize=LABEL, ha="center", va="center_baseline", zorder=4)
    else:
        ground, edge, line, rounding = KINDS[box.kind]
        style = f"round,pad=0,rounding_size={rounding}" if rounding else "square,pad=0"
        patch = FancyBboxPatch((box.x - box.width / 2, box.y - box.height / 2), box.width, box.height, style,
                               facecolor=ground, edgecolor=edge, linewidth=line, zorder=3)
        text = ax.text(box.x, box.y, box.label, fontsize=LABEL, ha="center", va="center", linespacing=1.15,
                       rotation=box.rotation, zorder=4)
    ax.add_patch(patch)
    return patch, text


def _arrow(ax: Axes, arrow: Arrow) -> tuple[FancyArrowPatch, list[Text]]:
    patch = FancyArrowPatch(path=Path(arrow.points), arrowstyle="-|>,head_length=3,head_width=1.8", color=INK,
                            linewidth=1.1, shrinkA=0, shrinkB=0, joinstyle="miter", capstyle="butt", zorder=2)
    ax.add_patch(patch)
    (x0, y0), (x1, y1) = arrow.points[:2]
    x, y, gap = x0 + arrow.at * (x1 - x0), y0 + arrow.at * (y1 - y0), 0.05
    level = y0 == y1
    texts = []
    if arrow.symbol:
        where = {"x": x, "y": y + gap, "ha": "center", "va": "bottom"} if level else {
            "x": x - gap, "y": y, "ha": "right", "va": "center"}
        texts.append(ax.text(s=arrow.symbol, fontsize=LABEL, **where))
    if arrow.shape:
        where = {"x": x, "y": y - gap, "ha": "center", "va": "top"} if level else {
            "x": x + gap, "y": y, "ha": "left", "va": "center"}
        texts.append(ax.text(s=arrow.shape, fontsize=SHAPE, color=INK, **where))
    return patch, texts
