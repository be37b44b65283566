"""predict: classify image files with an exported model."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from alexnet.errors import UserError

if TYPE_CHECKING:  # the command line starts without onnxruntime
    from alexnet.inference.predictor import Prediction

Guesses = dict[Path, list["Prediction"]]


def predict(
    model: Annotated[Path, typer.Argument(help="The folder handed over, or its model.onnx.")],
    images: Annotated[
        list[Path],
        typer.Argument(help="Image files, directories, quoted patterns.", metavar="IMAGE..."),
    ],
    precision: Annotated[
        Literal["fp32", "fp16", "int8"] | None,
        typer.Option(help="Which of a folder's models.", show_default="fp32"),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a row for each class.")] = False,
) -> None:
    """Say what is in the images, with probabilities. Needs no PyTorch."""
    if as_json and as_csv:
        raise UserError("--json and --csv: give one of them")

    from alexnet.inference.image_paths import gather
    from alexnet.inference.predictor import Predictor
    from alexnet.progress import progress

    predictor = Predictor(model, precision or "fp32")
    if precision and predictor.precision != precision:  # a file was given
        raise UserError(f"{model} is in {predictor.precision}, not in {precision}; give its folder")
    paths = gather(images)
    with progress("predict", len(paths)) as advance:
        guesses, failed = predictor.classify_all(paths, top, advance)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that is not text goes out as it is
        sys.stdout.reconfigure(errors="surrogateescape")
    write = _write_json if as_json else _write_csv if as_csv else _write_text
    write(guesses)
    if failed:
        sys.stdout.flush()  # the list is to stand behind what could be read
        listed = "\n".join(f"  {message}" for message in failed.values())
        raise UserError(f"{len(failed)} of {len(paths)} images could not be read:\n{listed}")


def _write_text(guesses: Guesses) -> None:
    width = max((len(str(path)) for path in guesses), default=0)
    for path, row in guesses.items():
        named = "   ".join(f"{guess.label} {guess.probability:.1%}" for guess in row)
        print(f"{path!s:<{width}}   {named}")


def _write_json(guesses: Guesses) -> None:
    rows = [
        {"file": str(path), "predictions": [vars(guess) for guess in row]}
        for path, row in guesses.items()
    ]
    print(json.dumps(rows, indent=2, ensure_ascii=False))


def _write_csv(guesses: Guesses) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "rank", "label", "probability"])
    for path, row in guesses.items():
        for rank, guess in enumerate(row, start=1):
            writer.writerow([path, rank, guess.label, f"{guess.probability:.6f}"])
