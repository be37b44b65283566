"""Parallel coordinates: an axis for each parameter and metric, a line for each experiment.

Inselberg: The plane with parallel coordinates. The Visual Computer 1, 1985.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Value = float | str  # numbers and booleans as numbers; anything else as its text
MAX_TICKS = 6
MIN_DISTANCE = 0.06  # of two labels, in heights
LOG_RATIO = 10  # from which ratio of the largest value to the smallest an axis is logarithmic


@dataclass(frozen=True)
class Tick:
    """A value that an axis names, and where: `height` 0 is the bottom of the axis, 1 its top."""

    label: str
    height: float


@dataclass(frozen=True)
class Axis:
    """An axis; `heights` as a tick's, one for each experiment, None for one without a value."""

    name: str
    ticks: list[Tick]
    heights: list[float | None]


def axes_of(rows: Sequence[Mapping[str, Value]], names: Sequence[str]) -> list[Axis]:
    """The axes `names` of experiments, each with its values by name."""
    return [axis_of(name, [row.get(name) for row in rows]) for name in names]


def axis_of(name: str, values: Sequence[Value | None]) -> Axis:
    """The axis of one parameter or metric.

    Numbers lie on a linear axis, or on a logarithmic one if all are positive and the largest is at
    least ten times the smallest. Texts, and numbers beside texts, are evenly spaced by their order.
    """
    present = {value for value in values if value is not None}
    numbers = sorted(value for value in present if isinstance(value, int | float))
    if len(numbers) < len(present):
        return _categories(name, values)
    low, high = numbers[0], numbers[-1]
    is_log = low > 0 and high / low >= LOG_RATIO
    start, end = (math.log(low), math.log(high)) if is_log else (low, high)

    def height(value: float) -> float:
        if low == high:
            return 0.5
        return ((math.log(value) if is_log else value) - start) / (end - start)

    ticks: list[Tick] = []
    for value in numbers if len(numbers) <= MAX_TICKS else [low, high]:
        if not ticks or height(value) - ticks[-1].height >= MIN_DISTANCE:
            ticks.append(Tick(f"{value:.4g}", height(value)))
    return Axis(
        name,
        ticks,
        [None if value is None else height(float(value)) for value in values],
    )


def _categories(name: str, values: Sequence[Value | None]) -> Axis:
    texts = [None if value is None else str(value) for value in values]
    order = sorted({text for text in texts if text is not None})
    height = {text: (i + 0.5) / len(order) for i, text in enumerate(order)}
    return Axis(
        name,
        [Tick(text, place) for text, place in height.items()],
        [None if text is None else height[text] for text in texts],
    )
