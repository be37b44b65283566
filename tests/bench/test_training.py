"""The training benchmark: its rows are complete and its figures agree."""

import itertools
import json
import re
import statistics

import pytest

from bench import report, training
from bench.loops import Speed
from tests.conftest import write_params

from .conftest import run_bench

CONDITIONS = {
    *("device", "processor", "threads", "precision", "torch"),
    *("rounds", "seconds", "steps", "warm_up_steps", "data", "num_images"),
}
MEASURED = {
    *("loop", "batch_size", "num_images", "images_per_second", "rounds", "steps"),
    *("seconds_per_epoch", "host_seconds_per_step", "device_seconds_per_step", "peak_bytes"),
}
COST = {
    *("precision", "flops_per_image_as_written", "flops_per_image_done"),
    *("flops_per_step_of_optimizer", "flops_per_second_as_written", "flops_per_second_done"),
    *("peak_flops_per_second", "share_of_peak", "relative_to"),
}


@pytest.fixture(
    scope="module", params=["invented", pytest.param("measured", marks=pytest.mark.slow)]
)
def result(request, context, here):
    """Two rounds of two steps; sizes that a test can afford."""
    if request.param == "measured":
        yield report_of(context)
        return
    seconds = itertools.count(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            training,
            "measure",
            lambda context, workload: Speed(
                2 * workload.batch_size, 2, (s := next(seconds)) / 7, s / 8, s / 7, 1 << 30
            ),
        )
        patch.setattr(
            training, "epoch_seconds", lambda context, num, monitored: 2.5 + monitored * num / 400
        )
        yield report_of(context)


def report_of(context):
    given = {"data": "digits", "num_images": 40}
    return {
        "conditions": training.conditions(context, rounds=2) | given,
        **training.compare(context, 40, batch_size=4, rounds=2),
        "monitoring": training.monitor(context, 40, seconds_per_epoch=50.0, rounds=2),
        "growth": {
            "batch_size": training.grow_batches(context, 40, (2, 64)),
            "num_images": training.grow_data(context, 4, 2, (20, 60)),
        },
    }


def test_the_ratios_are_quotients_at_equal_batch(result):
    tutorial, expert, ours, _ = columns = result["comparison"]
    assert [column["loop"] for column in columns] == ["tutorial", "expert", "ours", "ours"]
    assert [column["batch_size"] for column in columns] == [4, 4, 4, 8]
    others = [list(column["relative_to"]) for column in columns]
    assert others == [[], ["tutorial"], ["tutorial", "expert"], []]
    for column, other in ((expert, tutorial), (ours, tutorial), (ours, expert)):
        found = column["relative_to"][other["loop"]]
        assert found["ratio"] == column["images_per_second"] / other["images_per_second"]
        pairs = zip(column["rounds"], other["rounds"], strict=True)
        assert found["ratios"] == [a / b for a, b in pairs]


def test_the_figures_of_a_row_agree(result):
    rows = [row for part in (result["comparison"], *result["growth"].values()) for row in part]
    for row in rows:
        assert row["images_per_second"] == statistics.median(row["rounds"])
        epoch = row["num_images"] / row["images_per_second"]
        assert row["seconds_per_epoch"] == epoch
        assert set(row["steps"]) == {2}
    for column in result["comparison"]:
        speed = column["images_per_second"]
        as_written = speed * column["flops_per_image_as_written"]
        assert column["flops_per_second_as_written"] == as_written
    *baselines, ours, _ = result["comparison"]
    for baseline in baselines:
        assert baseline["flops_per_image_done"] == baseline["flops_per_image_as_written"]
    assert ours["flops_per_image_done"] < ours["flops_per_image_as_written"]


def test_growth_has_a_row_for_each_size(result):
    batches, data = result["growth"]["batch_size"], result["growth"]["num_images"]
    assert [(row["batch_size"], row["num_images"]) for row in batches] == [(2, 40), (64, 64)]
    assert [row["num_images"] for row in data] == [20, 60]
    assert all(len(row["rounds"]) == 2 for row in data)
    assert data[0]["relative"] == 1
    assert data[1]["relative"] == data[1]["images_per_second"] / data[0]["images_per_second"]


def test_the_cost_of_the_monitor_is_a_ratio_of_epochs(result):
    taken = result["monitoring"]
    assert taken["num_images"] == 40
    without, monitored = map(statistics.median, (taken["seconds_without"], taken["seconds_with"]))
    assert taken["ratio"] == monitored / without
    assert taken["ratio_of_whole_epoch"] == 1 + (monitored - without) / 50
    assert f"{taken['ratio']:.3f} times as long" in report.monitoring(result)


def test_the_default_sizes():
    assert tuple(2**power for power in range(5, 12)) == training.BATCH_SIZES
    assert (training.NUM_IMAGES[0], training.NUM_IMAGES[-1]) == (5_000, 50_000)


def test_json_has_every_key(result):
    result = json.loads(json.dumps(result, allow_nan=False))
    assert set(result) == {"conditions", "comparison", "monitoring", "growth"}
    assert set(result["conditions"]) == CONDITIONS
    for column in result["comparison"]:
        assert set(column) == MEASURED | COST
    for row in result["growth"]["batch_size"]:
        assert set(row) == MEASURED
    for row in result["growth"]["num_images"]:
        assert set(row) == MEASURED | {"relative"}


def test_the_tables_are_plain_text(result, capsys):
    whole_run = {"epochs": 50, "cold_seconds": 61.5, "warm_seconds": 12.25}
    report.show_training(result | {"whole_run": whole_run})
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "float32" in printed
    assert f"PyTorch {result['conditions']['torch']}" in printed
    _, expert, ours, _ = result["comparison"]
    rows = {"tutorial": ["1", cell(expert, "tutorial"), cell(ours, "tutorial")]}
    rows["expert"] = ["1", cell(ours, "expert")]
    for other, cells in rows.items():
        label = f"times the {other}'s speed"
        (line,) = (line for line in printed.splitlines() if line.startswith(label))
        assert re.split(r"\s{2,}", line.removeprefix(label).strip()) == cells
    assert "the 40 images, repeated up to 60" in printed
    assert "50 epochs, validation included: 61.5 s with compilation, 12.2 s" in printed


def cell(column, other):
    """In the table of the report."""
    found = column["relative_to"][other]
    low, high = min(found["ratios"]), max(found["ratios"])
    return f"{found['ratio']:.2f} ({low:.2f} to {high:.2f})"


@pytest.mark.slow
def test_without_data_the_error_names_the_missing_file(tmp_path):
    write_params(tmp_path)
    result = run_bench("training", tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("error: data/processed/meta.json does not exist")
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_the_command(folder, tmp_path):
    """With its subprocesses and those of the loaders."""
    write_params(tmp_path, train__batch_size=8, train__device="cpu")
    options = ["--data", folder, "--batch-size", 8, "--rounds", 1, "--steps", 2]
    done = run_bench("training", tmp_path, *options, "--no-growth", "--json", "bench.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "bench.json").read_text())
    assert set(result) == {"conditions", "comparison", "monitoring"}
    assert len(result["comparison"]) == 3, "params.yaml has the same batch size"
    assert "times the expert's speed" in done.stdout
