"""The preprocessed data set as tensors, mapped from disk rather than copied."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from alexnet.data.meta import Meta, load_meta
from alexnet.errors import UserError
from alexnet.files import require_file

__all__ = ["Meta", "load_meta", "load_split"]


def load_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images uint8 (N, H, W, C) and labels int64 (N) of `train`, `val` or `test`.

    Both lie in the file's own memory map: nothing is read until it is used. Raises
    UserError if the file is missing, damaged, or not what meta.json says.
    """
    meta = load_meta(folder)
    if split not in meta.counts:
        raise UserError(f"no split {split!r} in {folder}; there are {', '.join(meta.counts)}")
    path = require_file(folder / f"{split}.safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            images, labels = file.get_tensor("images"), file.get_tensor("labels")
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}); preprocess again") from None
    num_images = meta.num_images(split)
    expected = {
        "images": (torch.uint8, (num_images, meta.image_size, meta.image_size, meta.channels)),
        "labels": (torch.int64, (num_images,)),
    }
    found = {
        "images": (images.dtype, tuple(images.shape)),
        "labels": (labels.dtype, tuple(labels.shape)),
    }
    if found != expected:
        raise UserError(f"{path} holds {found}, meta.json says {expected}; preprocess again")
    if not bool(((labels >= 0) & (labels < meta.num_classes)).all()):
        raise UserError(f"{path} has labels outside 0..{meta.num_classes - 1}; preprocess again")
    return images, labels
