"""alexnet: the console script, all commands under one name."""

from collections.abc import Callable
from typing import Annotated

import typer

import alexnet
from stages.command import run_app
from stages.diagram import diagram
from stages.download import download
from stages.evaluate import evaluate
from stages.export import export
from stages.gate import gate
from stages.plot import plot
from stages.predict import predict
from stages.preprocess import preprocess
from stages.report import report
from stages.sign import sign
from stages.summary import summary
from stages.train import train
from stages.verify import verify

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
