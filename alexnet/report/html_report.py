"""The report of a run: one self-contained HTML page that loads nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alexnet.data.imbalance import imbalance_of
from alexnet.evaluation.repeats import Repeats
from alexnet.evaluation.results import Metrics
from alexnet.network.summary import Layer, totals
from alexnet.report.arithmetic import layer_arithmetic
from alexnet.report.confusion import matrix_box
from alexnet.report.curves import FROM_NOTHING, History
from alexnet.report.examples import Cell
from alexnet.report.names import LEFT_TO_RIGHT_MARK
from alexnet.report.page import readings, write_page
from alexnet.report.sections import SECTIONS, warm_start_sections
from alexnet.report.settings import flatten
from alexnet.report.start import Start

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
    trained_layers: list[Layer],
    input_shape: tuple[int, int, int],
    history: History,
    cells: Sequence[Cell],
    figures: Path,
    start: Start | None = None,
) -> None:
    """Write the page to `path`, with every picture of its sections from the folder `figures` in it.

    `conditions` of the run: data set, variant, device. `counts`: images of each class, for each
    split; all splits are shown if they are unbalanced. `classes`: their names in the pictures.
    `settings`: the run's nested parameters.
    `layers`: of the network as written, `trained_layers` as trained. `cells`: of the matrix.
    `repeats`: the same training from other seeds, shown if there are any. `start`: of a run that
    started from other weights.
    Raises UserError if a picture is missing, ValueError for a layer of a kind that the report
    does not know.
    """
    from_nothing = start.from_nothing if start else ()
    rows = {
        name: {"drawn": drawn.strip(LEFT_TO_RIGHT_MARK), "metrics": of_class}
        | {split: numbers[name] for split, numbers in counts.items()}
        for (name, of_class), drawn in zip(metrics.per_class.items(), classes, strict=True)
    }
    write_page(
        path,
        "report.html.j2",
        figures,
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
        trained_totals=totals(trained_layers),
        history=history,
        readings=readings({"": history, **({FROM_NOTHING: from_nothing} if from_nothing else {})}),
        has_ema=bool(settings.get("train", {}).get("ema_decay")),
        names=list(metrics.per_class),
        cells=cells,
        box=[100 * share for share in matrix_box(list(classes))],
        best=max(history, key=lambda row: row["val_accuracy"]),
        sections=warm_start_sections(start.is_conv1_frozen) if start else SECTIONS,
        arithmetic=layer_arithmetic(layers, input_shape),
        layer_pictures={path.stem for path in (figures / "layers").glob("*.svg")},
    )
