"""The runtimes that an exported graph was run in, as `bench.runtimes` measured them."""

from importlib.resources import files
from itertools import groupby
from typing import Any

from pydantic_core import from_json


def measured() -> dict[str, Any]:
    """`conditions`, and `rows`: a runtime's outcome in each precision."""
    return dict(from_json(files("alexnet.export").joinpath("runtimes.json").read_bytes()))


def as_markdown(result: dict[str, Any]) -> str:
    """A table with what its words mean and why a runtime refuses.

    Neighbouring versions of a runtime with the same outcomes share a row, which has the worst of
    their figures.
    """
    given = result["conditions"]
    lines = [
        f"Measured with {given['num_samples']} samples of {given['artifact']}, on "
        f"{given['processor']}, {given['date']}. *Same bits*: the probabilities are those of "
        f"onnxruntime {given['onnxruntime']}, bit for bit. *Same labels*: with the largest "
        "difference of a probability. *Refuses*: with an error.",
        "",
        "| runtime | " + " | ".join(given["precisions"]) + " |",
        "|---|" + "---|" * len(given["precisions"]),
    ]
    reasons: dict[str, list[str]] = {}
    for (name, *outcomes), group in groupby(result["rows"], _kind):
        rows = list(group)
        title = f"{name} {', '.join(row['version'] for row in rows)}"
        cells = [[row["results"][precision] for row in rows] for precision in given["precisions"]]
        lines.append(f"| {' | '.join([title, *map(_cell, outcomes, cells)])} |")
        for precision, (first, *_) in zip(given["precisions"], cells, strict=True):
            if "reason" in first:
                reasons.setdefault(f"{title}: {first['reason']}", []).append(precision)
    lines += ["", *(f"- {reason} ({', '.join(names)})" for reason, names in reasons.items())]
    return "\n".join(lines)


def _kind(row: dict[str, Any]) -> tuple[str, ...]:
    return row["runtime"], *(cell["outcome"] for cell in row["results"].values())


def _cell(outcome: str, cells: list[dict[str, Any]]) -> str:
    """The outcome of some versions in a precision, with the worst of their figures."""
    if outcome == "same labels":
        return f"same labels, {max(cell['max_difference'] for cell in cells):.1e}"
    if outcome == "wrong labels":
        return f"**{max(cell['num_wrong'] for cell in cells)} wrong labels**"
    return outcome
