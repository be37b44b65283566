"""Preprocessing a whole data set: the bytes of its splits, and failures that change nothing."""

import json
import os
import random
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from alexnet.data import members
from alexnet.data.catalog import DATASETS, PublishedFile
from alexnet.data.dataset import load_meta
from alexnet.data.download import download
from alexnet.data.preprocess import preprocess
from alexnet.data.readers import check_published_counts
from alexnet.errors import UserError

from . import making
from .making import digits, make_config, make_files, read_files, write_folder, write_tar

NUM_EACH = 80  # of two classes: enough for two worker processes


def run(root, source, num_workers=1, **changes):
    data = make_config(source=source and str(source), **changes)
    download(data, root / "raw")
    return preprocess(data, root / "raw", root / "processed", num_workers)


def test_every_image_is_in_one_split_with_its_label(tmp_path):
    files = make_files(NUM_EACH)
    meta = run(tmp_path, write_folder(tmp_path / "mine", files), num_workers=2)
    class_of = {digits()[row].tobytes(): name[:3] for row, name in enumerate(files)}
    found = []
    for split, num_images in (("train", 80), ("val", 40), ("test", 40)):
        arrays = load_file(tmp_path / f"processed/{split}.safetensors")
        images = [image.tobytes() for image in arrays["images"]]
        names = [class_of[image] for image in images]
        assert [meta.classes[label] for label in arrays["labels"]] == names
        expected = {"cat": num_images // 2, "dog": num_images // 2}
        assert meta.counts[split] == expected == {c: names.count(c) for c in meta.classes}
        found += images
    assert sorted(found) == sorted(class_of)


def test_images_of_another_source_than_the_parameters_name_are_refused(tmp_path):
    """As after a download from the new source that failed."""
    run(tmp_path, write_folder(tmp_path / "mine", make_files(8)))
    with pytest.raises(UserError, match=r"raw holds the images of .*mine, which data\.source does"):
        preprocess(make_config(source="another"), tmp_path / "raw", tmp_path / "processed")


def test_a_source_that_changed_or_went_away_is_used_as_it_was(tmp_path, log):
    mine = write_folder(tmp_path / "mine", make_files(40))
    run(tmp_path, mine)
    data, before = make_config(source=str(mine)), read_files(tmp_path / "processed")
    (mine / "cat/000.png").unlink()
    log.clear()
    preprocess(data, tmp_path / "raw", tmp_path / "processed")
    assert read_files(tmp_path / "processed") == before
    assert log.records[0].levelname == "WARNING"
    assert log.messages[0].startswith(f"{mine} has changed since it was downloaded (cat/000.png)")
    assert log.messages[0].endswith("run `dvc repro --force download`, then `dvc repro`")
    mine.rename(tmp_path / "moved")
    log.clear()
    preprocess(data, tmp_path / "raw", tmp_path / "processed")
    assert [record.levelname for record in log.records] == ["INFO"]


def test_a_failure_names_the_source_and_how_to_renew_its_copy(tmp_path):
    """DVC does not run download again, so a mended source alone would change nothing."""
    archive = write_tar(tmp_path / "mine.tar", make_files(8) | {"cat/003.png": b"\x89PNG"})
    with pytest.raises(UserError) as caught:
        run(tmp_path, archive)
    assert str(caught.value).startswith(f"{archive}: 1 of 16 images cannot be read:\n  cat/003.png")
    assert str(caught.value).endswith(
        f". {tmp_path / 'raw'} has a copy of it: once the source is mended, run "
        "`dvc repro --force download`, then `dvc repro`"
    )


def test_meta_has_mean_and_std_of_train_alone(tmp_path):
    meta = run(tmp_path, write_folder(tmp_path / "mine", make_files(20)))
    train = load_file(tmp_path / "processed/train.safetensors")["images"] / 255.0
    np.testing.assert_allclose(meta.mean, [train.mean()], rtol=1e-12)
    np.testing.assert_allclose(meta.std, [train.std()], rtol=1e-12)
    assert load_meta(tmp_path / "processed") == meta
    written = json.loads((tmp_path / "processed/meta.json").read_text())
    assert list(written) == [
        *("name", "classes", "image_size", "channels", "resize", "mean", "std", "counts"),
        *("duplicates", "skipped", "source", "source_sha256"),
    ]


def test_the_bytes_do_not_depend_on_the_order_or_the_workers(tmp_path):
    files = make_files(NUM_EACH)
    names = list(files)
    random.Random(3).shuffle(names)
    first = write_tar(tmp_path / "sorted.tar", files)
    second = write_tar(tmp_path / "shuffled.tar", {name: files[name] for name in names})
    results = []
    for number, (source, num_workers) in enumerate([(first, 1), (second, 2), (first, 1)]):
        run(tmp_path / str(number), source, num_workers)
        results.append(read_files(tmp_path / str(number) / "processed"))
    one, other_order, again = results
    assert one == again
    assert {name for name in one if one[name] != other_order[name]} == {"meta.json"}  # its source
    assert sorted(one) == ["meta.json", *(f"{s}.safetensors" for s in ("test", "train", "val"))]


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """512 images have 6 MiB of pixels; a chunk of 64, and its copy as one array, have 1.5 MiB."""
    peaks = []
    for num_each in (64, 256):
        root = tmp_path / str(num_each)
        source = write_tar(root / "x.tar", make_files(num_each))
        tracemalloc.start()  # which counts arrays, and not maps of files
        run(root, source, image_size=64, channels=3)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 4e6


def test_duplicates_across_splits_are_counted_and_logged(tmp_path, log):
    files = make_files(4, ("train", "val", "test"))
    files["test/dog/000.png"] = files["train/dog/000.png"]
    files["test/cat/001.png"] = files["test/dog/001.png"] = files["train/cat/001.png"]
    files["val/cat/000.png"] = files["train/cat/000.png"]
    meta = run(tmp_path, write_folder(tmp_path / "mine", files))
    assert meta.duplicates == {"train-test": 3, "train-val": 1}
    assert log.messages[1:] == [
        "folder: 2 classes, train 8, val 8, test 8 images of 8x8x1",
        "3 image(s) of test are also in train, pixel by pixel",
        "1 image(s) of val are also in train, pixel by pixel",
    ]


def test_digits_of_another_size(tmp_path, log):
    meta = run(tmp_path, None, name="digits", image_size=16, channels=3, test_fraction=0.2)
    assert (meta.source, meta.classes) == ("scikit-learn", tuple("0123456789"))
    assert sum(meta.num_images(split) for split in meta.counts) == 1797
    expected = "digits: published as 8x8x1, written as 16x16x3 by data.image_size and data.channels"
    assert log.messages[1] == expected
    assert str(tmp_path) not in (tmp_path / "processed/meta.json").read_text()


def test_mnist(tmp_path, monkeypatch):
    mine = tmp_path / "mine"
    mine.mkdir()
    labels, images = np.arange(80) % 10, digits()[:80]
    listed = []
    for prefix, rows in (("train", slice(0, 60)), ("t10k", slice(60, 80))):
        for kind, values in (("images-idx3", images[rows]), ("labels-idx1", labels[rows])):
            path = making.write_idx(mine / f"{prefix}-{kind}-ubyte.gz", values)
            listed.append(PublishedFile(path.name, path.stat().st_size))
    spec = replace(DATASETS["mnist"], files=tuple(listed), counts={"train": 60, "test": 20})
    monkeypatch.setitem(DATASETS, "mnist", spec)
    meta = run(tmp_path, mine, name="mnist")
    test = load_file(tmp_path / "processed/test.safetensors")
    np.testing.assert_array_equal(test["images"][..., 0], images[60:])
    assert meta.num_images("train") + meta.num_images("val") == 60


def test_another_number_of_images_than_published_is_an_error():
    split = np.repeat(["train", "test"], [50000, 10000])
    check_published_counts("cifar10", split)
    with pytest.raises(UserError, match=r"cifar10 should have .*50000.* but has .*49999"):
        check_published_counts("cifar10", split[1:])
    with pytest.raises(UserError, match="cifar100 should have"):
        check_published_counts("cifar100", np.repeat("train", 60000))


def test_raw_files_of_another_data_set_are_an_error(tmp_path):
    download(make_config(name="digits", source=None), tmp_path / "raw")
    with pytest.raises(UserError, match=r"holds digits, but data\.name is mnist"):
        preprocess(make_config(name="mnist"), tmp_path / "raw", tmp_path / "processed")


@pytest.mark.parametrize("failure", ["broken image", "broken image, 2 workers", "full disk"])
def test_a_failure_keeps_the_old_output(tmp_path, monkeypatch, failure):
    files = make_files(NUM_EACH)
    mine = write_folder(tmp_path / "mine", files)
    run(tmp_path, mine)
    before = read_files(tmp_path / "processed")

    def full(*_):
        raise OSError(28, "No space left on device")

    if failure == "full disk":
        monkeypatch.setattr(os, "posix_fallocate", full)
        error, message = OSError, "No space left"
    else:
        (mine / "dog/077.png").write_bytes(files["dog/077.png"][:60])
        error, message = UserError, r"dog/077\.png does not decode"
    with pytest.raises(error, match=message):
        run(tmp_path, mine, num_workers=2 if "2" in failure else 1, split_seed=1)
    assert read_files(tmp_path / "processed") == before
    assert sorted(os.listdir(tmp_path)) == ["mine", "processed", "raw"]


def broken(files, *names):
    """The same files, with one image cut and the others empty."""
    cut, *empty = names
    return files | {cut: files[cut][:60]} | dict.fromkeys(empty, b"")


@pytest.mark.parametrize("num_workers", [1, 2])
def test_images_that_do_not_decode_are_left_out(tmp_path, log, num_workers):
    """The others are where they would be without them, in a file without a hole."""
    files = make_files(NUM_EACH)
    whole, skipped = tmp_path / "whole", tmp_path / "skipped"
    before = run(whole, write_folder(tmp_path / "mine", files))
    names = ["cat/003.png", "cat/040.png", "dog/000.png", "dog/078.png"]
    write_folder(tmp_path / "mine", broken(files, *names))
    meta = run(skipped, tmp_path / "mine", num_workers, on_bad_image="skip")
    bad = {digits()[row].tobytes() for row, name in enumerate(files) if name in names}
    assert meta.classes == before.classes
    for split in ("train", "val", "test"):
        old, new = (load_file(f"{root}/processed/{split}.safetensors") for root in (whole, skipped))
        kept = [row for row, image in enumerate(old["images"]) if image.tobytes() not in bad]
        for key in ("images", "labels"):
            np.testing.assert_array_equal(new[key], old[key][kept])
        assert list(meta.counts[split].values()) == np.bincount(new["labels"]).tolist()
    assert sum(map(meta.num_images, meta.counts)) == 2 * NUM_EACH - 4
    assert [image.name for image in meta.skipped] == names
    assert load_meta(skipped / "processed") == meta
    assert log.records[-2].levelname == "WARNING"
    first, *others = log.messages[-2].split("\n")
    assert first.startswith("4 of 160 images cannot be read, and are left out")
    assert others[:2] == [
        "  cat/003.png does not decode as an image: its end is missing; get the file again",
        "  cat/040.png is empty; get it again",
    ]


def test_the_first_ten_images_that_do_not_decode_are_named(tmp_path):
    files = make_files(20)
    mine = write_folder(tmp_path / "mine", broken(files, *list(files)[5:18]))
    with pytest.raises(UserError) as caught:
        run(tmp_path, mine)
    first, *listed, more, advice = str(caught.value).split("\n")
    assert first == f"{mine}: 13 of 40 images cannot be read:"
    assert [line.split()[0] for line in listed] == [
        f"cat/{number:03}.png" for number in range(5, 15)
    ]
    assert more == "  and 3 more"
    assert "data.on_bad_image: skip" in advice


def test_a_file_too_large_for_an_image_is_left_out_with_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "MAX_IMAGE_BYTES", 10_000)
    files = broken(make_files(8), "cat/001.png", "dog/002.png") | {"cat/000.png": bytes(10_001)}
    meta = run(tmp_path, write_folder(tmp_path / "mine", files), on_bad_image="skip")
    assert [image.name for image in meta.skipped] == ["cat/000.png", "cat/001.png", "dog/002.png"]
    limit = "has 10,001 bytes, too many for an image; the limit is 10,000"
    assert meta.skipped[0].reason == limit


def test_a_class_without_an_image_that_decodes_is_an_error(tmp_path):
    files = make_files(8, ("train", "val", "test"))
    names = [name for name in files if name.startswith("val/dog")]
    mine = write_folder(tmp_path / "mine", broken(files, *names))
    with pytest.raises(
        UserError, match=r"class dog has no image in the val split that can be read"
    ):
        run(tmp_path, mine, on_bad_image="skip")
    assert not (tmp_path / "processed").exists()


def test_constant_images_are_an_error(tmp_path):
    flat = dict.fromkeys(make_files(8), making.png(np.full((8, 8), 9, np.uint8)))
    with pytest.raises(UserError, match="one value in all training images"):
        run(tmp_path, write_folder(tmp_path / "mine", flat))


def test_neither_the_stages_nor_their_workers_import_torch():
    code = (
        "import sys, alexnet.data.download, alexnet.data.preprocess; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
