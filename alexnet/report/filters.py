"""Weights as pictures: filters of the convolutions, distributions of the fully connected layers."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from alexnet.report.canvas import MARGIN, Canvas
from alexnet.report.style import BLUE, MUTED, TEXT, WIDTH, TitledFigure, applied

GREY = 0.5
GAP = 1  # pixels between filters
COLUMNS = 16
ABOVE = 0.26  # inches over each mosaic, for its name
BETWEEN = 0.12
AFTER = "after training, in the same order"
MAX_FILTERS, LAYER_COLUMNS = 96, 24  # of a single layer's picture
HISTOGRAM = 1.3  # inches
SCALE = "Mid-grey is zero; each filter is scaled by its largest absolute weight."
CAPTION = (
    f"{SCALE} Long training yields "
    "oriented edges, gratings and {blobs}; after short training, or on few images, much of "
    "the initial noise remains. A filter counts as structured if its spectrum is less flat, by at "
    "least a tenth, than that of every filter before training (spectral flatness: the geometric "
    "over the arithmetic mean of the power spectrum)."
)
GREY_IMAGES = (
    " The images are grey, the same in all three channels: a filter's colours have no effect."
)
FLATNESS_MARGIN = 0.9


@applied()
def conv1_filters(
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    num_whitened: int = 0,
    is_grey: bool = False,
) -> TitledFigure:
    """All filters (filters, C, K, K), C 1 or 3, as initialised and as trained.

    Figure 3 of Krizhevsky et al. Each filter is divided by its largest absolute weight, so
    that zero is mid-grey in all of them and no filter is too faint to see.
    num_whitened: so many, the first ones, were initialised from the training images
    (`train.init`), the others at random. is_grey: these images have no colours, in one channel or
    in three.
    """
    number, channels, height, width = after.shape
    random_caption = CAPTION.replace("{blobs}", "blobs" if is_grey else "colour blobs")
    caption = _whitened_caption(num_whitened, number) if num_whitened else random_caption
    which = f"{num_whitened} of {number}" if num_whitened < number else f"all {number}"
    title = (
        f"Filters of conv1: {which} start from patches of the training images"
        if num_whitened
        else _title(before, after)
    )
    num_random = number - num_whitened
    source = f"{num_whitened} computed from the training images, {num_random} random"
    if not num_whitened:
        source = "randomly initialised"
    elif not num_random:
        source = "computed from the training images"
    before_name = f"before training: {number} filters of {height}×{width} pixels, {source}"
    weights = {before_name: before, AFTER: after}
    return _stacked(weights, title, caption + (GREY_IMAGES if is_grey and channels > 1 else ""))


@applied()
def parent_filters(
    before: NDArray[np.floating], after: NDArray[np.floating], owner: str, is_grey: bool = False
) -> TitledFigure:
    """As `conv1_filters`, of a run that started from a parent's weights: those, and the trained.

    owner: whose they are ("ImageNet's"). If conv1 was frozen, both are the same, drawn once.
    """
    number, channels, height, width = after.shape
    grey = GREY_IMAGES if is_grey and channels > 1 else ""
    size = f"{number} filters of {height}×{width} pixels"
    if np.array_equal(before, after):
        return _stacked(
            {f"before and after training: {owner} {size}": after},
            f"Filters of conv1: {owner}, which training has left as they were",
            f"{SCALE} conv1 was frozen (train.freeze).{grey}",
        )
    return _stacked(
        {f"before training: {owner} {size}": before, AFTER: after},
        f"Filters of conv1: their median cosine similarity with {owner} is "
        f"{np.median(cosine_similarity(before, after)):.3f}",
        f"{SCALE} The cosine similarity compares a filter before and after training, whatever its "
        "scale: 1 for the same pattern, 0 for two that have nothing in common, as two random ones "
        f"have.{grey}",
    )


@applied()
def layer_filters(weight: NDArray[np.floating]) -> TitledFigure:
    """The filters (filters, C, K, K) of a convolution, at most 96 of them, evenly spaced.

    With other than 1 or 3 channels: of each filter the channel of largest norm, in grey.
    """
    number, channels = weight.shape[:2]
    indices = np.linspace(0, number - 1, min(number, MAX_FILTERS)).round().astype(int)
    chosen = weight[indices]
    if channels in (1, 3):
        title = f"{_some(len(chosen), number)} filters; mid-grey is zero"
    else:
        largest = (chosen**2).sum(axis=(2, 3)).argmax(axis=1)
        chosen = np.take_along_axis(chosen, largest[:, None, None, None], axis=1)
        title = (
            f"{_some(len(chosen), number)} filters, of each the input channel of largest norm "
            f"(of {channels}); mid-grey is zero"
        )
    picture = mosaic(as_images(chosen), LAYER_COLUMNS)
    height = (WIDTH - 2 * MARGIN) * picture.shape[0] / picture.shape[1]
    canvas = Canvas(height, title)
    _draw(canvas, 0, height, picture)
    return canvas.figure


@applied()
def weight_histogram(weight: NDArray[np.floating]) -> TitledFigure:
    """The distribution of the weights (out, in) of a fully connected layer."""
    values = weight.ravel()
    most = float(np.quantile(np.abs(values), 0.9995))
    canvas = Canvas(
        HISTOGRAM + 0.3,
        f"Its {len(values):,} weights: mean {values.mean():.2g}, standard deviation "
        f"{values.std():.2g}",
    )
    axes = canvas.axes(MARGIN, 0.02, WIDTH - 2 * MARGIN, HISTOGRAM)
    counts, edges = np.histogram(values, bins=101, range=(-most, most))
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=BLUE, linewidth=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlim(-most, most)
    return canvas.figure


def cosine_similarity(
    before: NDArray[np.floating], after: NDArray[np.floating]
) -> NDArray[np.float64]:
    """(filters): of each filter (filters, C, K, K) with itself, in [-1, 1]; 0 for one of zeros."""
    one, two = (np.asarray(w, dtype=np.float64).reshape(len(w), -1) for w in (before, after))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    return np.divide((one * two).sum(axis=1), norms, where=norms > 0, out=np.zeros(len(one)))


def spectral_flatness(weight: NDArray[np.floating]) -> NDArray[np.float64]:
    """(filters): geometric over arithmetic mean of each filter's power spectrum, from 0 to 1.

    The spectra of a filter's channels are added up. Noise is flat; an edge, a grating or a
    blob holds few frequencies.
    """
    power = (np.abs(np.fft.fft2(np.asarray(weight, dtype=np.float64))) ** 2).sum(axis=1)
    power = power.reshape(len(power), -1)
    mean = power.mean(axis=1)
    geometric = np.exp(np.log(power + 1e-12 * mean[:, None] + 1e-300).mean(axis=1))
    return np.asarray(np.where(mean > 0, geometric / np.where(mean > 0, mean, 1), 1.0))


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


def _title(before: NDArray[np.floating], after: NDArray[np.floating]) -> str:
    number = len(after)
    limit = FLATNESS_MARGIN * spectral_flatness(before).min()
    structured = int((spectral_flatness(after) < limit).sum())
    if structured == number:
        return f"Filters of conv1: training has given structure to all {number}"
    if not structured:
        return f"Filters of conv1: all {number} are still close to noise"
    return (
        f"Filters of conv1: {structured} of {number} have structure, {number - structured} are "
        "still close to their initial noise"
    )


def _whitened_caption(num_whitened: int, number: int) -> str:
    half = num_whitened // 2
    text = (
        f"{SCALE} Before training the first {half} filters are the strongest principal components "
        "of the training images' patches, each divided by its standard deviation, and the next "
        f"{half} their negatives: the outputs of either {half} are uncorrelated at the first step."
    )
    if num_whitened < number:
        text += " The patches vary in no more directions, so the other filters start at random."
    return text


def _some(shown: int, number: int) -> str:
    return f"{shown} of its {number}" if shown < number else f"Its {number}"


def _stacked(weights: Mapping[str, NDArray[np.floating]], title: str, caption: str) -> TitledFigure:
    """Filters (filters, C, K, K) by the line above them, one mosaic below the other."""
    pictures = {
        name: mosaic(as_images(weight), min(COLUMNS, len(weight)))
        for name, weight in weights.items()
    }
    rows, columns = next(iter(pictures.values())).shape[:2]
    tall = (WIDTH - 2 * MARGIN) * rows / columns
    canvas = Canvas(len(pictures) * (tall + ABOVE) + BETWEEN * (len(pictures) - 1), title, caption)
    body = canvas.body()
    for place, (name, picture) in enumerate(pictures.items()):
        top = place * (tall + ABOVE + BETWEEN)
        body.text(MARGIN, top + ABOVE / 2, name, fontsize=TEXT, va="center", color=MUTED)
        _draw(canvas, top + ABOVE, tall, picture)
    return canvas.figure


def _draw(canvas: Canvas, top: float, height: float, picture: NDArray[np.float64]) -> None:
    axes = canvas.axes(MARGIN, top, WIDTH - 2 * MARGIN, height)
    pixels = picture[..., 0] if picture.shape[-1] == 1 else picture
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="none", aspect="auto")
    axes.axis("off")
