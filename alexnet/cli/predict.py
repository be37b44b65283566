"""predict: classify image files with an exported model."""

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from alexnet.errors import UserError
from alexnet.escape import for_csv, for_terminal

if TYPE_CHECKING:  # the command line starts without onnxruntime
    from alexnet.inference.predictor import Prediction

Predictions = dict[Path, list["Prediction"]]


def predict(
    model: Annotated[
        Path, typer.Argument(help="The exported artifact (a folder), or its model.onnx.")
    ],
    images: Annotated[
        list[Path],
        typer.Argument(help="Image files, directories, quoted patterns.", metavar="IMAGE..."),
    ],
    precision: Annotated[
        Literal["fp32", "fp16", "int8"] | None,
        typer.Option(help="The model of that precision in the folder.", show_default="fp32"),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes to print for each image.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one row per class.")] = False,
) -> None:
    """Classify images, with probabilities. Needs no PyTorch."""
    if as_json and as_csv:
        raise UserError("--json and --csv: give one of them")

    from alexnet.inference.image_paths import find_images
    from alexnet.inference.predictor import Predictor
    from alexnet.progress import progress

    predictor = Predictor(model, precision or "fp32")
    if precision and predictor.precision != precision:  # the argument is a file
        raise UserError(f"{model} is in {predictor.precision}, not in {precision}; give its folder")
    paths = find_images(images)
    with progress("predict", len(paths)) as advance:
        predictions, failed = predictor.classify_all(paths, top, advance)
    write = _write_json if as_json else _write_csv if as_csv else _write_text
    write(predictions)
    if failed:
        sys.stdout.flush()  # the errors come after the predictions
        listed = "\n".join(f"  {message}" for message in failed.values())
        raise UserError(f"{len(failed)} of {len(paths)} images could not be read:\n{listed}")


def _write_text(predictions: Predictions) -> None:
    names = {path: for_terminal(str(path)) for path in predictions}
    width = max(map(len, names.values()), default=0)
    for path, row in predictions.items():
        classes = "   ".join(f"{for_terminal(best.label)} {best.probability:.1%}" for best in row)
        print(f"{names[path]:<{width}}   {classes}")


def _write_json(predictions: Predictions) -> None:
    rows = [
        {"file": str(path), "predictions": [vars(prediction) for prediction in row]}
        for path, row in predictions.items()
    ]
    for line in json.dumps(rows, indent=2, ensure_ascii=False).split("\n"):
        print(for_terminal(line))  # its escapes are those of JSON, too


def _write_csv(predictions: Predictions) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "rank", "label", "probability"])
    for path, row in predictions.items():
        for rank, best in enumerate(row, start=1):
            label = for_csv(best.label)
            writer.writerow([for_csv(str(path)), rank, label, f"{best.probability:.6f}"])
