"""alexnet: the console script, all commands under one name."""

from collections.abc import Callable
from typing import Annotated

import typer

import alexnet
from alexnet.cli.app import run_app
from alexnet.cli.diagram import diagram
from alexnet.cli.predict import predict
from alexnet.cli.report import report
from alexnet.cli.sign import sign
from alexnet.cli.summary import summary
from alexnet.cli.verify import verify
from stages.download import download
from stages.evaluate import evaluate
from stages.export import export
from stages.gate import gate
from stages.plot import plot
from stages.preprocess import preprocess
from stages.train import train

app = typer.Typer(
    name="alexnet",
    help="Train AlexNet, see inside it, and hand it over as ONNX. "
    "`dvc repro` runs all stages in order; each can be run alone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
STAGES: list[Callable[..., None]] = [download, preprocess, train, evaluate, gate, plot, export]
TOOLS: list[Callable[..., None]] = [report, summary, diagram, sign, verify, predict]
for stage in STAGES:
    app.command(rich_help_panel="Stages, in the order they run")(stage)
for tool in TOOLS:
    app.command(rich_help_panel="Tools")(tool)


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
    run_app(app)


if __name__ == "__main__":
    main()
