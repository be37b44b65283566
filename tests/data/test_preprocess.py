import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from alexnet.data import catalog
from alexnet.data.catalog import KNOWN, File
from alexnet.data.download import download
from alexnet.data.meta import Meta, load_meta
from alexnet.data.preprocess import check_published, preprocess
from alexnet.errors import UserError

from .making import digit, make_config, make_files, png, write_folder, write_idx, write_tar

NUM_EACH = 80  # of two classes: enough to be decoded in two processes


def run(root: Path, source: Path, num_workers: int = 1, **changes: object) -> Meta:
    data = make_config(source=str(source), **changes)
    download(data, root / "raw", lambda _: None)
    return preprocess(data, root / "raw", root / "processed", lambda _: None, num_workers)


def written(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "processed").iterdir()}


def test_every_image_is_in_one_split_under_its_label(tmp_path: Path) -> None:
    files = make_files(NUM_EACH)
    meta = run(tmp_path, write_folder(tmp_path / "mine", files), num_workers=2)
    class_of = {digit(row).tobytes(): name[:3] for row, name in enumerate(files)}
    seen = []
    for split in ("train", "val", "test"):
        arrays = load_file(tmp_path / f"processed/{split}.safetensors")
        assert (arrays["images"].dtype, arrays["labels"].dtype) == (np.uint8, np.int64)
        names = [class_of[image.tobytes()] for image in arrays["images"]]
        assert [meta.classes[label] for label in arrays["labels"]] == names
        assert meta.counts[split] == {"cat": names.count("cat"), "dog": names.count("dog")}
        seen += [image.tobytes() for image in arrays["images"]]
    assert sorted(seen) == sorted(class_of)
    assert meta.counts == {
        "train": {"cat": 40, "dog": 40},
        "val": {"cat": 20, "dog": 20},
        "test": {"cat": 20, "dog": 20},
    }


def test_mean_and_std_are_of_train_alone(tmp_path: Path) -> None:
    meta = run(tmp_path, write_folder(tmp_path / "mine", make_files(20)))
    train = load_file(tmp_path / "processed/train.safetensors")["images"] / 255.0
    np.testing.assert_allclose(meta.mean, [train.mean()], rtol=1e-12)
    np.testing.assert_allclose(meta.std, [train.std()], rtol=1e-12)
    assert load_meta(tmp_path / "processed") == meta


def test_same_bytes_whatever_the_order_and_the_workers(tmp_path: Path) -> None:
    files = make_files(NUM_EACH)
    names = list(files)
    random.Random(3).shuffle(names)
    first = write_tar(tmp_path / "sorted.tar", files)
    second = write_tar(tmp_path / "shuffled.tar", {name: files[name] for name in names})
    run(tmp_path / "1", first)
    run(tmp_path / "2", second, num_workers=2)
    run(tmp_path / "3", first)
    one, two, three = (written(tmp_path / str(k)) for k in (1, 2, 3))
    assert one == three
    assert {k: v for k, v in one.items() if k != "meta.json"} == {
        k: v for k, v in two.items() if k != "meta.json"
    }
    assert sorted(one) == [
        "meta.json",
        "test.safetensors",
        "train.safetensors",
        "val.safetensors",
    ]


def test_duplicates_are_counted_and_said(tmp_path: Path) -> None:
    files = make_files(4, ("train", "val", "test"))
    files["test/dog/000.png"] = files["train/dog/000.png"]
    files["test/cat/001.png"] = files["test/dog/001.png"] = files["train/cat/001.png"]
    files["val/cat/000.png"] = files["train/cat/000.png"]
    data = make_config(source=str(write_folder(tmp_path / "mine", files)))
    lines: list[str] = []
    download(data, tmp_path / "raw", lambda _: None)
    meta = preprocess(data, tmp_path / "raw", tmp_path / "processed", lines.append)
    assert meta.duplicates == {"train-test": 3, "train-val": 1}
    assert lines == [
        "folder: 2 classes, train 8, val 8, test 8 images of 8x8x1",
        "3 image(s) of test are also in train, pixel by pixel",
        "1 image(s) of val are also in train, pixel by pixel",
    ]


def test_digits_from_end_to_end(tmp_path: Path) -> None:
    data = make_config(name="digits", source=None, image_size=16, channels=3, test_fraction=0.2)
    lines: list[str] = []
    download(data, tmp_path / "raw", lines.append)
    meta = preprocess(data, tmp_path / "raw", tmp_path / "processed", lines.append)
    assert (meta.source, meta.classes) == ("scikit-learn", tuple("0123456789"))
    assert sum(meta.num_images(split) for split in meta.counts) == 1797
    assert lines[1] == "digits: 8x8x1 as published, 16x16x3 by data.image_size and channels"
    assert str(tmp_path) not in (tmp_path / "processed/meta.json").read_text()


def test_mnist_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    labels = np.tile(np.arange(10), 8)
    images = np.stack([digit(row) for row in range(80)])
    listed = []
    for prefix, rows in (("train", slice(0, 60)), ("t10k", slice(60, 80))):
        for kind, values in (("images-idx3", images[rows]), ("labels-idx1", labels[rows])):
            path = write_idx(mine / f"{prefix}-{kind}-ubyte.gz", values)
            listed.append(File(path.name, path.stat().st_size))
    known = replace(KNOWN["mnist"], files=tuple(listed), counts={"train": 60, "test": 20})
    monkeypatch.setitem(catalog.KNOWN, "mnist", known)
    meta = run(tmp_path, mine, name="mnist")
    np.testing.assert_array_equal(
        load_file(tmp_path / "processed/test.safetensors")["images"][..., 0], images[60:]
    )
    assert meta.num_images("train") + meta.num_images("val") == 60


def test_published_counts() -> None:
    given = np.repeat(["train", "test"], [50000, 10000])
    check_published("cifar10", given)
    with pytest.raises(UserError, match=r"cifar10 should have .*50000.* but has .*49999"):
        check_published("cifar10", given[1:])
    with pytest.raises(UserError, match="cifar100 should have"):
        check_published("cifar100", np.repeat("train", 60000))


def test_raw_of_another_data_set_is_refused(tmp_path: Path) -> None:
    download(make_config(name="digits", source=None), tmp_path / "raw", lambda _: None)
    with pytest.raises(UserError, match=r"holds digits, but data\.name is mnist"):
        preprocess(make_config(name="mnist"), tmp_path / "raw", tmp_path / "processed")


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_broken_image_is_named_and_the_old_output_stays(tmp_path: Path, num_workers: int) -> None:
    files = make_files(NUM_EACH)
    mine = write_folder(tmp_path / "mine", files)
    run(tmp_path, mine)
    before = written(tmp_path)
    (mine / "dog/077.png").write_bytes(files["dog/077.png"][:60])
    with pytest.raises(UserError, match=r"dog/077\.png does not decode"):
        run(tmp_path, mine, num_workers)
    assert written(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == ["mine", "processed", "raw"]


def test_a_full_disk_leaves_the_old_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = write_folder(tmp_path / "mine", make_files(8))
    run(tmp_path, mine)
    before = written(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, mine, split_seed=1)
    assert written(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == ["mine", "processed", "raw"]


def test_flat_images_are_refused(tmp_path: Path) -> None:
    flat = dict.fromkeys(make_files(8), png(np.full((8, 8), 9, np.uint8)))
    with pytest.raises(UserError, match="one value in all training images"):
        run(tmp_path, write_folder(tmp_path / "mine", flat))


def test_neither_stage_nor_its_workers_load_torch() -> None:
    code = (
        "import sys, alexnet.data.download, alexnet.data.preprocess; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_meta_holds_no_surprises(tmp_path: Path) -> None:
    run(tmp_path, write_folder(tmp_path / "mine", make_files(8)))
    assert list(json.loads((tmp_path / "processed/meta.json").read_text())) == [
        *("name", "classes", "image_size", "channels", "mean", "std", "counts"),
        *("duplicates", "source", "source_sha256"),
    ]
