"""The gallery: training images in one picture, and what excites each channel most among them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alexnet.export.activations import Arrays
from alexnet.export.blocks import Block
from alexnet.live.network import ActivationNetwork

MAX_IMAGES, MAX_PIXELS = 2000, 12_000_000
COLUMNS, MAX_SIDE = 50, 8000  # of the atlas; pixels of a side, which every browser decodes
JPEG_QUALITY = 90
NUM_PATCHES = 9  # of a channel
MISSING = 65535  # in the place of an image's number

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def gallery_size(num_images: int, side: int) -> int:
    """The number of images of `side` pixels in the gallery, of those that there are."""
    return min(MAX_IMAGES, max(1, MAX_PIXELS // side**2), num_images)


def write_atlas(path: Path, images: Pixels) -> int:
    """Write images (N, H, W, C) row by row as one JPEG; returns the number of columns."""
    number, side, _, channels = images.shape
    columns = min(COLUMNS, max(1, MAX_SIDE // side))
    rows = -(-number // columns)
    tiles = np.zeros((rows * columns, side, side, channels), np.uint8)
    tiles[:number] = images
    grid = tiles.reshape(rows, columns, side, side, channels).swapaxes(1, 2)
    atlas = grid.reshape(rows * side, columns * side, channels)
    picture = Image.fromarray(atlas[..., 0] if channels == 1 else atlas)
    picture.save(path, quality=JPEG_QUALITY, subsampling=0)
    return columns


@dataclass
class _Channels:
    """Of a block's channels: the largest activation in each image, and where."""

    values: list[Floats]  # (images, channels) of each batch
    positions: list[NDArray[np.int64]]
    width: int = 1  # of the map


def explore(network: ActivationNetwork, images: Pixels, features: str) -> tuple[Arrays, Floats]:
    """What excites each channel of the weighted blocks most, and `features`' activations.

    By block: `patches` uint16 (channels, 9, 3), image, row and column of the strongest
    activations; `peaks`, these activations. The activations of the block `features` are float32
    (N, units).
    """
    weighted = [block for block in network.blocks if block.is_weighted]
    found = {block.name: _Channels([], []) for block in weighted}
    activations = []
    for outputs in network.run(images, [*found]):
        for name, channels in found.items():
            maps = outputs[name].reshape(*outputs[name].shape[:2], -1)
            channels.values.append(maps.max(axis=2))
            channels.positions.append(maps.argmax(axis=2))
            channels.width = outputs[name].shape[-1] if outputs[name].ndim == 4 else 1
        activations.append(outputs[features])
    arrays: Arrays = {}
    for block in weighted:
        arrays |= _describe(block, found[block.name])
    return arrays, np.concatenate(activations)


def _describe(block: Block, channels: _Channels) -> dict[str, NDArray[Any]]:
    values = np.concatenate(channels.values)  # (N, channels)
    positions = np.concatenate(channels.positions)
    chosen = np.argsort(-values, axis=0, kind="stable")[:NUM_PATCHES]
    peaks = np.take_along_axis(values, chosen, 0)
    rows, columns = np.divmod(np.take_along_axis(positions, chosen, 0), channels.width)
    patches = np.stack([chosen, rows, columns], axis=-1).astype(np.uint16)  # (9, channels, 3)
    lacking = NUM_PATCHES - len(patches)  # fewer images than patches
    patches = np.pad(patches, [(0, lacking), (0, 0), (0, 0)])
    peaks = np.pad(peaks, [(0, lacking), (0, 0)])
    missing = np.zeros(peaks.shape, bool)
    missing[NUM_PATCHES - lacking :] = True
    if block.relu:  # what a ReLU leaves at zero is no activation
        missing |= peaks <= 0
    patches[missing] = (MISSING, 0, 0)
    peaks[missing] = 0
    return {
        f"{block.name}.patches": patches.swapaxes(0, 1),
        f"{block.name}.peaks": peaks.T,
    }
