"""One layer for itself: its filters, and what it makes of an image."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alexnet.report.filters import as_images, mosaic
from alexnet.report.maps import SHOWN, most_variable, squared
from alexnet.report.page import MARGIN, Page
from alexnet.report.style import BLANK, BLUE, FAINT, WIDTH, applied

MOST_FILTERS, COLUMNS = 96, 24
HEIGHT = 1.3
GAP = 0.1


@applied()
def layer_filters(weight: NDArray[np.floating]) -> Figure:
    """The kernels (filters, C, K, K) of a convolution; in grey beyond the first.

    With other than 1 or 3 channels: of up to 96 filters, evenly spread, the slice of the
    channel that weighs most.
    """
    number, channels = weight.shape[:2]
    shown = np.linspace(0, number - 1, min(number, MOST_FILTERS)).round().astype(int)
    some = weight[shown]
    if channels in (1, 3):
        title = f"Its {number} filters, mid-grey is zero"
    else:
        heaviest = (some**2).sum(axis=(2, 3)).argmax(axis=1)
        some = np.take_along_axis(some, heaviest[:, None, None, None], axis=1)
        title = (
            f"{len(shown)} of its {number} filters, of each the slice that weighs most of "
            f"{channels}; mid-grey is zero"
        )
    picture = mosaic(as_images(some), COLUMNS)
    inches = WIDTH - 2 * MARGIN
    page = Page(inches * picture.shape[0] / picture.shape[1], title)
    axes = page.axes(MARGIN, 0, inches, page.height)
    pixels = picture[..., 0] if picture.shape[-1] == 1 else picture
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="none", aspect="auto")
    axes.axis("off")
    return page.figure


@applied()
def layer_weights(weight: NDArray[np.floating]) -> Figure:
    """How the weights (out, in) of a fully connected layer are distributed."""
    values = weight.ravel()
    most = float(np.quantile(np.abs(values), 0.9995))
    page = Page(
        HEIGHT + 0.3,
        f"Its {len(values):,} weights: mean {values.mean():.2g}, deviation {values.std():.2g}",
    )
    axes = page.axes(MARGIN, 0.02, WIDTH - 2 * MARGIN, HEIGHT)
    counts, edges = np.histogram(values, bins=101, range=(-most, most))
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=BLUE, linewidth=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlim(-most, most)
    return page.figure


@applied()
def layer_maps(images: NDArray[np.uint8], values: NDArray[np.floating]) -> Figure:
    """What a layer gives for images (M, H, W, C): values (M, C, h, w) or (M, features).

    Of maps the 16 channels that tell the images apart best; features stand in a square.
    """
    number = len(images)
    size = (WIDTH - 2 * MARGIN + GAP) / number - GAP
    half = size * 0.36
    flat = values.ndim == 2
    words = (
        f"its {values.shape[1]:,} values, row by row in a square"
        if flat
        else f"{min(SHOWN, values.shape[1])} of its {values.shape[1]} maps of "
        f"{values.shape[2]}×{values.shape[3]}"
    )
    signs = " (dark: largest, white: 0 or less)"
    page = Page(half + GAP + size, f"What it makes of {number} test images: {words}{signs}")
    chosen = [] if flat else most_variable(values)
    largest = values.max(axis=0) if flat else values[:, chosen].max(axis=(0, 2, 3))
    for index, image in enumerate(images):
        left = MARGIN + index * (size + GAP)
        page.image(left + (size - half) / 2, 0, half, image)
        axes = page.axes(left, half + GAP, size, size)
        if flat:
            picture = _square(values[index] / max(float(largest.max()), 1e-12))
        else:
            picture = squared(values[index, chosen], largest)
        axes.imshow(
            np.ma.masked_invalid(picture), cmap=BLANK,
            vmin=0, vmax=1, interpolation="none", aspect="auto",
        )  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set(visible=True, color=FAINT)
    return page.figure


def _square(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Values (features) in the smallest square that holds them, NaN where none is left."""
    side = int(np.ceil(np.sqrt(len(values))))
    picture = np.full(side * side, np.nan)
    picture[: len(values)] = values
    return picture.reshape(side, side)
