"""predict: classify image files with an exported model."""

import csv
import json
import logging
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from alexnet.cli.options import given_path, model_path
from alexnet.cli.output import end_of_output
from alexnet.errors import UserError
from alexnet.escape import for_csv, for_terminal
from alexnet.files import atomic_write, check_writable
from alexnet.progress import progress

if TYPE_CHECKING:  # the command line starts without onnxruntime
    from alexnet.inference import Result

Write = Callable[[TextIO, Iterable["Result"]], None]

logger = logging.getLogger(__name__)


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            help="The exported artifact (a folder), its model.onnx, or cifar10: a trained model "
            "that comes with this package.",
            parser=model_path,
        ),
    ],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files, directories, quoted patterns.",
            metavar="IMAGE...",
            parser=given_path,
        ),
    ],
    precision: Annotated[
        Literal["fp32", "fp16", "int8"] | None,
        typer.Option(help="The model of that precision in the folder.", show_default="fp32"),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes to print for each image.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one row per class.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write to this file (.json or .csv), once all images are done."),
    ] = None,
) -> None:
    """Classify images, with probabilities. Needs no PyTorch."""
    form = _choose_format(as_json, as_csv, out)
    if out:
        _check_place(out)

    from alexnet.inference.image_paths import find_images
    from alexnet.inference.predictor import Predictor

    predictor = Predictor(model, precision)
    paths = find_images(images)
    top = min(top, len(predictor.classes))
    write_text = partial(_write_text, paths=paths, classes=predictor.classes, top=top)
    write: Write = {"json": _write_json, "csv": _write_csv}.get(form, write_text)
    errors: list[str] = []
    with _output(out) as (stream, shows_progress):
        bar = progress("predict", len(paths)) if shows_progress else nullcontext(lambda: None)
        with bar as advance:
            results = predictor.classify_many(paths, top)
            write(stream, _readable(results, errors, advance))
    if out:
        logger.info(f"{out}: the predictions of {len(paths) - len(errors)} images")
    if errors:
        listed = "\n".join(f"  {message}" for message in errors)
        raise UserError(f"{len(errors)} of {len(paths)} images could not be read:\n{listed}")


def _choose_format(as_json: bool, as_csv: bool, out: Path | None) -> str:
    if as_json and as_csv:
        raise UserError("--json and --csv: give one of them")
    chosen = "json" if as_json else "csv" if as_csv else ""
    if out is None:
        return chosen or "text"
    suffix = out.suffix.lower().removeprefix(".")
    of_name = suffix if suffix in ("json", "csv") else ""
    if not (chosen or of_name):
        raise UserError(f"--out {out}: end its name in .json or .csv, or give --json or --csv")
    if chosen and of_name and chosen != of_name:
        raise UserError(f"--{chosen} and --out {out}: give one of the two formats")
    return chosen or of_name


def _check_place(out: Path) -> None:
    """Raises UserError if no file can be written there: better before the first image."""
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; give a file")
    try:
        check_writable(out.parent)
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror}; choose another place") from None


@contextmanager
def _output(out: Path | None) -> Iterator[tuple[TextIO, bool]]:
    """Where the predictions go, and whether there is room for a progress bar.

    A file is complete or not there. On stdout an error comes after the predictions; one that
    is a terminal shows the progress itself.
    """
    if out is None:
        yield sys.stdout, not sys.stdout.isatty()
        end_of_output()
    else:
        with atomic_write(out) as path, path.open("w", encoding="utf-8", newline="") as file:
            yield file, True


def _readable(
    results: Iterable["Result"], errors: list[str], advance: Callable[[], None]
) -> Iterator["Result"]:
    """The results without errors, which go to `errors`; ends where nobody reads on."""
    for index, result in enumerate(results, start=1):
        advance()
        if result.error is not None:
            errors.append(result.error)
        else:
            yield result
        if index % 64 == 0:
            end_of_output()


def _write_text(
    stream: TextIO, results: Iterable["Result"], paths: list[Path], classes: list[str], top: int
) -> None:
    """A table whose columns are as wide as the longest name of all."""
    width = max((len(for_terminal(str(path))) for path in paths), default=0)
    wide = max(len(for_terminal(name)) for name in classes) + len(" 100.0%")
    head = [f"{f'top {rank}':<{wide}}" for rank in range(1, top + 1)]
    print("   ".join([f"{'file':<{width}}", *head]).rstrip(), file=stream)
    for result in results:
        cells = [
            f"{for_terminal(best.label)} {best.probability:.1%}" for best in result.predictions
        ]
        row = [f"{for_terminal(result.name):<{width}}", *(f"{cell:<{wide}}" for cell in cells)]
        print("   ".join(row).rstrip(), file=stream)


def _write_json(stream: TextIO, results: Iterable["Result"]) -> None:
    end = "["
    for result in results:
        row = {"file": result.name, "predictions": [vars(best) for best in result.predictions]}
        text = textwrap.indent(json.dumps(row, indent=2, ensure_ascii=False), "  ")
        stream.write(end)
        for line in text.split("\n"):  # the terminal's escapes are those of JSON, too
            stream.write(f"\n{for_terminal(line)}")
        end = ","
    stream.write("[]\n" if end == "[" else "\n]\n")


def _write_csv(stream: TextIO, results: Iterable["Result"]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["file", "rank", "label", "probability"])
    for result in results:
        for rank, best in enumerate(result.predictions, start=1):
            label = for_csv(best.label)
            writer.writerow([for_csv(result.name), rank, label, f"{best.probability:.6f}"])
