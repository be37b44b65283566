"""The page that compares two runs: the workspace's, and that of another revision."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexnet.errors import UserError
from alexnet.evaluation.evaluate import Predictions, read_predictions
from alexnet.evaluation.mcnemar import mcnemar
from alexnet.evaluation.results import Metrics, read_metrics
from alexnet.files import abbreviate, read_record, read_rows
from alexnet.nested import dotted_keys
from alexnet.report.curves import History, accuracy_curves, loss_curves
from alexnet.report.examples import thumbnail
from alexnet.report.page import readings, write_page
from alexnet.report.settings import format_value
from alexnet.report.style import percent, points, save_body
from alexnet.training.history import Epoch

WORKSPACE = "workspace"  # as `dvc metrics diff` calls it
NUM_DISAGREEMENTS = 24  # images of each kind on the page
LONGEST_NAME = 20  # characters, of a revision in the pictures
SIGNIFICANT = 0.05
# Relative to the project's folder; of each run, in folders of their own.
STAGES = ("preprocess", "train", "evaluate")
RECORDS = tuple(Path("reports", stage, "params.json") for stage in STAGES)
HISTORY = Path("reports/train/history.csv")
METRICS = Path("reports/evaluate/metrics.json")
PREDICTIONS = Path("reports/evaluate/predictions.csv")
FOLDERS = tuple(Path("reports", stage) for stage in STAGES)
SHARES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "top5_accuracy": "top-5 accuracy",
    "accuracy_mirrored": "accuracy with mirrored views",
    "accuracy_shifted": "accuracy with shifted views",
    "accuracy_ten_crop": "accuracy with ten crops",
    "calibration_error": "expected calibration error",
}
Images = NDArray[np.uint8]


@dataclass(frozen=True)
class RecordedRun:
    """What a run has recorded of itself; `settings` by dotted key."""

    name: str
    settings: Mapping[str, str]
    metrics: Metrics
    predictions: Predictions
    history: History

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.metrics.per_class)

    @property
    def correct(self) -> NDArray[np.bool_]:
        return self.predictions.actual == self.predictions.predicted


@dataclass(frozen=True)
class Disagreement:
    """A test image that one run classifies correctly and the other does not."""

    index: int
    uri: str
    lines: list[str]


def read_recorded_run(project: Path, name: str) -> RecordedRun:
    """Read the files below a project's `FOLDERS`. Raises UserError if one is missing or damaged."""
    advice = f"run the pipeline of {name} again"
    records = (read_record(project / path, dict[str, Any], advice) for path in RECORDS)
    settings = {key: section for record in records for key, section in record.items()}
    metrics = read_metrics(project / METRICS)
    return RecordedRun(
        name,
        {key: format_value(value) for key, value in dotted_keys(settings)},
        metrics,
        read_predictions(project / PREDICTIONS, tuple(metrics.per_class)),
        [asdict(row) for row in read_rows(project / HISTORY, Epoch, advice)],
    )


def write_comparison(
    path: Path, ours: RecordedRun, theirs: RecordedRun, images: Images | None
) -> None:
    """Write the page to `path`.

    images: of the test split, uint8 (N, H, W, C), if they are the same for both runs; else None.
    Raises UserError if the runs have different classes.
    """
    if set(ours.classes) != set(theirs.classes):
        differing = sorted(set(ours.classes) ^ set(theirs.classes))
        raise UserError(
            f"{theirs.name} has other classes: only one of the two runs has {abbreviate(differing)}"
        )
    short = theirs.name
    if len(short) > LONGEST_NAME:
        short = f"{short[: LONGEST_NAME - 1]}…"
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in (("loss", loss_curves), ("accuracy", accuracy_curves)):
            note = f" Solid: {ours.name}. Dashed: {theirs.name}."
            figure = draw(ours.history, theirs.history, note, short)
            save_body(figure, Path(folder, f"{name}.svg"))
        write_page(
            path,
            "compare.html.j2",
            Path(folder),
            title=f"{ours.name} and {theirs.name}",
            ours=ours,
            theirs=theirs,
            parameters=differing_parameters(ours.settings, theirs.settings),
            metrics=compared_metrics(ours, theirs),
            recalls=compared_recalls(ours.metrics, theirs.metrics),
            readings=readings({ours.name: ours.history, theirs.name: theirs.history}),
            test=mcnemar(ours.correct, theirs.correct) if images is not None else None,
            significant=SIGNIFICANT,
            disagreements=[
                (right, wrong, disagreements(right, wrong, images))
                for right, wrong in ((ours, theirs), (theirs, ours))
                if images is not None
            ],
        )


def differing_parameters(
    ours: Mapping[str, str], theirs: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """(key, our value, their value) of each recorded parameter that differs or that one lacks."""
    pairs = [(key, ours.get(key, "—"), theirs.get(key, "—")) for key in {**ours, **theirs}]
    return [(key, one, two) for key, one, two in pairs if one != two]


def compared_metrics(ours: RecordedRun, theirs: RecordedRun) -> list[tuple[str, str, str, str]]:
    """(name, our value, their value, difference) of each metric that both runs have."""
    values: list[tuple[str, Any, Any]] = [
        (words, getattr(ours.metrics, key), getattr(theirs.metrics, key))
        for key, words in SHARES.items()
    ]
    one, two = (run.history[-1]["val_accuracy"] for run in (ours, theirs))
    values.insert(1, ("validation accuracy, exported epoch", one, two))
    rows = [
        (words, percent(one, 2), percent(two, 2), points(one - two))
        for words, one, two in values
        if one is not None and two is not None
    ]
    one, two = ours.metrics.loss, theirs.metrics.loss
    return [*rows, ("loss", f"{one:.4f}", f"{two:.4f}", f"{one - two:+.4f}")]


def compared_recalls(ours: Metrics, theirs: Metrics) -> list[tuple[str, float, float, float]]:
    """(class, our recall, their recall, difference), the largest gain of ours first."""
    pairs = [
        (name, row.recall, theirs.per_class[name].recall) for name, row in ours.per_class.items()
    ]
    rows = [(name, a, b, a - b) for name, a, b in pairs if a is not None and b is not None]
    return sorted(rows, key=lambda row: -row[-1])


def disagreements(right: RecordedRun, wrong: RecordedRun, images: Images) -> list[Disagreement]:
    """Of the images that `right` alone has right, those of which `wrong` is surest."""
    found = np.flatnonzero(right.correct & ~wrong.correct)
    confidence = wrong.predictions.confidence
    chosen: Sequence[int] = found[np.argsort(-confidence[found], kind="stable")].tolist()
    return [
        Disagreement(
            index,
            thumbnail(images[index]),
            [
                f"true: {right.classes[right.predictions.actual[index]]}",
                f"{wrong.name} predicted: {wrong.classes[wrong.predictions.predicted[index]]}",
                percent(float(confidence[index])),
            ],
        )
        for index in chosen[:NUM_DISAGREEMENTS]
    ]
