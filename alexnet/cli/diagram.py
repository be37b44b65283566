"""diagram: a drawing of the network."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.options import Channels, ImageSize, NumClasses, Variant


def diagram(
    out: Annotated[Path, typer.Argument(help="Output file: .png, .svg or .pdf.")] = Path(
        "alexnet.png"
    ),
    variant: Variant = "cifar",
    image_size: ImageSize = None,
    num_classes: NumClasses = None,
    channels: Channels = 3,
    horizontal: Annotated[
        bool,
        typer.Option(
            "--horizontal", help="Left to right, with the activations as volumes to scale."
        ),
    ] = False,
) -> None:
    """Draw the layers from the image to the logits, with their shapes and costs."""
    from alexnet.errors import UserError

    if out.suffix not in {".png", ".svg", ".pdf"}:
        raise UserError(f"{out}: the file name has to end in .png, .svg or .pdf")

    from alexnet.cli.inspection import inspect
    from alexnet.report.diagram import architecture
    from alexnet.report.style import save_file
    from alexnet.report.volumes import volumes

    network = inspect(variant, image_size, num_classes, channels)
    draw = volumes if horizontal else architecture
    save_file(draw(network.layers, network.variant, network.input_shape), out)
    print(f"{network.title}: {out}")
