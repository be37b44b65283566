"""One page that shows a run: self-contained HTML, readable without a network."""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from alexnet.files import require_file, write_text
from alexnet.network.summary import Layer, totals
from alexnet.report.arithmetic import written_out
from alexnet.report.curves import History
from alexnet.report.layers import operation
from alexnet.report.sections import CHAPTERS
from alexnet.report.style import KINDS, ON_DARK, percent


def write_report(
    path: Path,
    *,
    title: str,
    summary: Mapping[str, str],
    settings: Mapping[str, Any],
    metrics: Mapping[str, Any],
    layers: list[Layer],
    input_shape: tuple[int, int, int],
    history: History,
    figures: Path,
) -> None:
    """Write the page to `path`, with every picture of `CHAPTERS` from the folder `figures` in it.

    `summary` states the conditions of the run, `settings` its nested parameters.
    `metrics` holds accuracy, loss, calibration_error, n, per_class ({class:
    {precision, recall, support}}) and, where it has a meaning, top5_accuracy.
    Raises UserError if a picture is missing.
    """
    environment = Environment(
        loader=PackageLoader("alexnet.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["operation"] = operation
    environment.filters["picture"] = lambda name: data_uri(figures / f"{name}.svg")
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
        chapters=CHAPTERS,
        arithmetic=written_out(layers, input_shape),
        drawn={path.stem for path in (figures / "layers").glob("*.svg")},
    )
    write_text(path, page)


def data_uri(path: Path) -> str:
    """The SVG at `path` as an address that holds the whole picture, ready for a dark page."""
    picture = dark_mode_svg(require_file(path).read_text(encoding="utf-8"))
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode('ascii')}"


def dark_mode_svg(svg: str) -> str:
    """The picture with its own colours named, so that they follow the reader's choice."""
    names = {colour.lower(): f"c{number}" for number, colour in enumerate(ON_DARK)}
    light = ";".join(f"--{name}:{colour}" for colour, name in names.items())
    darker = zip(names.values(), ON_DARK.values(), strict=True)
    dark = ";".join(f"--{name}:{colour}" for name, colour in darker)
    style = f"<style>svg{{{light}}}@media (prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    pattern = re.compile("|".join(names))
    # Only within style="...": a photograph's bytes may hold anything.
    named = re.sub(
        r'style="[^"]*"',
        lambda found: pattern.sub(lambda colour: f"var(--{names[colour[0]]})", found[0]),
        svg,
    )
    start = named.index(">", named.index("<svg")) + 1
    return named[:start] + style + named[start:]


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
