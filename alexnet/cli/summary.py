"""summary: the network as tables."""

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from alexnet.cli.options import Channels, ImageSize, NumClasses, Variant

if TYPE_CHECKING:
    from alexnet.cli.tables import Table

WIDTH = 90  # columns; a narrow terminal or a pipe must not cut anything off


def summary(
    variant: Variant = "cifar",
    image_size: ImageSize = None,
    num_classes: NumClasses = None,
    channels: Channels = 3,
    batch_size: Annotated[int, typer.Option(help="Images in a batch.")] = 1,
    freeze: Annotated[
        Literal["none", "features", "all_but_last"],
        typer.Option(help="Frozen layers, as train.freeze."),
    ] = "none",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Print each layer's shape, receptive field and cost, and the cost of a training step."""
    from alexnet.cli.inspection import inspect
    from alexnet.cli.tables import costs, notes, shapes
    from alexnet.errors import UserError

    if as_json and as_markdown:
        raise UserError("--json and --markdown: choose one of them")
    network = inspect(variant, image_size, num_classes, channels, batch_size, freeze)
    if as_json:
        print(json.dumps(network.as_dict(), indent=2))
        return
    tables = [shapes(network), costs(network)]
    if as_markdown:
        paragraphs = [*(table.markdown() for table in tables), *notes(network)]
        print("\n\n".join(paragraphs))
        return
    from rich.console import Console

    console = Console()
    wide = Console(width=max(console.width, WIDTH))
    for table in tables:
        wide.print(_rich_table(table), "")
    for note in notes(network):
        console.print(note, highlight=False, soft_wrap=not console.is_terminal)


def _rich_table(table: "Table") -> object:
    from rich.table import Table as RichTable

    from alexnet.cli.tables import TEXT

    title = f"[bold]{table.title}[/bold]"
    grid = RichTable(title=title, title_style="", title_justify="left", box=None, pad_edge=False)
    for heading in table.headings:
        side = "left" if heading in TEXT else "right"
        grid.add_column(heading, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for row in table.rows:
        has_weights = row[0].startswith(("conv", "fc"))
        grid.add_row(*row, style="" if has_weights else "dim")
    if table.total:
        grid.add_section()
        grid.add_row(*table.total, style="bold")
    return grid
