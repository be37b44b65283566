"""diagram: the network as a picture."""

from pathlib import Path
from typing import Annotated

import typer


def diagram(
    out: Annotated[
        Path, typer.Argument(help="Where to write it: a .png, .svg or .pdf file.")
    ] = Path("alexnet.png"),
    variant: Annotated[
        str, typer.Option(help="cifar, imagenet-2012 or one-weird-trick.")
    ] = "cifar",
    image_size: Annotated[
        int | None, typer.Option(help="Side of the images in pixels.", show_default="the variant's")
    ] = None,
    num_classes: Annotated[
        int | None, typer.Option(help="Number of classes.", show_default="the variant's")
    ] = None,
    channels: Annotated[int, typer.Option(help="3 for colour, 1 for grey.")] = 3,
    horizontal: Annotated[
        bool,
        typer.Option("--horizontal", help="From left to right, as volumes drawn to scale."),
    ] = False,
) -> None:
    """Draw the layers from the image down to the logits, with a table of their numbers."""
    from alexnet.errors import UserError

    if out.suffix not in {".png", ".svg", ".pdf"}:
        raise UserError(f"{out}: name a file that ends in .png, .svg or .pdf")

    from alexnet.cli.inspection import inspect
    from alexnet.report.diagram import architecture
    from alexnet.report.style import save_file
    from alexnet.report.volumes import volumes

    network = inspect(variant, image_size, num_classes, channels)
    draw = volumes if horizontal else architecture
    save_file(draw(network.layers, network.variant, network.input_shape), out)
    print(f"{network.title}: {out}")
