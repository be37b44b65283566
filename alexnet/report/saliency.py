"""Saliency: the parts of an image that decide the prediction, by gradient and by occlusion."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from numpy.typing import NDArray

from alexnet.report.canvas import MARGIN, Canvas, fit_names
from alexnet.report.style import (
    DIVERGING,
    HEAT,
    INK,
    MUTED,
    SMALL,
    TEXT,
    WIDTH,
    TitledFigure,
    applied,
    percent,
)

LABELS, GAP, SCALE = 0.8, 0.08, 0.55
LARGEST = 1.9  # inches, of an image: three columns fill the width
ABOVE = 0.38
SMALLEST_DROP = 0.005  # half of the smallest difference that the title's percentages show


@applied()
def saliency(
    images: NDArray[np.uint8],
    predicted: Sequence[int],
    confidence: Sequence[float],
    classes: list[str],
    gradients: NDArray[np.floating],
    occlusions: NDArray[np.floating],
    side: int,
    is_grey: bool = False,
) -> TitledFigure:
    """Columns of images (M, H, W, C), their gradients (M, H, W) and their occlusions (M, r, r).

    `confidence`: the probability of the predicted class, whose number is in `predicted`;
    `occlusions`: that probability with a square of `side` pixels occluded. `is_grey`:
    the images have no colours, in one channel or in three.
    """
    number = len(images)
    size = min(LARGEST, (WIDTH - 2 * MARGIN - LABELS - SCALE) / number - GAP)
    drops = np.asarray(confidence)[:, None, None] - occlusions
    most = max(float(np.abs(drops).max()), 1e-6)
    canvas = Canvas(
        ABOVE + 3 * (size + GAP) - GAP,
        _title(drops, confidence, [classes[k] for k in predicted], side),
        _caption(side, is_grey),
    )
    names = fit_names(classes, SMALL, size)
    body = canvas.body()
    rows = (("image", ""), ("gradient", "of the logit"), ("occlusion", "probability drop"))
    for row, (name, more) in enumerate(rows):
        y = ABOVE + row * (size + GAP) + size / 2
        body.text(MARGIN, y - (0.08 if more else 0), name, fontsize=TEXT, va="center")
        body.text(MARGIN, y + 0.08, more, fontsize=SMALL - 1, color=MUTED, va="center")
    for y, name, colour in ((0.1, "predicted:", INK), (0.26, "confidence:", MUTED)):
        body.text(MARGIN, y, name, fontsize=SMALL, color=colour, va="center")
    norm = TwoSlopeNorm(0, -most, most)
    for index in range(number):
        left = MARGIN + LABELS + index * (size + GAP)
        middle = left + size / 2
        body.text(middle, 0.1, names[predicted[index]], fontsize=SMALL, ha="center", va="center")
        sure = percent(confidence[index], 0)
        body.text(middle, 0.26, sure, fontsize=SMALL, color=MUTED, ha="center", va="center")
        canvas.image(left, ABOVE, size, images[index])
        strength = gradients[index] / max(float(np.quantile(gradients[index], 0.99)), 1e-12)
        axes = canvas.axes(left, ABOVE + size + GAP, size, size)
        axes.imshow(strength, cmap=HEAT, vmin=0, vmax=1, interpolation="none")
        axes.axis("off")
        axes = canvas.axes(left, ABOVE + 2 * (size + GAP), size, size)
        axes.imshow(drops[index], cmap=DIVERGING, norm=norm, interpolation="none")
        axes.axis("off")
    right = MARGIN + LABELS + number * (size + GAP)
    bar = canvas.axes(right + 0.02, ABOVE + 2 * (size + GAP), 0.12, size)
    steps = np.linspace(-most, most, 256)[:, None]
    bar.imshow(
        steps, cmap=DIVERGING, norm=norm, aspect="auto", origin="lower", extent=(0, 1, -most, most)
    )
    bar.yaxis.tick_right()
    bar.set_xticks([])
    bar.set_yticks([-most, 0, most], [f"{100 * v:+.2g} %" if v else "0" for v in (-most, 0, most)])
    bar.tick_params(length=0, labelsize=SMALL)
    bar.spines[:].set_visible(False)
    return canvas.figure


def _title(
    drops: NDArray[np.floating], confidence: Sequence[float], names: Sequence[str], side: int
) -> str:
    deepest = drops.max(axis=(1, 2))
    index = int(deepest.argmax())
    left = confidence[index] - float(deepest[index])
    if deepest[index] < SMALLEST_DROP:
        return (
            f"Saliency: occluding {side}×{side} pixels lowers no probability by "
            f"{100 * SMALLEST_DROP:g} percentage points or more"
        )
    return (
        f"Saliency: occluding {side}×{side} pixels lowers the probability of {names[index]} from "
        f"{percent(confidence[index], 0)} to {percent(left, 0)}"
    )


def _caption(side: int, is_grey: bool) -> str:
    return (
        "Gradient: the absolute derivative of the predicted class's logit by each pixel; dark is "
        "large, scaled for each image. Single pixels are noisy; clusters matter. Occlusion: the "
        f"drop of the predicted class's probability when a square of {side}×{side} pixels of the "
        f"training images' mean {'grey' if is_grey else 'colour'} covers that place. Warm places "
        "support the prediction, blue ones speak against it. Warm places outside the object are "
        "background that the network relies on."
    )
