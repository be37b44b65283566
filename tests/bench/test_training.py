"""The training benchmark: its rows are complete and its figures agree."""

import itertools
import json
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
    *("peak_flops_per_second", "share_of_peak"),
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


def test_the_ratio_is_the_quotient_at_equal_batch(result):
    tutorial, ours, at_own_batch = result["comparison"]
    assert [column["loop"] for column in result["comparison"]] == ["tutorial", "ours", "ours"]
    assert tutorial["batch_size"] == ours["batch_size"] == 4
    assert at_own_batch["batch_size"] == 8
    assert result["ratio"] == ours["images_per_second"] / tutorial["images_per_second"]
    pairs = zip(ours["rounds"], tutorial["rounds"], strict=True)
    assert result["ratios"] == [a / b for a, b in pairs]


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
    tutorial, ours, _ = result["comparison"]
    assert tutorial["flops_per_image_done"] == tutorial["flops_per_image_as_written"]
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
    assert set(result) == {"conditions", "comparison", "ratio", "ratios", "monitoring", "growth"}
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
    assert f"{result['ratio']:.2f} (" in printed
    assert "the 40 images, repeated up to 60" in printed
    assert "50 epochs, validation included: 61.5 s with compilation, 12.2 s" in printed


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
    assert set(result) == {"conditions", "comparison", "ratio", "ratios", "monitoring"}
    assert len(result["comparison"]) == 2, "params.yaml has the same batch size"
    assert "times the tutorial's speed" in done.stdout
