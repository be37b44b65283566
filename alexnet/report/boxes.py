"""Tensors as boxes in perspective: their size, their position, their visible faces.

A point of a box has a map, a row and a column. In the picture the maps run to the right, the
rows down, and the columns into the distance, which is drawn as up and to the right.
"""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Polygon
from numpy.typing import NDArray

from alexnet.network.summary import Layer
from alexnet.report.canvas import MARGIN
from alexnet.report.layers import widest
from alexnet.report.style import INK, MUTED, SMALL, TEXT, WIDTH

TALLEST = 2.4  # inches, of the largest box as drawn and of the longest vector
THICKEST = 0.004  # inches for one map, at most
AWAY = np.array([0.36, -0.3])  # the direction of the next column; a row is (0, 1)
VECTOR, THIN = 0.09, 0.015
GAP, TO_POOL = 0.16, 0.15  # between columns of text, and from a layer to its pool


@dataclass(frozen=True)
class Tensor:
    """A layer's output, and the lines written under it."""

    name: str
    shape: tuple[int, ...]  # (C, H, W) or (features,)
    lines: list[str]
    colour: str
    layer: Layer | None = None

    @property
    def side(self) -> int:
        return self.shape[1] if len(self.shape) == 3 else 1

    def window(self, side: int) -> int:
        """The side of the window on the previous tensor, of `side`, that gives one value."""
        if self.layer is not None and self.layer.kernel is not None:
            return min(self.layer.kernel, side)
        if len(self.shape) == 3:  # an adaptive pool
            return math.ceil(side / self.side)
        return side


@dataclass(frozen=True)
class Scale:
    """Inches for one map, one pixel and one feature of a vector."""

    map: float
    pixel: float
    feature: float

    @classmethod
    def fit(cls, columns: list[list[Tensor]]) -> "Scale":
        """The largest scale at which all columns fit side by side."""
        tensors = [tensor for column in columns for tensor in column]
        pixel = TALLEST / (1 - AWAY[1]) / max(tensor.side for tensor in tensors)
        feature = TALLEST / max(t.shape[0] for t in tensors if len(t.shape) == 1)
        scale = cls(THICKEST, pixel, feature)
        while scale.total(columns) > WIDTH - 2 * MARGIN and scale.map > THICKEST / 100:
            scale = cls(0.98 * scale.map, pixel, feature)
        return scale

    def total(self, columns: list[list[Tensor]]) -> float:
        return sum(map(self.width, columns)) + GAP * (len(columns) - 1)

    def width(self, column: list[Tensor]) -> float:
        """Inches that a column takes with its texts."""
        words = widest((line for tensor in column for line in tensor.lines), SMALL)
        names = widest((tensor.name for tensor in column), TEXT, bold=True)
        return max(self.drawn_width(column), words, names)

    def drawn_width(self, column: list[Tensor]) -> float:
        return sum(map(self.box_width, column)) + TO_POOL * (len(column) - 1)

    def box_width(self, tensor: Tensor) -> float:
        if len(tensor.shape) == 1:
            return VECTOR
        return max(THIN, tensor.shape[0] * self.map) + tensor.side * self.pixel * float(AWAY[0])

    def draw(self, axes: Axes, y: float) -> None:
        x = MARGIN
        for inches, words in (
            (self.map, "maps"),
            (self.pixel, "pixels"),
            (self.feature, "features"),
        ):
            number = _round_number(0.5 / inches)
            length = number * inches
            axes.plot([x, x + length], [y, y], color=MUTED, linewidth=1.6, solid_capstyle="butt")
            text = f"{number:,} {words}"
            axes.text(x + length + 0.08, y, text, fontsize=SMALL, color=MUTED, va="center")
            x += length + 0.08 + widest([text], SMALL) + 0.3


@dataclass(frozen=True)
class Box:
    """A tensor's position in the picture."""

    tensor: Tensor
    corner: NDArray[np.float64]  # of the first map, row and column, in inches
    along: NDArray[np.float64]  # from the first map to the end of the last
    down: NDArray[np.float64]  # from the first row to the end of the last
    away: NDArray[np.float64]  # from the first column to the end of the last

    @classmethod
    def at(cls, left: float, tensor: Tensor, scale: Scale) -> "Box":
        if len(tensor.shape) == 1:
            length = max(THIN, tensor.shape[0] * scale.feature)
            side, thickness, away = length, VECTOR, np.zeros(2)
        else:
            side = max(2 * THIN, tensor.side * scale.pixel)
            thickness, away = max(THIN, tensor.shape[0] * scale.map), side * AWAY
        # The drawn box is centred vertically.
        top = 0.1 + TALLEST / 2 - (side + away[1]) / 2
        along, down = np.array([thickness, 0.0]), np.array([0.0, side])
        return cls(tensor, np.array([left, top]), along, down, away)

    def draw(self, axes: Axes) -> None:
        """The visible faces: the front, the top, and the last map at the right."""
        near, right = self.corner, self.corner + self.along
        self._face(axes, near, self.along, self.down, 0.0)
        if self.away.any():
            self._face(axes, near, self.along, self.away, 0.45)
            self._face(axes, right, self.away, self.down, -0.25)
        groups = self.tensor.layer.groups if self.tensor.layer else None
        for group in range(1, groups or 1):  # each reads its own part of the previous maps
            seam = near + self.along * group / (groups or 1)
            path = np.array([seam + self.down, seam, seam + self.away])
            axes.plot(*path.T, color="white", linewidth=1.2)

    def draw_window(self, axes: Axes, before: "Box") -> None:
        """The window of the previous tensor, through all its maps, that gives one value."""
        share = self.tensor.window(before.tensor.side) / before.tensor.side
        across, down = share * before.away, share * before.down
        face = before.corner + before.along
        start = face + (before.away - across) / 2 + (before.down - down) / 2
        corners = [start, start + across, start + across + down, start + down]
        value = self.corner + self.down / 2
        for corner in corners:
            axes.plot(*np.array([corner, value]).T, color=MUTED, linewidth=0.5)
        axes.add_patch(
            Polygon(np.array(corners), facecolor=(1, 1, 1, 0.5), edgecolor=INK, linewidth=0.6)
        )

    def _face(
        self,
        axes: Axes,
        corner: NDArray[np.float64],
        one: NDArray[np.float64],
        other: NDArray[np.float64],
        light: float,
    ) -> None:
        corners = np.array([corner, corner + one, corner + one + other, corner + other])
        colour = _shade(self.tensor.colour, light)
        axes.add_patch(Polygon(corners, facecolor=colour, edgecolor="white", linewidth=0.4))


def _round_number(limit: float) -> int:
    """The largest of 1, 2, 5, 10, 20, 50, ... that is not above `limit`; at least 1."""
    power = 10 ** math.floor(math.log10(max(1.0, limit)))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= max(1.0, limit))


def _shade(colour: str, light: float) -> tuple[float, ...]:
    """Lighter (towards white, up to 1) or darker (towards black, down to -1)."""
    towards = 1.0 if light > 0 else 0.0
    return tuple(value + (towards - value) * abs(light) for value in to_rgb(colour))
