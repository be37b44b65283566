"""Test images for the page: those of each cell of the confusion matrix, as small pictures."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from alexnet.report.style import percent

SIDE = 64  # pixels, of a thumbnail at most
QUALITY = 85  # of a thumbnail in WebP, from 0 to 100
NUM_EXAMPLES = 8  # of a cell
MAX_PIXELS = 4_000_000  # of all thumbnails: 4 MB of page at worst

Ints = NDArray[np.int64]
Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Example:
    """A test image: its number in the split, the confidence of its prediction, and a data: URI."""

    index: int
    confidence: float
    uri: str

    @property
    def lines(self) -> list[str]:
        return [percent(self.confidence)]


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix: classes by number, its images, of all those of the class."""

    true: int
    predicted: int
    count: int
    support: int
    examples: list[Example] = field(default_factory=list)


def cells_with_examples(
    images: Images, actual: Ints, predicted: Ints, confidence: NDArray[np.floating]
) -> list[Cell]:
    """The cells that are not empty, row by row, each with its images of highest confidence.

    Of images uint8 (N, H, W, C). `MAX_PIXELS` are shared out: each cell has its first image before
    any has its second one, the largest mistakes first. A cell for which none are left is left out.
    """
    order = np.lexsort((-confidence, predicted, actual))
    pairs = np.stack([actual[order], predicted[order]], axis=1)
    keys, starts, counts = np.unique(pairs, axis=0, return_index=True, return_counts=True)
    support = np.bincount(actual)
    cells = [
        Cell(int(true), int(guess), int(count), int(support[true]))
        for (true, guess), count in zip(keys, counts, strict=True)
    ]
    chosen = [
        order[start : start + min(count, NUM_EXAMPLES)].tolist()
        for start, count in zip(starts, counts, strict=True)
    ]
    side = min(SIDE, images.shape[1])
    for cell, index in islice(_by_turns(cells, chosen), MAX_PIXELS // side**2):
        uri = thumbnail(images[index])
        cell.examples.append(Example(index, float(confidence[index]), uri))
    return [cell for cell in cells if cell.examples]


def _by_turns(cells: Sequence[Cell], chosen: Sequence[Sequence[int]]) -> Iterator[tuple[Cell, int]]:
    mistakes_first = sorted(
        zip(cells, chosen, strict=True),
        key=lambda pair: (pair[0].true == pair[0].predicted, -pair[0].count),
    )
    for turn in range(NUM_EXAMPLES):
        for cell, indices in mistakes_first:
            if turn < len(indices):
                yield cell, indices[turn]


def thumbnail(image: Images) -> str:
    """An image uint8 (H, W, C), C 1 or 3, as a data: URI, at most `SIDE` pixels wide."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    picture.thumbnail((SIDE, SIDE), Resampling.LANCZOS)
    with io.BytesIO() as file:
        picture.save(file, "webp", quality=QUALITY)
        return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
