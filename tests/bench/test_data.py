"""The benchmark of download and preprocess."""

import json
import multiprocessing

import numpy as np
import pytest

from bench.measure import measure_usage
from tests.conftest import write_params

from .conftest import run_bench

MIB = 1 << 20


def take_memory(num_bytes, of_a_child=0):
    if of_a_child:
        child = multiprocessing.get_context("spawn").Process(target=take_memory, args=[of_a_child])
        child.start()
        child.join()
    array = np.ones(num_bytes, np.uint8)
    for _ in range(30):  # until a sample was taken
        array += array


@pytest.mark.slow
def test_the_memory_of_all_processes_is_measured_and_limited():
    idle = measure_usage(None, take_memory, 1).peak_bytes
    assert 200 * MIB <= measure_usage(None, take_memory, 200 * MIB).peak_bytes - idle < 230 * MIB
    assert measure_usage(None, take_memory, 1, 200 * MIB).peak_bytes - idle > 200 * MIB
    with pytest.raises(MemoryError):
        measure_usage(256 * MIB, take_memory, 300 * MIB)


@pytest.mark.slow
def test_the_command(tmp_path):
    write_params(tmp_path)
    done = run_bench("data", tmp_path, "--quick", "--json", "bench.json")
    assert done.returncode == 0, done.stderr
    sets = json.loads((tmp_path / "bench.json").read_text())["sets"]
    assert [each["form"] for each in sets] == ["folder", "folder", "tar", "zip", "folder"]
    for each in sets:
        assert list(each["stages"]) == ["download", "preprocess", "peer"]
        for taken in each["stages"].values():
            assert taken["seconds"] > 0
            assert taken["peak_bytes"] > 10 * MIB
    assert done.stdout.count(" x ") == 2 * 2 * len(sets), "of time and CPU, for each stage of ours"
