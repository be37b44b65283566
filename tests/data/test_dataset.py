import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from alexnet.data.dataset import Meta, load_meta, load_split
from alexnet.data.download import download
from alexnet.data.preprocess import preprocess
from alexnet.errors import UserError

from .making import make_config


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("digits")
    data = make_config(name="digits", source=None)
    download(data, root / "raw")
    preprocess(data, root / "raw", root / "processed", num_workers=1)
    return {path.name: path.read_bytes() for path in (root / "processed").iterdir()}


@pytest.fixture
def folder(tmp_path: Path, digits: dict[str, bytes]) -> Path:
    for name, content in digits.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_reads_what_was_written(folder: Path) -> None:
    meta = load_meta(folder)
    assert meta == Meta(**{**vars(meta)})
    assert (meta.num_classes, meta.image_size, meta.channels) == (10, 8, 1)
    num_images = 0
    for split in ("train", "val", "test"):
        images, labels = load_split(folder, split)
        reference = load_file(folder / f"{split}.safetensors")
        assert images.dtype == torch.uint8
        assert torch.equal(images, reference["images"])
        assert torch.equal(labels, reference["labels"])
        num_images += len(images)
    assert num_images == 1797


def test_images_are_mapped_not_copied(folder: Path) -> None:
    images, _ = load_split(folder, "train")
    path = str(folder / "train.safetensors")
    maps = [line for line in Path("/proc/self/maps").read_text().splitlines() if path in line]
    spans = [tuple(int(x, 16) for x in line.split()[0].split("-")) for line in maps]
    assert any(start <= images.data_ptr() < end for start, end in spans)


def test_missing_and_damaged(folder: Path) -> None:
    path = folder / "test.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"test\.safetensors is damaged .* preprocess again"):
        load_split(folder, "test")
    path.unlink()
    with pytest.raises(UserError, match=r"test\.safetensors does not exist"):
        load_split(folder, "test")
    with pytest.raises(UserError, match="no split 'dev'"):
        load_split(folder, "dev")


@pytest.mark.parametrize("change", ["fewer", "size", "dtype", "label", "name"])
def test_a_split_unlike_meta_is_refused(folder: Path, change: str) -> None:
    path = folder / "val.safetensors"
    tensors = {name: value.clone() for name, value in load_file(path).items()}
    if change == "fewer":
        tensors = {name: value[:-1] for name, value in tensors.items()}
    elif change == "size":
        tensors["images"] = tensors["images"][:, :7].contiguous()
    elif change == "dtype":
        tensors["images"] = tensors["images"].float()
    elif change == "label":
        tensors["labels"][0] = 10
    else:
        tensors["pictures"] = tensors.pop("images")
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"val\.safetensors .*preprocess again"):
        load_split(folder, "val")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("mean", None, "meta.json: mean: .*valid"),
        ("classes", "abc", "meta.json: classes"),
        ("image_size", "big", "meta.json: image_size"),
        ("counts", {"train": 3}, "meta.json: counts.train"),
    ],
)
def test_a_meta_that_is_none(folder: Path, key: str, value: Any, message: str) -> None:
    path = folder / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(UserError, match=message):
        load_meta(folder)
