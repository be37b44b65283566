"""`alexnet live` as its user runs it, in the folder of a run; and what it says is wrong."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import torch

import alexnet
from alexnet.data.dataset import create_split, save_meta
from alexnet.errors import UserError
from alexnet.files import sha256
from alexnet.live.page import copy_page, find_source
from alexnet.live.run import Files, read_live_run
from alexnet.live.server import served
from alexnet.network.model import AlexNet, AlexNetCifar
from alexnet.network.weights import save_weights
from alexnet.training.filter_history import FilterHistory, save_filters
from tests.artifacts import METADATA
from tests.conftest import ROOT, real_digits
from tests.live.conftest import TEST, TRAIN, digits_meta
from tests.reports import HISTORY, METRICS, write_report
from tests.runs import narrow


def write_run(folder: Path, model: AlexNet) -> None:
    """The files of a run on the digits, but for those of its weights, which have to be there."""
    save_filters(folder / Files.filters, FilterHistory(model, 2, 2))
    write_report(folder / Files.history, HISTORY)
    digest = sha256(folder / Files.weights)
    write_report(folder / Files.metrics, METRICS | {"weights_sha256": digest})
    save_meta(folder / Files.processed, digits_meta())
    images, labels = (part.numpy() for part in real_digits())
    for split, part in (("train", TRAIN), ("test", TEST)):
        number = len(labels[part])
        file = folder / Files.processed / f"{split}.safetensors"
        stored, of_class = create_split(file, number, 32, 3)
        stored[:], of_class[:] = images[part], labels[part]


@pytest.fixture
def files(tmp_path, live_run, monkeypatch) -> Files:
    """A run of a narrow network: a file of weights would have to be of a wide one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("alexnet.live.run.load_weights", lambda _: (live_run.model, METADATA))
    write_report(Files.weights, "weights")
    write_run(tmp_path, live_run.model)
    return Files()


def test_a_run_is_read(files, live_run):
    run = read_live_run(files)
    assert run.weights_sha256 == run.metrics.weights_sha256
    assert run.filter_epochs == [0, 2]
    torch.testing.assert_close(run.test[0], live_run.test[0])
    torch.testing.assert_close(run.train[1], live_run.train[1])


def test_what_is_of_another_run_is_named(files):
    meta, metrics = files.processed / "meta.json", files.metrics
    text = meta.read_text()
    meta.write_text(text.replace('"nine"', '"ten"'))
    with pytest.raises(UserError, match=r"data/processed: is of other classes, .* than models/"):
        read_live_run(files)
    meta.write_text(text)
    metrics.write_text(re.sub('"[0-9a-f]{64}"', f'"{"0" * 64}"', metrics.read_text()))
    with pytest.raises(UserError, match=r"metrics\.json: is of other weights than models/weights"):
        read_live_run(files)


def test_filters_of_another_network_and_of_none(files):
    files.filters.unlink()
    assert read_live_run(files).filter_epochs == []
    save_filters(files.filters, FilterHistory(narrow(channels=1), 2, 2))
    with pytest.raises(UserError, match=r"filters\.safetensors: is of another network than the w"):
        read_live_run(files)


def test_a_page_that_is_not_there_or_has_no_runtime(tmp_path, monkeypatch, run):
    monkeypatch.setattr(alexnet, "__file__", str(tmp_path / "alexnet/__init__.py"))
    with pytest.raises(UserError, match="no part of the installed package; clone the repository"):
        find_source()
    (tmp_path / "docs/live").mkdir(parents=True)
    with pytest.raises(UserError, match=r"npm ci --ignore-scripts --prefix .*docs/live"):
        find_source()
    result = run("live")  # in a fork of this process
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "npm ci" in result.stderr


def test_a_file_of_the_runtime_that_is_missing_is_named(tmp_path, source):
    (source.runtime / "ort-wasm-simd-threaded.jspi.wasm").unlink()
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=r"runtime/ort-wasm-simd-threaded\.jspi\.wasm does not"):
        copy_page(tmp_path / "out", source)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("page.mjs", "text/javascript"),
        ("page.js", "text/javascript"),
        ("", "text/html; charset=utf-8"),
        ("run.json", "application/json"),
        ("ort.wasm", "application/wasm"),
        ("ort.wasm.gz", "application/gzip"),
    ],
)
def test_files_are_served_by_their_types(tmp_path, name, kind, capfd):
    (tmp_path / (name or "index.html")).write_text("some text")
    with served(tmp_path) as address:
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}{name}") as answer:
            assert answer.headers["Content-Type"] == kind
            assert answer.headers["Content-Encoding"] is None
            assert answer.read() == b"some text"
    assert capfd.readouterr() == ("", ""), "requests are not logged"


@pytest.mark.slow
@pytest.mark.skipif(
    not (ROOT / "docs/live/node_modules").exists(), reason="needs npm ci in docs/live"
)
def test_alexnet_live_builds_serves_and_opens_the_page(tmp_path):
    """A browser that writes the address (%s) to a file; Ctrl-C ends it without a word."""
    torch.manual_seed(0)
    model = AlexNetCifar(10)
    save_weights(tmp_path / Files.weights, model, METADATA)
    write_run(tmp_path, model)
    opened = tmp_path / "opened"
    environment = {"PYTHONPATH": str(ROOT), "BROWSER": f"sh -c 'echo %s > {opened}'"}
    process = subprocess.Popen(
        [sys.executable, "-m", "alexnet.cli.main", "live", "--open"],
        cwd=tmp_path,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while not (opened.exists() and opened.read_text().endswith("\n")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    address = opened.read_text().strip()
    with urllib.request.urlopen(f"{address}run/run.json") as answer:
        assert b'"copies"' in answer.read()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert re.search(r"^live: .* MB; .* accuracy .* on 60 test images, the same label", out)
    assert (tmp_path / "live/ort/ort.jspi.min.mjs").exists()
