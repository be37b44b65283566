"""What the pages share: templates, and filters that put pictures and files into a page."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from alexnet.escape import for_terminal
from alexnet.files import write_text
from alexnet.report.curves import History, epoch_positions
from alexnet.report.layers import kind_colour, operation
from alexnet.report.style import percent, points
from alexnet.report.svg import data_uri, words_of

CURVES = {  # by picture: what it draws, and how a value is written
    "loss": ({"train_loss": "training", "val_loss": "validation"}, "{:.4f}".format),
    "accuracy": (
        {"train_accuracy": "training", "val_accuracy": "validation"},
        lambda value: percent(value, 2),
    ),
    "learning_rate": ({"learning_rate": "learning rate"}, "{:.3g}".format),
}
Readings = list[tuple[float, str]]


def write_page(path: Path, template: str, figures: Path = Path(), **values: Any) -> None:
    """Write a page whose pictures are in the folder `figures`.

    Raises UserError if a picture is missing.
    """
    environment = Environment(
        loader=PackageLoader("alexnet.report", "."),
        autoescape=True,
        finalize=_as_text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder = Path(__file__).parent
    environment.globals["source"] = lambda name: Markup((folder / name).read_text("utf-8"))
    environment.filters |= {
        "percent": percent,
        "operation": operation,
        "colour": kind_colour,
        "finding": finding,
        "points": points,
        "images": lambda number: f"{number:,} test image{'' if number == 1 else 's'}",
        "picture": lambda name: data_uri(figures / f"{name}.svg"),
        "words": lambda name: words_of(figures / f"{name}.svg"),
    }
    write_text(path, environment.get_template(template).render(**values))


def _as_text(value: Any) -> Any:
    """A name or a number comes as str, what a macro has made as Markup."""
    if type(value) is not str:
        return value
    return for_terminal(value).replace(" %", "\N{NO-BREAK SPACE}%")


def finding(title: str) -> str:
    """A picture's title without its subject, which is the heading on the page."""
    words = title.partition(": ")[2] or title
    is_layer = any(character.isdigit() for character in words.split(" ")[0])
    return words if is_layer else words[:1].upper() + words[1:]


def readings(histories: dict[str, History]) -> dict[str, Readings]:
    """By picture: where it has each epoch, as a share of its width, and the values of that epoch.

    histories: by name, one or two of them, the exported one first; a single one needs no name.
    """
    first, *others = histories.values()
    positions = epoch_positions(first, *others)
    alone = epoch_positions(first)
    return {
        picture: [
            (round(share, 4), _values(histories, epoch, keys, write))
            for epoch, share in (alone if picture == "learning_rate" else positions).items()
        ]
        for picture, (keys, write) in CURVES.items()
    }


def _values(histories: dict[str, History], epoch: int, keys: Any, write: Any) -> str:
    parts = []
    for name, history in histories.items():
        if epoch > len(history):
            continue
        row = history[epoch - 1]
        values = ", ".join(f"{word} {write(row[key])}" for key, word in keys.items())
        exported = " (exported)" if epoch == len(history) else ""
        parts.append(f"{name}: {values}{exported}" if name else f"{values}{exported}")
    return f"epoch {epoch}: " + "; ".join(parts)
