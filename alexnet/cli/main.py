"""alexnet: the console script with the tools for people.

The pipeline's stages are commands of their own: `dvc repro`, or `python -m stages.<name>`.
"""

from collections.abc import Callable
from typing import Annotated

import typer

import alexnet
from alexnet.cli.app import run_app
from alexnet.cli.checkpoints import checkpoints
from alexnet.cli.diagram import diagram
from alexnet.cli.live import live
from alexnet.cli.predict import predict
from alexnet.cli.report import report
from alexnet.cli.serve import serve
from alexnet.cli.summary import summary
from alexnet.cli.sweep import sweep
from alexnet.cli.verify import verify

app = typer.Typer(
    name="alexnet",
    help="Inspect AlexNet, and verify and run an exported model. "
    "`dvc repro` runs the pipeline that trains and exports one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
TOOLS: list[Callable[..., None]] = [
    *(summary, diagram, report, sweep, live, checkpoints, predict, verify, serve)
]
for tool in TOOLS:
    app.command()(tool)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"alexnet {alexnet.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    run_app(app, is_product=True)


if __name__ == "__main__":
    main()
