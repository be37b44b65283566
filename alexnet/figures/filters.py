"""What the first convolution looks for: its filters as small images."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alexnet.figures.page import MARGIN, Page
from alexnet.figures.style import WIDTH, applied

GREY = 0.5
GAP = 1  # pixels between filters


@applied()
def conv1_filters(weight: NDArray[np.floating]) -> Figure:
    """All filters of `weight` (filters, C, K, K), C 1 or 3, in rows of 16 as in the 2012 paper.

    Figure 3 of Krizhevsky et al. Each filter is divided by its own largest absolute
    weight, so that zero is mid-grey in all of them and no filter is too faint to see.
    """
    number, channels, height, width = weight.shape
    picture = mosaic(as_images(weight), columns=min(16, number))
    inches = WIDTH - 2 * MARGIN
    page = Page(
        inches * picture.shape[0] / picture.shape[1],
        f"What conv1 looks for: its {number} filters of {height}×{width} pixels",
        "Mid-grey is zero; each filter is scaled by its own largest weight. A trained network "
        "shows edges at many angles, gratings and spots of colour; what still looks like noise "
        "has not learned anything yet.",
    )
    axes = page.axes(MARGIN, 0, inches, page.height)
    pixels = picture[..., 0] if channels == 1 else picture
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="none", aspect="auto")
    axes.axis("off")
    return page.figure


def as_images(weight: NDArray[np.floating]) -> NDArray[np.float64]:
    """Filters (N, C, K, K) as images (N, K, K, C) in [0, 1], zero at exactly 0.5."""
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    scaled = weight / np.where(largest > 0, largest, 1)
    return np.asarray(GREY + scaled.transpose(0, 2, 3, 1) / 2, dtype=np.float64)


def mosaic(images: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """Images (N, H, W, C) side by side, row by row, with white lines between them."""
    number, height, width, channels = images.shape
    rows = -(-number // columns)
    down, right = height + GAP, width + GAP
    picture = np.ones((rows * down - GAP, columns * right - GAP, channels))
    for index, image in enumerate(images):
        top, left = index // columns * down, index % columns * right
        picture[top : top + height, left : left + width] = image
    return picture
