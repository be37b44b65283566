"""summary: the network as a table."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stages.network import Network


def summary(
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print each layer's shape, window, receptive field, parameters and multiply-adds."""
    from stages.network import inspect

    network = inspect(variant, image_size, num_classes, channels)
    if as_json:
        print(json.dumps(network.as_dict(), indent=2))
    else:
        _print_table(network)


def _print_table(network: "Network") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=network.title, title_justify="left", box=None, pad_edge=False)
    for heading in ("layer", "kind"):
        table.add_column(heading, no_wrap=True)
    for heading in ("output", "kernel", "stride", "pad", "sees", "parameters", "MACs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in network.layers:
        sees = "all" if layer.receptive_field is None else f"{layer.receptive_field} px"
        window = [layer.kernel, layer.stride, layer.padding]
        table.add_row(
            layer.name,
            layer.kind if layer.groups in (None, 1) else f"{layer.kind}, {layer.groups} groups",
            "x".join(map(str, layer.output_shape)),
            *("" if value is None else str(value) for value in window),
            sees,
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.macs:,}" if layer.macs else "",
        )
    table.add_section()
    totals = network.totals
    table.add_row("total", *[""] * 6, f"{totals['parameters']:,}", f"{totals['macs']:,}")
    # A narrow terminal or a pipe must not lose a column.
    console = Console(width=max(Console().width, 110))
    console.print(table)
    console.print(
        f"{totals['flops'] / 1e6:.2f} MFLOP for an image forward (a multiply-add is two), "
        f"{network.training_flops / 1e6:.2f} forward and backward; "
        "sees: side of the input square that one value depends on",
        highlight=False,
        soft_wrap=True,
    )
