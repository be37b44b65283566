"""Many image files with the receiver's API against the loop that one writes first.

The loop opens an image with Pillow, fits it to the network's size, and runs the network for it
alone, one after another. Ours (`Predictor.classify_many`, as `alexnet predict` calls it) decodes in
threads and runs batches. Both in this process, in turn, with onnxruntime's default of threads.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime
import typer
from PIL import Image, ImageOps
from rich.console import Console
from sklearn.datasets import load_sample_images

from alexnet.cli.app import run
from alexnet.files import write_json
from alexnet.inference import Predictor
from alexnet.progress import progress, significant
from bench import report
from bench.measure import processor

# JPEGs of two photographs of scikit-learn's (640x427), scaled to a width and height.
SIZES = {(32, 32): 1024, (640, 427): 256, (2560, 1708): 32}
SEED = 0


@dataclass(frozen=True)
class Comparison:
    """Seconds of all images in each round, and how many times as fast ours was in it."""

    width: int
    height: int
    num_images: int
    loop: list[float]
    ours: list[float]

    @property
    def ratios(self) -> list[float]:
        return [theirs / ours for theirs, ours in zip(self.loop, self.ours, strict=True)]


def bench(
    artifact: Annotated[Path, typer.Argument(help="An exported artifact.")] = Path("artifacts"),
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 5,
    scale: Annotated[float, typer.Option(min=0, help="Of the numbers of images.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON, too.")] = None,
) -> None:
    """Measure how fast image files are classified, by their size."""
    predictor = Predictor(artifact)
    with tempfile.TemporaryDirectory() as scratch:
        results = []
        for (width, height), number in SIZES.items():
            number = max(2, int(scale * number))
            paths = write_photos(Path(scratch), width, height, number)
            results.append(compare(predictor, paths, rounds, width, height))
    show(results, rounds)
    if json_file:
        write_json(json_file, [asdict(each) | {"ratios": each.ratios} for each in results])


def write_photos(folder: Path, width: int, height: int, number: int) -> list[Path]:
    """Different parts of the photographs, in quality 90."""
    photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    generator = np.random.default_rng(SEED)
    paths = [folder / f"{width}-{index}.jpg" for index in range(number)]
    for index, path in enumerate(paths):
        left, upper = generator.integers(0, 60, 2).tolist()
        part = (left, upper, left + 550, upper + 367)
        photo = photos[index % 2].resize((width, height), Image.Resampling.BICUBIC, part)
        photo.save(path, quality=90)
    return paths


def loop(predictor: Predictor, paths: list[Path]) -> list[str]:
    """What one writes first; channels and size are the model's."""
    labels = []
    for path in paths:
        image = Image.open(path).convert("L" if predictor.channels == 1 else "RGB")
        fitted = ImageOps.fit(image, (predictor.crop, predictor.crop))
        pixels = np.asarray(fitted).reshape(1, predictor.crop, predictor.crop, predictor.channels)
        (probabilities,) = predictor.session.run(["probabilities"], {"images": pixels})
        labels.append(predictor.classes[int(probabilities[0].argmax())])
    return labels


def ours(predictor: Predictor, paths: list[Path]) -> list[str]:
    return [result.predictions[0].label for result in predictor.classify_many(paths, top=1)]


def compare(
    predictor: Predictor, paths: list[Path], rounds: int, width: int, height: int
) -> Comparison:
    seconds: dict[Callable[[Predictor, list[Path]], list[str]], list[float]] = {loop: [], ours: []}
    with progress(f"{width}x{height}", 2 * rounds) as advance:
        for function in seconds:
            function(predictor, paths[:2])  # warm-up
        for _ in range(rounds):
            for function, times in seconds.items():
                start = time.perf_counter()
                labels = function(predictor, paths)
                times.append(time.perf_counter() - start)
                assert len(labels) == len(paths)
                advance()
    return Comparison(width, height, len(paths), seconds[loop], seconds[ours])


def show(results: list[Comparison], rounds: int) -> None:
    console = Console(width=max(Console().width, 100), highlight=False)
    console.print(
        f"{processor()}; onnxruntime {onnxruntime.__version__}; JPEG files, read from the page "
        f"cache; in turn, rounds: {rounds}",
        soft_wrap=True,
    )
    table = report.grid(
        "Image files",
        *("pixels", "images", "loop, ms/image", "ours", "times as fast", "lowest to highest"),
    )
    for each in results:
        loop_ms, ours_ms = (
            significant(1e3 * statistics.median(times) / each.num_images)
            for times in (each.loop, each.ours)
        )
        table.add_row(
            f"{each.width}x{each.height}",
            f"{each.num_images:,}",
            *(loop_ms, ours_ms, f"{statistics.median(each.ratios):.1f}"),
            report.value_range(each.ratios, 1),
        )
    console.print(table)


if __name__ == "__main__":
    run(bench)
