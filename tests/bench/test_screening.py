"""The screening of settings: its design, and the effects that it finds."""

from pathlib import Path

import numpy as np
import pytest

from alexnet import config
from bench import screening
from bench.screening import (
    NUM_RUNS,
    best_of,
    better_levels,
    design,
    effects,
    one_change_more,
)

ROOT = Path(__file__).parents[2]

# Eight, as many as there may be.
FACTORS = {
    "muon_lr": (0.02, 0.04, 0.06),
    "muon_weight_decay": (0.1, 0.3, 0.6),
    "weight_decay": (5e-4, 2e-3, 5e-3),
    "dropout": (0.1, 0.2, 0.3),
    "cutmix_prob": (0.5, 0.25, 0.0),
    "cutmix_end": (0.8, 1.0, 1.0),
    "cutout": (8, 4, 0),
    "ema_decay": (0.995, 0.998, 0.999),
}
TRUE = {"muon_lr": 0.02, "dropout": -0.03, "ema_decay": 0.001}


@pytest.fixture(autouse=True)
def factors(request, monkeypatch):
    """Those above, but where a test is of the project's own."""
    if "params" not in request.fixturenames:
        monkeypatch.setattr(screening, "FACTORS", FACTORS)


def accuracy(change):
    """Of three factors and of how two others go together."""
    found = 0.8 + sum(TRUE[name] * (change[name] == FACTORS[name][1]) for name in TRUE)
    return found + 0.05 * (change["cutout"] == 4) * (change["weight_decay"] == 2e-3)


def test_each_pair_of_levels_is_used_by_a_quarter_of_the_runs():
    second = np.array([[run[name] == FACTORS[name][1] for name in FACTORS] for run in design()])
    together = second.T.astype(int) @ second
    assert (np.diag(together) == NUM_RUNS // 2).all()
    assert (together[~np.eye(len(FACTORS), dtype=bool)] == NUM_RUNS // 4).all()


def test_effects_are_found_and_an_interaction_is_in_none_of_another_factor():
    found = effects(design(), [accuracy(run) for run in design()])
    error = found.pop("error")
    interaction = {"cutout": 0.025, "weight_decay": 0.025}  # of half of the runs
    for name in FACTORS:
        assert found[name] == pytest.approx((TRUE | interaction).get(name, 0.0), abs=1e-12), name
    assert 0.001 < error < 0.01


def test_what_is_better_by_more_than_chance_is_chosen():
    found = effects(design(), [accuracy(run) for run in design()])
    chosen = better_levels(found)
    changed = {name for name in FACTORS if chosen[name] != FACTORS[name][0]}
    assert changed == {"muon_lr", "cutout", "weight_decay"}
    trials = dict(one_change_more(found))
    names = list(trials)
    assert set(names[:3]) == {"cutout 0", "weight_decay 0.005", "muon_lr 0.06"}
    assert names[3] == "ema_decay 0.998"
    assert not any(name.startswith("dropout") for name in names), "it is worse"
    assert trials["cutout 0"] == chosen | {"cutout": 0}


def test_a_part_of_the_runs_gives_effects_with_a_larger_error():
    part = design()[:12]
    found = effects(part, [accuracy(run) for run in part])
    assert found["error"] > 0.01
    assert found["dropout"] < 0 < found["muon_lr"]
    assert effects(part[:1], [0.8]) == {}
    assert effects([], []) == {}
    assert better_levels({}) == {name: levels[0] for name, levels in FACTORS.items()}
    assert list(one_change_more({})) == []


def test_the_first_levels_are_those_of_the_preset(params):
    """What the screening finds is a change of it."""
    preset = config.parse_yaml((ROOT / "presets/fast.yaml").read_text(), Path("fast.yaml"))
    own = params.train.model_dump() | {"dropout": params.model.dropout}
    own |= preset["train"] | preset.get("model", {})
    factors = screening.FACTORS
    assert {name: levels[0] for name, levels in factors.items()} == {n: own[n] for n in factors}


def test_the_levels_are_parameters(params):
    for run in design():
        model = {name: run.pop(name) for name in ("dropout",) if name in run}
        config.Train.model_validate(params.train.model_dump() | run)
        config.Model.model_validate(params.model.model_dump() | model)


def test_the_best_has_the_highest_mean():
    rows = [
        {"name": "a", "change": {"seed": 0, "cutout": 8}, "val_accuracy": 0.90},
        {"name": "a", "change": {"seed": 1, "cutout": 8}, "val_accuracy": 0.80},
        {"name": "b", "change": {"seed": 0, "cutout": 12}, "val_accuracy": 0.86},
        {"name": "c", "change": {"seed": 0}, "val_accuracy": None},
    ]
    assert best_of(rows) == ("b", {"cutout": 12})
    with pytest.raises(ValueError, match="no trial"):
        best_of(rows[3:])
