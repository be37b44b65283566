"""What the first convolution looks for: its filters as small images, before and after."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alexnet.report.page import MARGIN, Page
from alexnet.report.style import MUTED, TEXT, WIDTH, applied

GREY = 0.5
GAP = 1  # pixels between filters


COLUMNS = 16
ABOVE = 0.26  # inches over each mosaic, for its name
CAPTION = (
    "Mid-grey is zero; each filter is scaled by its own largest weight. A long training shows "
    "edges at many angles, gratings and spots of colour; a short one, or one on few images, leaves "
    "most of the noise, because little in the images speaks against it. Taken shape: the filter's "
    "spectrum is less even, by a tenth or more, than that of any filter before training."
)
CLEARLY = 0.9


@applied()
def conv1_filters(before: NDArray[np.floating], after: NDArray[np.floating]) -> Figure:
    """All filters (filters, C, K, K), C 1 or 3, as the seed drew them and as training left them.

    Figure 3 of Krizhevsky et al. Each filter is divided by its own largest absolute
    weight, so that zero is mid-grey in all of them and no filter is too faint to see.
    """
    number, channels, height, width = after.shape
    inches = WIDTH - 2 * MARGIN
    pictures = [mosaic(as_images(weight), min(COLUMNS, number)) for weight in (before, after)]
    tall = inches * pictures[0].shape[0] / pictures[0].shape[1]
    page = Page(2 * (tall + ABOVE) + 0.12, _title(before, after), CAPTION)
    names = (
        f"before training: {number} filters of {height}×{width} pixels, as the seed drew them",
        "after training, in the same places",
    )
    canvas = page.canvas()
    for place, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        top = place * (tall + ABOVE + 0.12)
        canvas.text(MARGIN, top + ABOVE / 2, name, fontsize=TEXT, va="center", color=MUTED)
        axes = page.axes(MARGIN, top + ABOVE, inches, tall)
        pixels = picture[..., 0] if channels == 1 else picture
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="none", aspect="auto")
        axes.axis("off")
    return page.figure


def total_variation(weight: NDArray[np.floating]) -> NDArray[np.float64]:
    """(filters): how evenly a filter's power is spread over the frequencies, from 0 to 1.

    The spectral flatness, geometric over arithmetic mean, of the spectra of its colours
    added up. Noise is even; an edge, a grating or a spot holds few frequencies.
    """
    power = (np.abs(np.fft.fft2(np.asarray(weight, dtype=np.float64))) ** 2).sum(axis=1)
    power = power.reshape(len(power), -1)
    mean = power.mean(axis=1)
    spread = np.exp(np.log(power + 1e-12 * mean[:, None] + 1e-300).mean(axis=1))
    return np.asarray(np.where(mean > 0, spread / np.where(mean > 0, mean, 1), 1.0))


def _title(before: NDArray[np.floating], after: NDArray[np.floating]) -> str:
    number = len(after)
    shaped = int((total_variation(after) < CLEARLY * total_variation(before).min()).sum())
    if shaped == number:
        return f"What conv1 looks for: training has given all {number} filters a shape"
    if not shaped:
        return f"What conv1 looks for: its {number} filters are still close to noise"
    return (
        f"What conv1 looks for: {shaped} of {number} filters have taken shape, "
        f"{number - shaped} are still close to the noise they began as"
    )


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
