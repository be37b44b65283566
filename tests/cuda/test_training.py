"""Whole runs with the project's own parameters, step by step, on the null GPU."""

import pytest

pytestmark = pytest.mark.slow

# In the fourth each kind of step is replayed; streamed, some memory is pinned until then.
NUM_EPOCHS = 5
PLAIN = {"batch_norm": "none"}
FOLDED = {"batch_norm": "folded", "init": "whitened"}
FROZEN = {"freeze": "features"}
LAST_ALONE = {"freeze": "all_but_last", "augmentation": "none"}
# Variant, where the images lie, other parameters of `train`, full batches an epoch (and one that is
# shorter), the steps from which the run is resumed, and the most operations that a full step's
# graph may have.
RUNS = [
    ("cifar", "device", FOLDED, 5, [7, 11, 12], 260),
    ("cifar", "host", FOLDED, 5, [], 260),
    ("cifar", "device", PLAIN, 5, [7, 11, 12], 235),
    ("imagenet-2012", "device", FOLDED, 2, [], 300),
    ("one-weird-trick", "device", FOLDED, 2, [], 300),
    ("cifar", "device", FOLDED | FROZEN, 5, [7, 11, 12], 200),
    ("cifar", "device", FOLDED | FROZEN | {"augmentation": "none"}, 5, [7], 100),
    ("cifar", "auto", FOLDED | LAST_ALONE, 5, [], 60),
]
MAX_LAUNCHES = 6  # a step, beside its graph
MAX_SECONDS = 2e-3  # a step on the host; the median is a 20th of it on a quiet core


def name_of(run):
    variant, location, changes, *_ = run
    return "-".join([variant, location, *changes.values()])


@pytest.fixture(scope="module", params=RUNS, ids=name_of)
def run(request, null_gpu):
    variant, location, changes, num_full, resumes, most = request.param
    changes = changes | {"epochs": NUM_EPOCHS, "data_location": location}
    results = null_gpu("run", variant, num_full, changes, resumes)
    assert len(results["steps"]) == NUM_EPOCHS * (num_full + 1)
    # Muon's batches, and all else: the collapsed fc1 of the small network is a tall matrix.
    num_streams = {"features": 2, "all_but_last": 1}.get(changes.get("freeze"))
    num_streams = num_streams or (4 if variant == "cifar" else 3)
    expected = {"num_full": num_full, "most": most, "num_streams": num_streams}
    return results | expected | {"location": location}


def last_epoch(run):
    return run["steps"][-run["num_full"] - 1 :]


def test_the_captures_are_legal(run):
    assert run["violations"] == []


def test_each_kind_of_step_is_a_graph(run):
    full, short = run["graphs"]
    assert full["replays"] > short["replays"] > 0
    assert len(full["operations"]) <= run["most"]
    assert full["num_streams"] == run["num_streams"]


def test_in_the_last_epoch_nothing_waits_or_allocates(run):
    for step in last_epoch(run):
        assert step["replays"] == 1
        assert step["launches"] <= MAX_LAUNCHES
        assert (step["syncs"], step["mallocs"], step["pinned_mallocs"]) == (0, 0, 0)


def test_all_is_compiled_in_the_first_epoch(run):
    compiled = [step["compiled"] for step in run["steps"]]
    assert compiled[0] > 0
    assert compiled[-1] == compiled[run["num_full"]]


def test_a_step_takes_the_host_little_time(run, record_property):
    if run["location"] != "device":
        pytest.skip("a streamed batch is gathered and copied on the host")
    if run["num_full"] < 3:
        pytest.skip("the first step begins the epoch, before the last the monitor copies weights")
    seconds = min(step["seconds"] for step in last_epoch(run)[:-1])
    record_property("milliseconds", round(1e3 * seconds, 3))
    assert seconds < MAX_SECONDS


def test_a_resumed_run_records_the_same_graphs(run):
    """Operation by operation, with the same machine code; from each kind of step."""
    full, short = (graph["operations"] for graph in run["graphs"])
    for step, graphs in run["resumed"].items():
        recorded = [graph["operations"] for graph in graphs]
        assert full in recorded, f"from step {step}"
        assert all(graph in (full, short) for graph in recorded), f"from step {step}"
