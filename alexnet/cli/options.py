"""The options of the tools that take a network by its shape."""

from typing import Annotated

import typer

Variant = Annotated[str, typer.Option(help="cifar, imagenet-2012 or one-weird-trick.")]
ImageSize = Annotated[
    int | None, typer.Option(help="Side of the images in pixels.", show_default="the variant's")
]
NumClasses = Annotated[
    int | None, typer.Option(help="Number of classes.", show_default="the variant's")
]
Channels = Annotated[int, typer.Option(help="3 for colour, 1 for grey.")]
