"""The load test: what it measures and counts, and that a stop under load loses nothing."""

import json
from collections import Counter

import pytest

from bench import predict, serving
from bench.serving import Ask, Load, requests_for, stop_under_load


def test_rates_and_percentiles_are_of_all_requests(capsys):
    ask = Ask("tensor", "/", b"")
    one = Load("one after another", 0, ask, 1, [[0.1] * 10, [0.1] * 20])
    many = Load("many", 0, ask, 16, [[0.2] * 30, [0.2] * 39 + [1.0]])
    assert many.rates(seconds=2) == [15, 20]
    assert many.percentiles() == pytest.approx([0.2, 0.2, 0.448])
    stops = [Counter({"200": 7, "refused": 2}), Counter({"200": 5, "broken: OSError": 1})]
    serving.show([one, many], stops, rounds=2, seconds=2)
    shown = capsys.readouterr().out
    assert "rounds: 2, of 2 s each" in shown
    row = next(line for line in shown.splitlines() if line.rstrip().endswith(" many"))
    assert row.split() == ["18", "15", "to", "20", "x", "2.50", "200.0", "200.0", "448.0", "many"]
    listed = "servers stopped under load: 2; requests by end: 200: 12, broken: OSError: 1, refused"
    assert listed in shown


@pytest.mark.slow
def test_a_small_load(artifact, tmp_path, capsys):
    serving.bench(artifact, 2, rounds=1, seconds=0.3, stops=0, json_file=tmp_path / "x.json")
    shown = capsys.readouterr().out
    assert shown.count("one after another") == shown.count("2 at once, batched") == 2
    loads = json.loads((tmp_path / "x.json").read_text())["loads"]
    assert [load["request"] for load in loads] == ["tensor"] * 3 + ["JPEG, 640x427"] * 3
    assert all(load["requests_per_second"][0] > 0 for load in loads)


def test_files_against_a_loop(artifact, tmp_path, capsys):
    predict.bench(artifact, rounds=2, scale=0.01, json_file=tmp_path / "x.json")
    shown = capsys.readouterr().out
    rows = json.loads((tmp_path / "x.json").read_text())
    assert [row["width"] for row in rows] == [32, 640, 2560]
    for row in rows:
        ratios = [loop / ours for loop, ours in zip(row["loop"], row["ours"], strict=True)]
        assert row["ratios"] == pytest.approx(ratios)
        assert f"{row['width']}x{row['height']}" in shown


@pytest.mark.slow
def test_a_stop_under_load_loses_nothing(artifact):
    """Every request is answered, or its connection refused: of 64 clients, six times."""
    from alexnet.inference import Predictor

    for ask in requests_for(Predictor(artifact)) * 3:
        ends = stop_under_load(artifact, ask, num_clients=64, seconds=1)
        assert ends.keys() == {"200", "refused"}, ends
        assert ends["refused"] == 64
        assert ends["200"] >= 64
