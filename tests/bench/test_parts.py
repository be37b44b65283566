"""Parts in child processes: what fails, hangs or crashes is recorded, and the next one runs."""

import json
import os
import subprocess
import time

import pytest

from bench.parts import Part, Report, json_values, run_parts


def works(setup, recorder):
    recorder.add(process=os.getpid(), given=setup)
    recorder.check("sums", 1 + 1 == 2)


def fails(setup, recorder):
    recorder.add(before=1)
    raise ValueError("no such thing")


def crashes(setup, recorder):
    os.abort()


def hangs(setup, recorder):
    child = subprocess.Popen(["sleep", "600"])
    recorder.add(child=child.pid, seconds_left=recorder.seconds_left())
    time.sleep(600)


def is_wrong(setup, recorder):
    recorder.check("product", 2 * 2 == 5, "4 is not 5")


PARTS = [
    Part("first", works, 30),
    Part("second", works, 30),
    Part("failing", fails, 30),
    Part("crashing", crashes, 30),
    Part("alone", works, 30, is_alone=True),
    Part("hanging", hangs, 5),
    Part("wrong", is_wrong, 30),
]


@pytest.mark.slow
def test_whatever_happens_to_a_part_the_next_one_runs(tmp_path):
    report = Report(tmp_path, "all", {"is_rehearsal": False}, render=lambda values: "text")
    run_parts(PARTS, "setup", report, seconds=60)
    parts = json.loads((tmp_path / "all.json").read_text())["parts"]
    assert list(parts) == [part.name for part in PARTS]
    errors = {name: part["error"] for name, part in parts.items() if part["error"]}
    assert list(errors) == ["failing", "crashing", "hanging"]
    assert errors["failing"].endswith("ValueError: no such thing")
    assert errors["crashing"] == "its process ended with code -6"
    assert errors["hanging"] == "stopped: it took more than 5 seconds"
    assert 5 <= parts["hanging"]["seconds"] < 8
    assert parts["failing"]["figures"] == {"before": 1}, "what came before the error"
    processes = {name: parts[name]["figures"].get("process") for name in parts}
    assert processes["first"] == processes["second"] != processes["alone"]
    assert parts["first"]["figures"]["given"] == "setup"
    assert report.failures[-1] == "wrong: product: 4 is not 5"
    assert len(report.failures) == 4
    assert ends(parts["hanging"]["figures"]["child"]), "what a part started is stopped with it"


def ends(pid: int) -> bool:
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_without_time_no_part_begins(tmp_path):
    report = Report(tmp_path, "all", {"is_rehearsal": False}, render=lambda values: "text")
    run_parts(PARTS[:2], "setup", report, seconds=0)
    assert report.failures == [
        f"{n}: not begun: the 0 seconds were over" for n in ("first", "second")
    ]


def test_json_has_no_nan():
    assert json_values({"loss": [float("nan"), 1.5], 3: (float("inf"),)}) == {
        "loss": [None, 1.5],
        "3": [None],
    }
