"""Options and arguments that several tools have."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.bundled import MODELS


def given_path(name: str) -> Path:
    """A path; an empty name, as of a variable that is not set, would be the current folder."""
    if not name:
        raise typer.BadParameter("an empty name")
    return Path(name)


def model_path(name: str) -> Path:
    """A path, or that of the bundled model of this name, if nothing else has it here."""
    path = given_path(name)
    return path if path.exists() else MODELS.get(name, path)


Variant = Annotated[str, typer.Option(help="cifar, imagenet-2012 or one-weird-trick.")]
ImageSize = Annotated[
    int | None, typer.Option(help="Side of the images in pixels.", show_default="the variant's")
]
NumClasses = Annotated[
    int | None, typer.Option(help="Number of classes.", show_default="the variant's")
]
Channels = Annotated[int, typer.Option(help="3 for colour, 1 for grey.")]
