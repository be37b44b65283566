"""A screening of many settings by few trainings, and what to try after it.

Each factor has two levels, and each run sets all factors: the columns of a Hadamard matrix, so
that each level is used by half of the runs, and no factor's effect is mixed with another's, nor
with an interaction of two (a design of resolution IV; Box, Hunter & Hunter, *Statistics for
Experimenters*, chapter 6). An effect, the mean at the second level less that at the first, is then
measured by all runs and not by two.
"""

import functools
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

NUM_RUNS = 16  # for at most 8 factors
Change = dict[str, Any]  # of the parameters of `train`, and the model's dropout

# The first level, a second one, and a third to try where the second is better. These are for the
# preset `fast`: a long training was screened before (docs/ablation.md).
FACTORS: dict[str, tuple[Any, Any, Any]] = {
    "batch_size": (512, 256, 128),
    "learning_rate": (0.1, 0.07, 0.05),
    "muon_lr": (0.02, 0.014, 0.01),
    "dropout": (0.1, 0.05, 0.02),
    "scale": (0.1, 0.05, 0.0),
    "color_jitter": (0.1, 0.05, 0.0),
    "cutout": (8, 4, 2),
    "cutmix_prob": (0.1, 0.05, 0.0),
}


def design() -> list[Change]:
    """The settings of each run, in an order drawn once: the first few are a random part."""
    factors = [np.array([[1, 1], [1, -1]])] * (NUM_RUNS.bit_length() - 1)
    signs = functools.reduce(np.kron, factors)  # Sylvester's construction: (NUM_RUNS, NUM_RUNS)
    # Columns whose number has an odd count of ones: the product of two is never a third of them.
    columns = [column for column in range(NUM_RUNS) if column.bit_count() % 2]
    rows = np.random.default_rng(5).permutation(signs)[:, columns[: len(FACTORS)]]
    return [
        {name: FACTORS[name][int(sign < 0)] for name, sign in zip(FACTORS, row, strict=True)}
        for row in rows
    ]


def effects(changes: Sequence[Change], values: Sequence[float]) -> dict[str, float]:
    """Each factor's effect, and `error`, the standard error of each.

    Where runs are missing, the error includes what the other factors do. Empty if there are so
    few that a level was never used.
    """
    y = np.array(values)
    second = np.array([[change[n] == FACTORS[n][1] for n in FACTORS] for change in changes])
    if not len(y) or second.all(axis=0).any() or not second.any(axis=0).all():
        return {}
    found = np.array([y[level].mean() - y[~level].mean() for level in second.T])
    residual, freedom = y - y.mean(), len(y) - 1
    if len(y) == NUM_RUNS:
        residual, freedom = residual - (second - 0.5) @ found, len(y) - 1 - len(FACTORS)
    error = 2 * np.sqrt(residual @ residual / freedom / len(y))
    return dict(zip([*FACTORS, "error"], map(float, [*found, error]), strict=True))


def better_levels(found: dict[str, float], num_errors: float = 1.0) -> Change:
    """The second level of each factor whose effect is above that many standard errors."""
    return {
        name: levels[1] if found and found[name] > num_errors * found["error"] else levels[0]
        for name, levels in FACTORS.items()
    }


def one_change_more(found: dict[str, float]) -> Iterator[tuple[str, Change]]:
    """The better levels with one other: the strongest effects go a level further.

    Where the second level is as good as the first, or nearly, it is tried instead.
    """
    chosen = better_levels(found)
    if not found:
        return
    for name in sorted(FACTORS, key=lambda name: -found[name]):
        _, second, third = FACTORS[name]
        value = third if chosen[name] == second else second
        if value != chosen[name] and found[name] > -found["error"]:
            yield f"{name} {value}", chosen | {name: value}


def best_of(rows: Sequence[dict[str, Any]]) -> tuple[str, Change]:
    """The name and the change, but for the seed, with the highest mean validation accuracy."""
    by_name: dict[str, list[float]] = {}
    for row in rows:
        if row.get("val_accuracy") is not None:
            by_name.setdefault(row["name"], []).append(row["val_accuracy"])
    if not by_name:
        raise ValueError("no trial has a validation accuracy")
    name = max(by_name, key=lambda name: statistics.mean(by_name[name]))
    change = next(row["change"] for row in rows if row["name"] == name)
    return name, {key: value for key, value in change.items() if key != "seed"}
