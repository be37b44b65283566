"""`alexnet predict`: its table, CSV and JSON, and the errors of those that cannot be read."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from alexnet.errors import UserError
from alexnet.escape import for_csv, for_terminal
from alexnet.inference import Prediction, Predictor, Result
from tests.artifacts import with_metadata
from tests.conftest import ROOT
from tests.names import unsafe_in
from tests.photos import NAMES, PHOTO, write_photos


@pytest.fixture
def images(tmp_path):
    return write_photos(tmp_path / "images")


def test_the_files_of_a_directory_that_are_left_out_are_counted(run, artifact, images):
    result = run("predict", artifact, images)
    assert result.returncode == 0
    assert f"warning: {images}: 2 file(s) left out" in result.stderr
    assert len(result.stdout.splitlines()) == 6
    assert run("predict", artifact, images / "*.png").stderr == ""


def test_an_address_is_to_be_downloaded(run, artifact):
    result = run("predict", artifact, "https://example.org/a.png?size=2")
    assert result.returncode == 1
    assert "error: https://example.org/a.png?size=2 is an address" in result.stderr
    assert "download it" in result.stderr


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
        assert len(result.stdout.splitlines()) == 1 + len(names)


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
        head, *lines = result.stdout.splitlines()
        assert re.split("   +", head) == ["file", "top 1", "top 2"]
        assert [line.split()[0] for line in lines] == readable
        # Each column begins where its head does.
        assert {line[head.index("top 2") - 1] for line in lines} == {" "}
        assert " " not in {line[head.index("top 2")] for line in lines}


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


@pytest.mark.parametrize(
    ("name", "options"),
    [("x.json", []), ("x.CSV", []), ("x", ["--csv"]), ("new/x", ["--json"])],
)
def test_a_file_takes_the_place_of_stdout(run, artifact, images, tmp_path, name, options):
    """The same text as on stdout, and the errors as well."""
    (images / "cut.png").write_bytes((images / "a.png").read_bytes()[:500])
    result = run("predict", artifact, images, "--out", name, *options)
    assert result.returncode == 1
    assert result.stdout == f"{name}: the predictions of 5 images\n"
    assert "error: 1 of 6 images could not be read:\n" in result.stderr
    printed = run("predict", artifact, images, *(options or [f"--{name[2:].lower()}"]))
    assert (tmp_path / name).read_text() == printed.stdout


@pytest.mark.parametrize("name", ["x", "x.txt", "x.json.gz"])
def test_a_file_of_no_known_format(run, artifact, images, tmp_path, name):
    result = run("predict", artifact, images, "--out", name)
    assert result.returncode == 1
    message = f"error: --out {name}: end its name in .json or .csv, or give --json or --csv\n"
    assert result.stderr == message
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--csv", "--out", "x.json"], "--csv and --out x.json: give one of the two formats"),
        (["--out", "folder.json"], "--out folder.json: is a folder; give a file"),
        (["--out", "x.json/y.json"], "--out x.json/y.json: File exists; choose another place"),
    ],
)
def test_a_file_that_cannot_be_written_is_known_before_the_first_image(
    run, artifact, tmp_path, options, message
):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "x.json").write_text("mine")
    result = run("predict", artifact, "nowhere", *options)
    assert (result.returncode, result.stderr) == (1, f"error: {message}\n")
    assert (tmp_path / "x.json").read_text() == "mine"


@pytest.mark.parametrize("arguments", [["", "a.png"], ["artifacts", ""]])
def test_an_empty_argument_is_not_the_current_folder(run, arguments):
    """As of a variable that is not set."""
    result = run("predict", *arguments)
    assert result.returncode == 2
    assert "an empty name" in " ".join(result.stderr.split())


def test_a_file_is_complete_or_not_there(run, artifact, images, tmp_path, monkeypatch):
    """Of a run that ends in the middle, an older one stays as it was, and no part of it is left."""

    def stop(*_):
        yield Result(str(images / "a.png"), (Prediction("zero", 1.0),))
        raise UserError("stopped")

    monkeypatch.setattr(Predictor, "classify_many", stop)
    (tmp_path / "x.csv").write_text("older")
    before = sorted(tmp_path.iterdir())
    result = run("predict", artifact, images, "--out", "x.csv")
    assert (result.returncode, result.stderr.splitlines()[-1]) == (1, "error: stopped")
    assert (tmp_path / "x.csv").read_text() == "older"
    assert sorted(tmp_path.iterdir()) == before


def test_predictions_are_printed_as_they_are_made_until_nobody_reads_on(artifact, tmp_path):
    """The first come long before the last of 20,000 would."""
    PHOTO.save(tmp_path / "0.jpg")
    for number in range(1, 20_000):
        os.link(tmp_path / "0.jpg", tmp_path / f"{number}.jpg")
    command = [sys.executable, "-m", "alexnet.cli.main", "predict", artifact, tmp_path, "--csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(1 + 3 * 64)]
        process.stdout.close()
        try:
            assert process.wait(timeout=15) == -signal.SIGPIPE
        finally:
            process.kill()
    assert lines[0] == "file,rank,label,probability\n"
    assert len({line.split(",")[0] for line in lines[1:]}) == 64
