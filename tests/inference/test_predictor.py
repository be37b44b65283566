"""Classifying image files of every kind, and the errors for those that cannot be read."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.numpy import load_file
from sklearn.datasets import load_sample_images

from alexnet.data.download import download
from alexnet.data.preprocess import preprocess
from alexnet.errors import UserError
from alexnet.escape import for_csv, for_terminal
from alexnet.inference.image_paths import find_images
from alexnet.inference.predictor import Predictor
from tests.artifacts import export_small
from tests.conftest import ROOT
from tests.data.making import make_config, write_folder
from tests.data.odd_images import exact_inputs, refused_inputs
from tests.names import unsafe_in

PHOTO = Image.fromarray(load_sample_images().images[0])  # 640x427


EXACT, REFUSED = exact_inputs(), refused_inputs()


@pytest.fixture
def images(tmp_path):
    """Five images in a folder and its subfolder, among other files."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(["b.jpg", "a.png", "d.PNG", "c.bmp", "more/e.webp"]):
        PHOTO.crop((100 * number, 0, 100 * number + 150, 200)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    (folder / ".a.png").write_text("hidden")
    return folder


NAMES = ["a.png", "b.jpg", "c.bmp", "d.PNG", "more/e.webp"]  # sorted


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([""], NAMES),
        (["*.png"], ["a.png"]),
        (["**/*.webp"], ["more/e.webp"]),
        (["d.PNG", "", "d.PNG"], ["d.PNG", *NAMES[:3], NAMES[4]]),  # each once
        (["none.png"], ["none.png"]),  # its reader reports it
        (["[a].png"], ["[a].png"]),  # a file's name, not a pattern
    ],
)
def test_files_directories_and_patterns(images, arguments, expected):
    if arguments == ["[a].png"]:
        shutil.copy(images / "a.png", images / "[a].png")
    found = find_images([images / argument for argument in arguments])
    assert found == [images / name for name in expected]


@pytest.mark.parametrize("name", ["empty", "*.gif", "none/*.png"])
def test_no_images(images, name):
    (images / "empty").mkdir()
    (images / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"contains no images|no file matches"):
        find_images([images / name])


def test_the_files_of_a_directory_that_are_left_out_are_counted(run, artifact, images):
    result = run("predict", artifact, images)
    assert result.returncode == 0
    assert f"warning: {images}: 2 file(s) left out" in result.stderr
    assert len(result.stdout.splitlines()) == 5
    assert run("predict", artifact, images / "*.png").stderr == ""


def test_the_links_of_a_directory_are_followed(images, tmp_path, caplog):
    (tmp_path / "linked").symlink_to(images)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "more").symlink_to("../linked")
    (folder / "one.png").symlink_to("more/a.png")
    (folder / "back").symlink_to(".")
    (folder / "broken.png").symlink_to("none.png")
    names = ["more/" + name for name in NAMES]
    assert find_images([folder]) == [folder / name for name in (*names, "one.png")]
    assert f"{folder}: 4 file(s) left out" in caplog.text  # a note and a hidden file as well


def test_an_address_is_to_be_downloaded(run, artifact):
    result = run("predict", artifact, "https://example.org/a.png?size=2")
    assert result.returncode == 1
    assert "error: https://example.org/a.png?size=2 is an address" in result.stderr
    assert "download it" in result.stderr


def test_an_image_is_the_same_in_training_and_in_prediction(artifact, tmp_path):
    """The same pixels, or the same words for what is wrong with it."""
    files = {f"{'ab'[n % 2]}/{n}.jpg": content for n, (content, _) in enumerate(EXACT.values())}
    files["b/3.jpg"] = REFUSED["HEIC"][0]
    mine = write_folder(tmp_path / "mine", files)
    data = make_config(source=str(mine), image_size=32, channels=3, on_bad_image="skip")
    download(data, tmp_path / "raw")
    meta = preprocess(data, tmp_path / "raw", tmp_path / "processed")
    trained = [load_file(file)["images"] for file in (tmp_path / "processed").glob("*.safetensors")]
    predictor = Predictor(artifact)
    predicted = [predictor.prepare(mine / name) for name in files if name != "b/3.jpg"]
    assert sorted(x.tobytes() for x in np.concatenate(trained)) == sorted(
        x.tobytes() for x in predicted
    )
    _, failed = predictor.classify_all([mine / "b/3.jpg"], 1)
    assert failed[mine / "b/3.jpg"].endswith(f"b/3.jpg {meta.skipped[0].reason}")


def test_images_of_every_mode(artifact, tmp_path):
    grey16 = np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257
    images = {
        "grey": PHOTO.convert("L"),
        "16-bit": Image.fromarray(grey16),
        "rgba": PHOTO.convert("RGBA"),
        "palette": PHOTO.convert("P"),
        "bilevel": PHOTO.convert("1"),
        "huge": PHOTO.convert("L").resize((11000, 9000), Image.Resampling.NEAREST),  # Pillow warns
    }
    paths = [tmp_path / f"{name}.png" for name in images]
    for path, image in zip(paths, images.values(), strict=True):
        image.save(path, compress_level=1)
    predictor = Predictor(artifact)
    predictions, errors = predictor.classify_all(paths, top=3)
    assert errors == {}
    assert list(predictions) == paths
    for row in predictions.values():
        assert len({best.label for best in row}) == 3
        assert sorted(row, key=lambda best: -best.probability) == row
    grey, sixteen = (predictor.prepare(path).astype(int) for path in paths[:2])
    assert np.abs(grey - sixteen).max() <= 1, "white stays white"


def test_a_decompression_bomb(artifact, tmp_path, monkeypatch):
    PHOTO.save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match=r"photo.png does not decode .* too many pixels; at most"):
        Predictor(artifact).prepare(tmp_path / "photo.png")


def test_batches_equal_single_images(artifact, images, monkeypatch):
    monkeypatch.setattr("alexnet.inference.predictor.BATCH_SIZE", 2)
    predictor = Predictor(artifact)
    paths = find_images([images])
    advanced = []
    predictions, _ = predictor.classify_all(paths, 3, advanced.append)
    assert advanced == [2, 2, 1]
    for path in paths:
        for batched, single in zip(predictions[path], predictor.classify(path, 3), strict=True):
            assert batched.label == single.label
            assert batched.probability == pytest.approx(single.probability, abs=1e-6)


def test_preprocessing_comes_from_the_model_file(tmp_path):
    """Stored at 48 pixels, of which the network takes the centre of 32."""
    predictor = Predictor(export_small(tmp_path / "artifacts", stored_size=48))
    PHOTO.save(tmp_path / "photo.png")
    left = (640 - 427) / 2
    resized = PHOTO.resize((48, 48), Image.Resampling.BICUBIC, (left, 0, left + 427, 427))
    expected = np.asarray(resized)[8:40, 8:40]
    np.testing.assert_array_equal(predictor.prepare(tmp_path / "photo.png"), expected)


def test_no_model(tmp_path):
    with pytest.raises(UserError, match=r"model.onnx does not exist"):
        Predictor(tmp_path)
    (tmp_path / "model.onnx").write_text("not a model")
    with pytest.raises(UserError, match=r"is not a model that onnxruntime can run"):
        Predictor(tmp_path)


def with_metadata(artifact, path, **changes):
    """The model of an artifact with other metadata, as its sender may have written it."""
    model = onnx.load(artifact / "model.onnx")
    properties = {entry.key: entry.value for entry in model.metadata_props} | changes
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": "[" * 100_000},
        {"classes": json.dumps(["a", "b"])},
        {"classes": json.dumps(["\x1b[2J", *"bcdefghij"])},
        {"preprocessing": json.dumps({"resize": 10**9, "crop": 32, "channels": 3})},
        {"preprocessing": json.dumps({"resize": 16, "crop": 32, "channels": 3})},
        {"preprocessing": "[]"},
    ],
)
def test_impossible_metadata_is_refused(artifact, tmp_path, changes):
    path = with_metadata(artifact, tmp_path / "model.onnx", **changes)
    with pytest.raises(UserError, match=r"has no valid metadata of classes and preprocessing"):
        Predictor(path)


@pytest.mark.parametrize("options", [[], ["--json"], ["--csv"]])
def test_names_of_files_and_classes_are_text(run, artifact, tmp_path, options):
    """JSON holds each name exactly; in text and CSV it is one line, and no formula."""
    classes = ["=1+1", "-a", "[red]b", "@c", "'d", "e,f", '"g', "h\\", "$i$", "</j>"]
    model = with_metadata(artifact, tmp_path / "model.onnx", classes=json.dumps(classes))
    names = ["=1.png", "\x1b[31m.png", "a\nb.png", "\u202egnp.exe.png"]
    for name in names:
        PHOTO.save(tmp_path / name)
    result = run("predict", model, *names, "--top", 10, *options)
    assert result.returncode == 0, result.stderr
    assert not unsafe_in(result.stdout + result.stderr)
    if options == ["--json"]:
        rows = json.loads(result.stdout)
        assert [row["file"] for row in rows] == names
        assert {best["label"] for row in rows for best in row["predictions"]} == set(classes)
    elif options == ["--csv"]:
        rows = list(csv.DictReader(io.StringIO(result.stdout), strict=True))
        assert {row["file"] for row in rows} == {f"'{names[0]}", *map(for_terminal, names[1:])}
        assert {row["label"] for row in rows} == set(map(for_csv, classes))
        assert all(row["rank"].isdigit() and float(row["probability"]) >= 0 for row in rows)
    else:
        assert len(result.stdout.splitlines()) == len(names)


@pytest.mark.parametrize("output", ["text", "--json", "--csv"])
def test_readable_images_are_printed_and_the_others_listed(run, artifact, images, output):
    content = (images / "a.png").read_bytes()
    (images / "cut.png").write_bytes(content[: len(content) // 2])
    (images / "text.png").write_text("no image")
    (images / "empty.png").write_bytes(b"")
    options = [] if output == "text" else [output]
    result = run("predict", artifact, images, images / "none.png", "--top", 2, *options)
    assert result.returncode == 1
    assert "error: 4 of 9 images could not be read:\n" in result.stderr
    for name in ("cut.png", "text.png", "empty.png", "none.png"):
        assert f"  {images / name} " in result.stderr
        assert name not in result.stdout
    assert "Traceback" not in result.stderr
    readable = [str(images / name) for name in NAMES]
    if output == "--json":
        rows = json.loads(result.stdout)
        assert [row["file"] for row in rows] == readable
        assert all(len(row["predictions"]) == 2 for row in rows)
    elif output == "--csv":
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert [row["file"] for row in rows] == [name for name in readable for _ in range(2)]
        assert [row["rank"] for row in rows] == ["1", "2"] * 5
        assert all(0 <= float(row["probability"]) <= 1 for row in rows)
    else:
        assert [line.split()[0] for line in result.stdout.splitlines()] == readable


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("", ["images/empty"], "contains no images"),
        ("", ["images", "--json", "--csv"], "--json and --csv: give one of them"),
        ("", ["images", "--precision", "int8"], "has the precisions fp32"),
        ("model.onnx", ["images", "--precision", "int8"], "model.onnx is in fp32, not in int8"),
    ],
)
def test_wrong_arguments(run, artifact, images, model, arguments, message):
    (images / "empty").mkdir()
    result = run("predict", artifact / model, *arguments)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("options", [[], ["--json"], ["--csv"]])
def test_a_file_name_that_is_not_valid_text(artifact, tmp_path, options):
    """JSON holds it exactly, as every other name; text and CSV show it."""
    path = os.fsencode(tmp_path) + b"/photo\xff.png"
    with open(path, "wb") as file:
        PHOTO.save(file, "PNG")
    result = subprocess.run(
        [sys.executable, "-m", "alexnet.cli.main", "predict", artifact, tmp_path, *options],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        cwd=tmp_path,
        capture_output=True,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert rb"/photo\udcff.png" in result.stdout
    if options == ["--json"]:
        assert os.fsencode(json.loads(result.stdout)[0]["file"]) == path
