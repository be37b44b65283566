"""The results of `bench.device` as text, of what its JSON files hold."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from bench.screening import FACTORS

MIB = 1 << 20
Figures = dict[str, Any]


def render(values: dict[str, Any]) -> str:
    """The whole report; parts that have not begun are not in it."""
    lines = [f"bench.device {values['suite']}", ""]
    if values["is_rehearsal"]:
        lines += ["A rehearsal: no figure has a meaning, and no check is judged.", ""]
    for name, part in values["parts"].items():
        took = "" if part["seconds"] is None else f" ({part['seconds']:.1f} s)"
        lines += [f"== {name}{took}"]
        if part["error"]:
            lines += [f"FAILED: {part['error'].splitlines()[-1]}"]
        show = TEXTS.get(name, plain)
        try:
            lines += show(part["figures"])
        except (KeyError, TypeError):  # the part ended early, or nothing was computed
            lines += plain(part["figures"])
        lines += checks(part["checks"], values["is_rehearsal"])
        lines += [""]
    return "\n".join(lines)


def checks(found: Figures, is_rehearsal: bool) -> list[str]:
    lines = []
    for name, check in found.items():
        verdict = "not judged" if is_rehearsal else "ok" if check["passed"] else "WRONG"
        lines.append(f"{verdict:10}  {name}" + (f": {check['detail']}" if check["detail"] else ""))
    return lines


def plain(figures: Figures) -> list[str]:
    """A line a figure; lists and tables by their length."""
    return [
        f"{name}: {len(value)} values" if isinstance(value, list) else f"{name}: {value}"
        for name, value in figures.items()
    ]


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of numbers to the right, the last column to the left."""
    columns = list(zip(headings, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(
            [cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)] + [row[-1]]
        ).rstrip()
        for row in (headings, *rows)
    ]


def equality(figures: Figures) -> list[str]:
    last = figures["history"][-1]
    return [
        f"{figures['epochs']} epochs, {figures['steps']:,} steps; train loss "
        f"{number(last['train_loss'], 4)}, validation accuracy {percent(last['val_accuracy'])}",
        f"weights {figures['weights_sha256']}",
    ]


def kernels(figures: Figures) -> list[str]:
    lines = [
        f"a step: {figures['ms_a_step_on_device']:.3f} ms on the device, "
        f"{figures['ms_a_step_on_host']:.3f} ms on the host, "
        f"{figures['ms_a_step_by_the_clock']:.3f} ms by the clock",
    ]
    if "ms_of_replay_alone" in figures:
        lines.append(f"replayed alone: {figures['ms_of_replay_alone']:.3f} ms")
    if "kernels" in figures:
        lines.append(
            f"{figures['kernels_a_step']:.0f} kernels a step, "
            f"{figures['us_of_kernels_a_step']:,.0f} us in all; those that take longest:"
        )
        rows = [
            (f"{row['us_a_step']:,.1f}", f"{row['calls_a_step']:.1f}", row["name"])
            for row in figures["kernels"]
        ]
        lines += table(("us", "calls", "kernel"), rows)
    return lines


def whole_run(figures: Figures) -> list[str]:
    cost = figures["cost"]
    return [
        f"{figures['epochs']} epochs with validation: {figures['seconds']:.2f} s, "
        f"{figures['seconds_with_imports']:.2f} s with Python's start and imports",
        f"an epoch: {statistics.median(figures['epoch_seconds']):.4f} s (median; the first one "
        f"{figures['epoch_seconds'][0]:.2f} s), {figures['images_per_second']:,.0f} images/s",
        f"computed: {cost['flops_per_second_done'] / 1e12:,.1f} TFLOP/s, "
        f"{cost['share_of_peak']:.1%} of a large {cost['precision']} product's "
        f"{cost['peak_flops_per_second'] / 1e12:,.0f}",
        f"peak memory: {figures['peak_bytes'] / MIB:,.0f} MiB, "
        f"{figures['reserved_bytes'] / MIB:,.0f} MiB reserved",
        f"validation accuracy {percent(figures['val_accuracy'])}",
        f"weights {figures['weights_sha256']}",
    ]


def tests(figures: Figures) -> list[str]:
    return [figures["summary"]]


def growth(figures: Figures) -> list[str]:
    rows = [
        (
            f"{row['batch_size']:,}",
            f"{row['images_per_second']:,.0f}",
            f"{row['ms_a_step_on_device']:.3f}",
            f"{row['ms_a_step_on_host']:.3f}",
            f"{row['peak_bytes'] / MIB:,.0f}",
            "",
        )
        for row in figures["rows"]
    ]
    return table(
        ("images a step", "images/s", "ms on the device", "on the host", "peak MiB", ""), rows
    )


def sweep(figures: Figures) -> list[str]:
    """The effects of the screening, then each setting's runs together, the best first."""
    lines = []
    if effects := dict(figures.get("effects") or {}):
        error = effects.pop("error")
        lines.append(
            "effects on the validation accuracy of the screening, in points "
            f"(each with a standard error of {100 * error:.2f}):"
        )
        found = [
            (f"{100 * effect:+.2f}", f"{name} {FACTORS[name][0]} -> {FACTORS[name][1]}")
            for name, effect in sorted(effects.items(), key=lambda item: -item[1])
        ]
        lines += [*table(("effect", "factor"), found), ""]
    settings: dict[tuple[str, int], list[Figures]] = {}
    for run in figures["runs"]:
        if run["val_accuracy"] is not None and run["name"] != "screening":
            settings.setdefault((run["name"], run["epochs"]), []).append(run)
    best_first = sorted(
        settings.items(), key=lambda item: -statistics.mean(r["val_accuracy"] for r in item[1])
    )
    rows = [
        (
            spread([run["val_accuracy"] for run in runs]),
            spread([run["train_accuracy"] for run in runs]),
            spread([run["test_accuracy"] for run in runs if "test_accuracy" in run]),
            str(len(runs)),
            str(epochs),
            name,
        )
        for (name, epochs), runs in best_first
    ]
    lines += table(("validation", "training", "test", "runs", "epochs", "settings"), rows)
    if "best_change" in figures:
        lines.append(f"best, {figures['best']}: {figures['best_change']}")
    lines += [
        f"failed: {run['change']}: {run['error']}" for run in figures["runs"] if "error" in run
    ]
    lines += [f"{key}: {figures[key]} trainings" for key in figures if key.startswith("no time")]
    return lines


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    if not values:
        return "-"
    deviation = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{deviation}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


TEXTS: dict[str, Callable[[Figures], list[str]]] = {
    "equality": equality,
    "kernels": kernels,
    "cold run": whole_run,
    "warm run": whole_run,
    "tests": tests,
    "growth": growth,
    "sweep": sweep,
    "final": sweep,
}
