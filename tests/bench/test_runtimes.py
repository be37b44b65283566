"""The table of runtimes: no two outcomes look alike, and the documents have what was measured."""

import json
import os
import shutil
import sys

import numpy as np
import onnx
import pytest

from alexnet.export.runtimes import as_markdown, measured
from bench import runtimes
from bench.runtimes import AROUND, PROGRAMS, RUNTIMES, Runtime
from tests.conftest import ROOT

from .conftest import run_bench


@pytest.fixture
def outcome(artifact, tmp_path):
    """The outcome of a command in the artifact, or of a program in this environment."""
    images = runtimes.prepared_samples(artifact)
    images.tofile(tmp_path / "images")
    expected = runtimes.expected_outputs(artifact, "fp32")

    def outcome(*command, program=None, folder=artifact):
        if program:
            (tmp_path / "program.py").write_text(AROUND.format(program=program))
            command = [sys.executable, str(tmp_path / "program.py")]
        return runtimes.outcome(list(command), folder, tmp_path, images, "fp32", expected)

    return outcome


def test_what_a_runtime_gives_is_compared_with_the_artifact(outcome, artifact, tmp_path):
    """The same bits, the same labels, and others, by a model that was changed."""
    assert outcome(program=PROGRAMS["onnxruntime"]) == {"outcome": "same bits"}
    reference = outcome(program=PROGRAMS["onnx"])
    assert reference["outcome"] == "same labels"
    assert 0 < reference["max_difference"] < 1e-5
    changed = tmp_path / "changed"
    changed.mkdir()
    model = onnx.load(artifact / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "fc3.weight":
            values = -onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, changed / "model.onnx")
    other = outcome(program=PROGRAMS["onnxruntime"], folder=changed)
    assert other["outcome"] == "wrong labels"
    assert 0 < other["num_wrong"] <= 4


def test_a_probability_that_is_no_number_is_wrong():
    expected = np.array([[0.25, 0.75]], np.float32)
    broken = np.array([[np.nan, 0.75]], np.float32)
    assert runtimes.compare(broken, expected)["outcome"] == "wrong labels"


def test_refusals_crashes_and_endless_loops_are_results(outcome, tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_text("no model")
    refused = outcome(program=PROGRAMS["onnxruntime"], folder=tmp_path)
    assert refused["outcome"] == "refuses"
    assert "model.onnx failed" in refused["reason"]
    assert str(tmp_path) not in refused["reason"]
    monkeypatch.setattr(runtimes, "TIMEOUT_SECONDS", 1)
    for command, reason in (
        ("kill -SEGV $$", "is killed by SIGSEGV"),
        ("exit 3", "exit status 3"),
        ("sleep 60", "gives no answer in 1 s"),
        (f"echo '{refused['reason']}' >&2; exit 1", refused["reason"]),
    ):
        assert outcome("sh", "-c", command) == {"outcome": "refuses", "reason": reason}


def test_a_runtime_that_cannot_be_installed_is_a_row_with_the_reason(artifact, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    images = runtimes.prepared_samples(artifact)
    expected = {"fp32": runtimes.expected_outputs(artifact, "fp32")}
    row = runtimes.measure(Runtime("a", "1", runs_in_node=True), artifact, images, expected)
    failed = {"outcome": "not installed", "reason": "npm is not installed"}
    assert row == {"runtime": "a", "version": "1", "results": {"fp32": failed}}


def test_telemetry_is_off_in_every_runtime(outcome):
    program = '    raise OSError(os.environ["ORT_DISABLE_TELEMETRY"], "PYTHONPATH" in os.environ)'
    assert outcome(program=program)["reason"] == "OSError: [Errno 1] False"


def test_neighbouring_versions_of_one_outcome_share_a_row():
    def row(version, **results):
        return {"runtime": "r", "version": version, "results": {"fp32": results}}

    def same(difference):
        return {"outcome": "same labels", "max_difference": difference}

    conditions = measured()["conditions"] | {"precisions": ["fp32"]}
    rows = [row("1", **same(1e-6)), row("2", **same(3e-6)), row("3", outcome="same bits")]
    rows += [row("4", outcome="wrong labels", num_wrong=5), row("5", **same(2e-6))]
    rows += [row("6", outcome="refuses", reason="E: no")]
    text = as_markdown({"conditions": conditions, "rows": rows})
    assert text.splitlines()[4:] == [
        *(
            "| r 1, 2 | same labels, 3.0e-06 |",
            "| r 3 | same bits |",
            "| r 4 | **5 wrong labels** |",
        ),
        *("| r 5 | same labels, 2.0e-06 |", "| r 6 | refuses |", "", "- r 6: E: no (fp32)"),
    ]


def test_every_runtime_was_measured_and_the_documents_say_so(artifact):
    result = measured()
    rows = [(row["runtime"], row["version"]) for row in result["rows"]]
    assert rows == [(runtime.name, runtime.version) for runtime in RUNTIMES]
    assert all(list(row["results"]) == ["fp32", "fp16", "int8"] for row in result["rows"])
    for document in (ROOT / "docs" / "use.md", artifact / "MODEL_CARD.md"):
        assert f"\n{as_markdown(result)}\n" in document.read_text()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm (Debian's package npm)")
def test_the_command_installs_and_measures(artifact, tmp_path):
    """From PyPI and npm."""
    for only, name in (("onnx.ref", "onnx.reference"), ("onnxruntime-web", "onnxruntime-web")):
        done = run_bench("runtimes", tmp_path, artifact, "--only", only, "--json", "out.json")
        assert done.returncode == 0, done.stderr
        rows = json.loads((tmp_path / "out.json").read_text())["rows"]
        assert {row["runtime"] for row in rows} == {name}
        assert {row["results"]["fp32"]["outcome"] for row in rows} == {"same labels"}
        assert f"| {name} {rows[0]['version']}" in done.stdout
    assert not [name for name in os.listdir(tmp_path) if name != "out.json"]
    done = run_bench("runtimes", tmp_path, artifact, "--only", "caffe")
    assert done.returncode == 1
    assert "no runtime's name begins with caffe; there are onnxruntime, " in done.stderr
