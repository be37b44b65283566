"""A report edited by hand or damaged: one message names file, field and the stage to run again."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alexnet import config
from alexnet.cli.report import report
from alexnet.data.dataset import load_meta
from alexnet.errors import UserError
from alexnet.evaluation.evaluate import read_predictions
from alexnet.evaluation.repeats import read_repeats
from alexnet.files import write_text
from alexnet.report.run import Files, read_run
from ci.compare import compare
from ci.summary import summary
from stages import paths
from stages.export import export
from stages.gate import gate
from stages.params import RECORDED, load, record
from tests.conftest import ROOT
from tests.reports import (
    FILES,
    GATE,
    HISTORY,
    LAYERS,
    META,
    METRICS,
    PREDICTIONS,
    REPEAT,
    write_report,
)

RUN = Files(
    *(paths.PROCESSED, paths.WEIGHTS, paths.HISTORY, paths.LAYERS, paths.TRAIN_METRICS),
    *(paths.PROFILE, paths.PROFILE_METRICS, paths.PREDICTIONS),
)
PARAMS = config.load(ROOT / "params.yaml")
# What reads, up to where it would compute.
READERS: dict[str, Callable[[], object]] = {
    "train": lambda: load_meta(paths.PROCESSED),
    "gate": lambda: gate(paths.PARAMS),
    "plot": lambda: read_run(RUN, PARAMS),
    "predictions": lambda: read_predictions(paths.PREDICTIONS, ("cat", "dog")),
    "export": lambda: export(paths.PARAMS),
    "repeats": lambda: read_repeats(paths.REPEAT),
    "compare": compare,
    "summary": summary,
    "report": report,
}
META_FILE, METRICS_FILE = "data/processed/meta.json", "reports/evaluate/metrics.json"
GATE_FILE, COMPARISON_FILE = "reports/gate.json", "reports/comparison.json"
TRAIN_FILE, PREDICTIONS_FILE = "reports/train/metrics.json", "reports/evaluate/predictions.csv"
HISTORY_FILE, LAYERS_FILE = "reports/train/history.csv", "reports/train/layers.csv"
REPEAT_FILE = "reports/repeat.json"
WRITERS = {META_FILE: "preprocess", METRICS_FILE: "evaluate", GATE_FILE: "gate"}
WRITERS |= {PREDICTIONS_FILE: "evaluate"} | dict.fromkeys([TRAIN_FILE, HISTORY_FILE], "train")
WRITERS |= {LAYERS_FILE: "train", REPEAT_FILE: "repeat"}


def without(values: dict, key: str) -> dict:
    return {name: value for name, value in values.items() if name != key}


def per_class(name: str, **changes: float) -> dict:
    changed = METRICS["per_class"]["dog"] | changes
    return METRICS | {"per_class": METRICS["per_class"] | {name: changed}}


def counts(**numbers: int) -> dict:
    return META | {"counts": META["counts"] | {"val": numbers}}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """All reports of a run, good ones; it is the current directory."""
    for name, content in FILES.items():
        write_report(tmp_path / name, content)
    shutil.copy(ROOT / "demo/params.yaml", tmp_path)
    write_text(tmp_path / paths.REPORT, "a page")
    monkeypatch.chdir(tmp_path)
    for path in RECORDED:
        record(path, load(paths.PARAMS))
    return tmp_path


def message_of(reader: str, file: str) -> str:
    """What the reader raises, without the file and the advice around it."""
    with pytest.raises(UserError) as caught:
        READERS[reader]()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400, "a value is abbreviated"
    advice = "ci.compare" if file == COMPARISON_FILE else f"the stage {WRITERS[file]}"
    assert message.startswith(f"{file}: ")
    assert message.endswith(f"; run {advice} again")
    if reader == "gate":
        assert not paths.GATE.exists(), "an earlier verdict is gone"
    return message.removeprefix(f"{file}: ").removesuffix(f"; run {advice} again")


@pytest.mark.parametrize(
    ("reader", "file", "content", "expected"),
    [
        ("gate", METRICS_FILE, without(METRICS, "accuracy"), "accuracy: is missing"),
        ("gate", METRICS_FILE, METRICS | {"accuracy": 1.5}, "accuracy: should be less than or"),
        ("gate", METRICS_FILE, METRICS | {"accuracy": "0.9"}, "accuracy: should be a valid number"),
        (
            "gate",
            METRICS_FILE,
            METRICS | {"accuracy": float("nan")},
            "accuracy: should be a finite",
        ),
        ("gate", METRICS_FILE, METRICS | {"loss": 1e999}, "loss: should be a finite number"),
        ("gate", METRICS_FILE, METRICS | {"n": 0}, "n: should be greater than or equal to 1"),
        (
            "gate",
            METRICS_FILE,
            METRICS | {"n": 10**4000},
            "n: should be less than 9007199254740992",
        ),
        ("gate", METRICS_FILE, METRICS | {"per_class": {}}, "per_class: Dictionary should have at"),
        ("gate", METRICS_FILE, per_class("dog", recall=-1), "per_class.dog.recall: should be"),
        (
            "gate",
            METRICS_FILE,
            METRICS | {"weights_sha256": "A" * 64},
            "weights_sha256: String sho",
        ),
        ("report", METRICS_FILE, without(METRICS, "n"), "n: is missing"),
        ("compare", GATE_FILE, without(GATE, "passed"), "passed: is missing"),
        ("export", GATE_FILE, without(GATE, "weights_sha256"), "weights_sha256: is missing"),
        ("export", GATE_FILE, GATE | {"passed": "yes"}, "passed: should be a valid boolean"),
        ("export", GATE_FILE, GATE | {"passed": False}, "passed: the checks do not give False"),
        ("summary", GATE_FILE, GATE | {"checks": [{}]}, "checks.0.metric: is missing"),
        ("summary", COMPARISON_FILE, {}, "passed: is missing"),
        (
            "summary",
            HISTORY_FILE,
            HISTORY.replace("0.5", "nan"),
            "line 2: val_accuracy: should be a",
        ),
        (
            *("repeats", REPEAT_FILE),
            {"runs": [REPEAT["runs"][0] | {"test_accuracy": 75}]},
            "runs.0.test_accuracy: should be less than or equal to 1 (got 75",
        ),
        ("plot", TRAIN_FILE, {"epoch": 2}, "device: is missing"),
        ("plot", HISTORY_FILE, HISTORY.splitlines()[0], "holds no rows"),
        ("plot", HISTORY_FILE, "", "should have the columns epoch, learning_rate, train_loss"),
        (
            "plot",
            HISTORY_FILE,
            HISTORY.replace("val_loss", "loss"),
            "should have the columns epoch,",
        ),
        ("plot", HISTORY_FILE, HISTORY.replace("2,", "two,"), "line 3: epoch: should be a valid"),
        ("plot", HISTORY_FILE, HISTORY + "3,0.1", "line 4: should have 6 cells"),
        ("plot", HISTORY_FILE, HISTORY.replace("1.25", '"1.25'), "unexpected end of data"),
        (
            "plot",
            LAYERS_FILE,
            LAYERS.replace("12,", "-12,"),
            "line 2: weight_norm: should be great",
        ),
        ("plot", LAYERS_FILE, LAYERS.replace("12,", ","), "line 2: weight_norm: should be a valid"),
        (
            "predictions",
            PREDICTIONS_FILE,
            PREDICTIONS.replace("dog", "cow"),
            "image 1: cow is no cl",
        ),
        ("predictions", PREDICTIONS_FILE, PREDICTIONS.replace("1,d", "2,d"), "image 1: is missing"),
        (
            "predictions",
            PREDICTIONS_FILE,
            PREDICTIONS.replace("0.9", "9"),
            "line 2: confidence: shou",
        ),
        ("train", META_FILE, without(META, "classes"), "classes: is missing"),
        ("train", META_FILE, META | {"classes": "abc"}, "classes: should be a valid array"),
        ("train", META_FILE, META | {"classes": []}, "classes: should be two or more different"),
        ("train", META_FILE, META | {"classes": ["cat", "cat"]}, "classes: should be two or more"),
        (
            "train",
            META_FILE,
            META | {"classes": ["a\nb", "c"]},
            "classes.0: the class name 'a\\u000",
        ),
        (
            "train",
            META_FILE,
            META | {"classes": ["", "c"]},
            "classes.0: the class name '' has 0 characters",
        ),
        ("train", META_FILE, META | {"mean": [0.5]}, "mean, std: should have 3 values, one for"),
        ("train", META_FILE, META | {"mean": None}, "mean: should be a valid array"),
        (
            "train",
            META_FILE,
            META | {"mean": [float("nan")] * 3},
            "mean.0: should be a finite numb",
        ),
        ("train", META_FILE, META | {"std": [0.2, 0, 0.2]}, "std.1: should be greater than 0"),
        ("train", META_FILE, META | {"channels": 2}, "channels: should be 1 or 3"),
        ("train", META_FILE, META | {"image_size": "big"}, "image_size: should be a valid integer"),
        ("train", META_FILE, counts(cat=3), "counts.val: should be of the classes, in their order"),
        ("train", META_FILE, counts(cat=3, dog=-1), "counts.val.dog: should be greater than or eq"),
        (
            "train",
            META_FILE,
            META | {"counts": {"train": 3}},
            "counts.train: should be an object",
        ),
    ],
)
def test_a_wrong_value_is_named(folder, reader, file, content, expected):
    write_report(folder / file, content)
    assert message_of(reader, file).startswith(expected)


JSON = [("gate", METRICS_FILE), ("export", GATE_FILE), ("train", META_FILE), ("plot", TRAIN_FILE)]
JSON += [("summary", COMPARISON_FILE)]
FORMS = {
    "list": (b"[]", "should be an object"),
    "empty": (b"", "is not valid JSON (EOF"),
    "cut": (b'{"n": 1', "is not valid JSON (EOF"),
    "nested": (b"[" * 100_000, "is not valid JSON (recursion limit"),
    "digits": (b'{"n": 1' + b"0" * 5000 + b"}", "is not valid JSON (number out of range"),
    "UTF-8": (b'{"\xff": 1}', "is not valid JSON (invalid unicode"),
}


@pytest.mark.parametrize(("reader", "file"), JSON)
@pytest.mark.parametrize("form", FORMS)
def test_another_form_of_json_is_refused(folder, reader, file, form):
    content, expected = FORMS[form]
    (folder / file).write_bytes(content)
    assert message_of(reader, file).startswith(expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"\xff", "'utf-8' codec can't decode"), (b"x" * 200_000, "field larger than field limit")],
)
def test_a_file_that_is_no_csv_is_refused(folder, content, expected):
    (folder / HISTORY_FILE).write_bytes(content)
    assert message_of("plot", HISTORY_FILE).startswith(expected)


def test_a_byte_order_mark_is_read_over(folder, capsys):
    """Some editors write one; it is no part of the content."""
    for name in FILES:
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    load_meta(paths.PROCESSED)
    READERS["predictions"]()
    summary()
    assert "| accuracy | 0.7500 | 0.8000 |" in capsys.readouterr().out
    with pytest.raises(UserError, match=re.escape(f"{paths.WEIGHTS} does not exist")):
        READERS["plot"]()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
@pytest.mark.parametrize(("reader", "file"), [*JSON, ("plot", HISTORY_FILE)])
def test_a_directory_and_a_pipe_are_refused(folder, reader, file, make):
    """Reading a pipe would wait for ever."""
    (folder / file).unlink()
    make(folder / file)
    with pytest.raises(UserError, match=re.escape(f"{file} is not a file; remove it and run")):
        READERS[reader]()


@pytest.mark.parametrize(
    ("stage", "file"),
    [("train", META_FILE), ("profile", META_FILE), ("gate", METRICS_FILE), ("plot", METRICS_FILE)],
)
def test_the_command_ends_in_the_message(folder, run, stage, file):
    write_report(folder / file, {})
    result = run(stage)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {file}: ")
    assert result.stderr.endswith(f"is missing; run the stage {WRITERS[file]} again\n")


@pytest.mark.parametrize("wrong", ["metrics", "params"])
def test_a_gate_that_fails_leaves_no_passing_verdict(folder, wrong):
    if wrong == "metrics":
        (folder / METRICS_FILE).unlink()
    else:
        (folder / "params.yaml").write_text("gate: []")
    with pytest.raises(UserError):
        gate(paths.PARAMS)
    assert not paths.GATE.exists()
