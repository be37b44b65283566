"""What excites a channel most: the patches of test images that it answers to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alexnet.report.page import MARGIN, Page, fit
from alexnet.report.style import MUTED, SMALL, TEXT, WIDTH, applied

SIDE = 3  # a channel's patches stand in a square of so many by so many
NUMBER = SIDE * SIDE
GAP, BLOCK_GAP = 0.02, 0.14
BELOW, ABOVE = 0.36, 0.3
OUTSIDE = 228  # beyond the image's edge


@dataclass(frozen=True)
class Channel:
    """A channel with its strongest patches, uint8 (P, h, w, C), and what their images show."""

    number: int
    patches: list[NDArray[np.uint8]]
    labels: list[str]


@dataclass(frozen=True)
class Row:
    """A layer, the side of what one of its values sees, and some of its channels."""

    layer: str
    field: int
    channels: Sequence[Channel]


@applied()
def exciting_patches(rows: Sequence[Row], image_size: int, num_images: int) -> Figure:
    """A row for each layer: of some channels the nine patches that excite them most."""
    columns = max(len(row.channels) for row in rows)
    block = (WIDTH - 2 * MARGIN + BLOCK_GAP) / columns - BLOCK_GAP
    height = ABOVE + block + BELOW
    page = Page(
        len(rows) * height,
        "What excites a channel: edges and colours first, whole things at the end",
        f"Of the {num_images:,} test images, the nine that excite each channel most, cut to what "
        "the value that answers can see of them (grey lies outside the image). Chosen are the "
        "channels whose strongest answers stand out most from their usual ones. Below: the "
        "commonest class of the nine: where it is nearly all, the channel knows a kind of thing.",
    )
    canvas = page.canvas()
    for number, row in enumerate(rows):
        top = number * height
        seen = (
            f"each value sees {row.field}×{row.field} pixels"
            if row.field < image_size
            else f"each value sees the whole image ({row.field}×{row.field} with its surroundings)"
        )
        canvas.text(MARGIN, top + 0.13, row.layer, fontsize=TEXT, weight="bold", va="center")
        canvas.text(MARGIN + 0.6, top + 0.13, seen, fontsize=SMALL, color=MUTED, va="center")
        for place, channel in enumerate(row.channels):
            left = MARGIN + place * (block + BLOCK_GAP)
            side = (block + GAP) / SIDE - GAP
            for index, patch in enumerate(channel.patches[:NUMBER]):
                y, x = divmod(index, SIDE)
                at = (left + x * (side + GAP), top + ABOVE + y * (side + GAP))
                page.image(*at, side, patch)
            below = top + ABOVE + block + 0.12
            words = fit(_commonest(channel.labels[:NUMBER]), SMALL, block)
            canvas.text(left + block / 2, below, words, fontsize=SMALL, ha="center", va="center")
    return page.figure


def _commonest(labels: Sequence[str]) -> str:
    name = max(dict.fromkeys(labels), key=list(labels).count)
    return f"{name}: {list(labels).count(name)} of {len(labels)}"


def cut(
    image: NDArray[np.uint8], row: int, column: int, field: int, stride: int, start: int
) -> NDArray[np.uint8]:
    """What value (row, column) of a map sees of the image (H, W, C): (side, side, C).

    field, stride, start: of `alexnet.network.summary.Layer`. What lies outside the image is grey; a
    field larger than the image is cut to the image itself.
    """
    height, width, channels = image.shape
    if field >= min(height, width):
        return image
    top, left = start + row * stride, start + column * stride
    patch = np.full((field, field, channels), OUTSIDE, dtype=np.uint8)
    rows = slice(max(0, top), min(height, top + field))
    columns = slice(max(0, left), min(width, left + field))
    inside = image[rows, columns]
    y, x = rows.start - top, columns.start - left
    patch[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return patch
