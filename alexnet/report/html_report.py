"""The report of a run: one self-contained HTML page that loads nothing else."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from alexnet.data.imbalance import imbalance_of
from alexnet.escape import for_terminal
from alexnet.evaluation.repeats import Repeats
from alexnet.evaluation.results import Metrics
from alexnet.files import write_text
from alexnet.nested import dotted_keys
from alexnet.network.summary import Layer, totals
from alexnet.report.arithmetic import layer_arithmetic
from alexnet.report.curves import History
from alexnet.report.layers import kind_colour, operation
from alexnet.report.names import LEFT_TO_RIGHT_MARK
from alexnet.report.sections import SECTIONS, warm_start_sections
from alexnet.report.start import Start
from alexnet.report.style import percent
from alexnet.report.svg import data_uri

SEED_COLUMNS = {  # of the table of seeds: SeedResult's fields
    "val_accuracy": "validation accuracy",
    "test_accuracy": "test accuracy",
    "test_accuracy_mirrored": "with mirrored views",
    "test_accuracy_shifted": "with shifted views",
    "test_accuracy_ten_crop": "with ten crops",
}


def write_report(
    path: Path,
    *,
    title: str,
    conditions: Mapping[str, str],
    counts: Mapping[str, Mapping[str, int]],
    classes: Sequence[str],
    settings: Mapping[str, Any],
    metrics: Metrics,
    repeats: Repeats,
    layers: list[Layer],
    input_shape: tuple[int, int, int],
    history: History,
    figures: Path,
    start: Start | None = None,
) -> None:
    """Write the page to `path`, with every picture of its sections from the folder `figures` in it.

    `conditions` of the run: data set, variant, device. `counts`: images of each class, for each
    split; all splits are shown if they are unbalanced. `classes`: their names in the pictures.
    `settings`: the run's nested parameters.
    `repeats`: the same training from other seeds, shown if there are any. `start`: of a run that
    started from other weights.
    Raises UserError if a picture is missing, ValueError for a layer of a kind that the report
    does not know.
    """
    environment = Environment(
        loader=PackageLoader("alexnet.report", "."),
        autoescape=True,
        # Names come as str, what a macro has made as Markup.
        finalize=lambda value: for_terminal(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["operation"] = operation
    environment.filters["colour"] = kind_colour
    environment.filters["picture"] = lambda name: data_uri(figures / f"{name}.svg")
    rows = {
        name: {"drawn": drawn.strip(LEFT_TO_RIGHT_MARK), "metrics": of_class}
        | {split: numbers[name] for split, numbers in counts.items()}
        for (name, of_class), drawn in zip(metrics.per_class.items(), classes, strict=True)
    }
    page = environment.get_template("report.html.j2").render(
        title=title,
        conditions={**conditions, **(start.conditions if start else {})},
        start=start,
        imbalance=imbalance_of(counts),
        rows=rows,
        is_renamed=any(name != row["drawn"] for name, row in rows.items()),
        settings=flatten(settings),
        metrics=metrics,
        repeats=repeats,
        seed_columns={k: v for k, v in SEED_COLUMNS.items() if k in repeats.runs[0].as_dict()},
        layers=layers,
        totals=totals(layers),
        history=history,
        best=max(history, key=lambda row: row["val_accuracy"]),
        sections=warm_start_sections(start.is_conv1_frozen) if start else SECTIONS,
        arithmetic=layer_arithmetic(layers, input_shape),
        layer_pictures={path.stem for path in (figures / "layers").glob("*.svg")},
    )
    write_text(path, page)


def flatten(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Nested parameters as sections of dotted keys; those outside any section come under ""."""
    sections: dict[str, dict[str, str]] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            sections[key] = {name: _format(leaf) for name, leaf in dotted_keys(value)}
        else:
            sections.setdefault("", {})[key] = _format(value)
    return sections


def _format(value: Any) -> str:
    """A value as params.yaml spells it: null, true, 0.05, ["a", "b"], and text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
