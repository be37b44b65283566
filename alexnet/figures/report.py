"""One page that shows a run: self-contained HTML, readable without a network."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from alexnet.describe import Layer, totals
from alexnet.figures.curves import History
from alexnet.figures.diagram import operation
from alexnet.figures.style import KINDS, percent
from alexnet.files import existing, write_text


@dataclass(frozen=True)
class Picture:
    """A picture's place on the page: its file's name, a heading, and what to see in it."""

    name: str
    heading: str
    sentence: str


PICTURES = (
    Picture(
        "confusion_matrix",
        "What is taken for what",
        "A perfect classifier fills the diagonal only; look for coloured cells beside it, "
        "which often come in pairs of classes that look alike.",
    ),
    Picture(
        "mistakes",
        "Where it was sure and wrong",
        "Compare each image with the answer given: an unusual view, a busy background "
        "or a doubtful label explains most of them.",
    ),
    Picture(
        "accuracy",
        "Accuracy over the epochs",
        "Where training keeps rising and validation stays flat, the network "
        "begins to learn the training images by heart.",
    ),
    Picture(
        "loss",
        "Loss over the epochs",
        "Both curves should fall together; a validation loss that turns upwards says that "
        "the network is becoming too sure of itself.",
    ),
    Picture(
        "learning_rate",
        "Learning rate",
        "The size of a training step in each epoch: compare its course with the "
        "loss above, which mostly settles where the rate becomes small.",
    ),
    Picture(
        "training_samples",
        "What training sees",
        "Under each original stand the versions that training may meet instead; what they are "
        "should still be plain to see, or the augmentation is too strong.",
    ),
    Picture(
        "conv1_filters",
        "What the first layer looks for",
        "Each square is one filter of the first convolution, drawn as the patch of image "
        "that it answers to most strongly.",
    ),
    Picture(
        "architecture",
        "The network",
        "From the input image at the top to one logit for each class at the bottom: "
        "the wider a block, the more values pass there on their way to a decision.",
    ),
)


def write_report(
    path: Path,
    *,
    title: str,
    summary: Mapping[str, str],
    settings: Mapping[str, Any],
    metrics: Mapping[str, Any],
    layers: list[Layer],
    history: History,
    figures: Path,
) -> None:
    """Write the page to `path`, with every picture of `PICTURES` from the folder `figures` in it.

    `summary` states the conditions of the run, `settings` its nested parameters.
    `metrics` holds accuracy, loss, calibration_error, n, per_class ({class:
    {precision, recall, support}}) and, where it has a meaning, top5_accuracy.
    Raises UserError if a picture is missing.
    """
    environment = Environment(
        loader=PackageLoader("alexnet.figures", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["operation"] = operation
    page = environment.get_template("report.html.j2").render(
        title=title,
        summary=summary,
        sections=flattened(settings),
        metrics={"top5_accuracy": None, **metrics},
        layers=layers,
        totals=totals(layers),
        kinds=KINDS,
        history=history,
        best=max(history, key=lambda row: row["val_accuracy"]),
        pictures=[(picture, data_uri(figures / f"{picture.name}.svg")) for picture in PICTURES],
    )
    write_text(path, page)


def data_uri(path: Path) -> str:
    """The SVG at `path` as an address that holds the whole picture."""
    content = base64.b64encode(existing(path).read_bytes()).decode("ascii")
    return f"data:image/svg+xml;base64,{content}"


def flattened(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Nested parameters as sections of dotted keys; those outside any section come under ""."""
    sections: dict[str, dict[str, str]] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            sections[key] = _dotted(value)
        else:
            sections.setdefault("", {})[key] = _written(value)
    return sections


def _dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = _written(value)
    return flat


def _written(value: Any) -> str:
    """A value as params.yaml spells it: null, true, 0.05, ["a", "b"], and text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
