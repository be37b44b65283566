"""Speed and memory of download and preprocess, by the number of images and their form.

A set of many small files has to take a time in proportion to their number, and the memory of a
small one; a set of large images is read under a limit that its pixels exceed. The peer is a plain
loop over torchvision's ImageFolder, in one process, which keeps all pixels in memory and does not
copy, verify or split. So time is given by the clock and as time of the processor, which counts
all processes.
"""

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from PIL import Image

from alexnet import config
from alexnet.cli.app import run
from alexnet.data.download import download
from alexnet.data.preprocess import preprocess
from alexnet.files import write_json
from alexnet.progress import progress
from bench import report
from bench.measure import measure_usage, processor
from stages.paths import PARAMS, ParamsFile

NUM_CLASSES = 10
NUM_DIFFERENT = 1000  # images; a set repeats them under other names
LIMIT_BYTES = 512 << 20  # of each process, while it reads the large images
SEED = 0

Form = Literal["folder", "tar", "zip"]


@dataclass(frozen=True)
class ImageSet:
    """num_images JPEGs of side x side pixels, which become size x size."""

    num_images: int
    form: Form
    side: int
    size: int
    limit_bytes: int | None = None  # of memory of its own that a process may take

    @property
    def pixel_bytes(self) -> int:
        return self.num_images * self.size**2 * 3


def bench(
    params: ParamsFile = PARAMS,
    files: Annotated[
        list[int] | None,
        typer.Option(min=1000, help="Small images.", show_default="10,000, 100,000"),
    ] = None,
    large: Annotated[int, typer.Option(min=100, help="Images of 224 pixels.")] = 20_000,
    quick: Annotated[bool, typer.Option(help="Sets so small that they show nothing.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON, too.")] = None,
) -> None:
    """Measure download and preprocess against a loop over torchvision's ImageFolder."""
    values = config.load(params).data
    numbers, large = ([200, 400], 100) if quick else (files or [10_000, 100_000], large)
    sets = [ImageSet(number, "folder", 32, 32) for number in numbers]
    sets += [ImageSet(numbers[-1], form, 32, 32) for form in ("tar", "zip")]
    sets += [ImageSet(large, "folder", 256, 224, LIMIT_BYTES)]
    rows: list[dict[str, Any]] = []
    with progress("data sets", len(sets)) as advance:
        for each in sets:
            rows.append(measure_set(each, values))
            if each.form != "folder":  # which the peer does not read: its time on the folder
                rows[-1]["stages"]["peer"] = rows[len(numbers) - 1]["stages"]["peer"]
            advance(1, f"{each.num_images:,} images, {each.form}")
    result = {"conditions": {"processor": processor()}, "sets": rows}
    report.show_data(result)
    if json_file:
        write_json(json_file, result)


def measure_set(images: ImageSet, values: config.Data) -> dict[str, Any]:
    """The usage of both stages and of the peer, each in a fresh process."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        num_bytes = write_images(root / "images", images)
        source = pack(root / "images", images.form)
        changes = {"name": "folder", "source": str(source), "sha256": None}
        data = values.model_copy(update=changes | {"image_size": images.size, "channels": 3})
        raw, processed = root / "raw", root / "processed"
        usages = {
            "download": measure_usage(images.limit_bytes, download, data, raw),
            "preprocess": measure_usage(images.limit_bytes, preprocess, data, raw, processed),
        }
        shutil.rmtree(raw)
        shutil.rmtree(processed)
        if images.form == "folder":
            # Imported here: torchvision is no part of the stages' memory.
            from bench.image_folder import copy_to_arrays

            usages["peer"] = measure_usage(None, copy_to_arrays, source, images.size)
    return asdict(images) | {
        "num_bytes": num_bytes,
        "pixel_bytes": images.pixel_bytes,
        "stages": {name: asdict(usage) for name, usage in usages.items()},
    }


def write_images(root: Path, images: ImageSet) -> int:
    """Write the JPEGs into a folder for each class; returns their bytes."""
    encoded = list(_jpegs(min(NUM_DIFFERENT, images.num_images), images.side))
    for label in range(NUM_CLASSES):
        (root / f"class {label}").mkdir(parents=True)
    num_bytes = 0
    for number in range(images.num_images):
        content = encoded[number % len(encoded)]
        (root / f"class {number % NUM_CLASSES}/{number:07}.jpg").write_bytes(content)
        num_bytes += len(content)
    return num_bytes


def _jpegs(number: int, side: int) -> Iterator[bytes]:
    """Smooth noise, of which a JPEG is as large as of a photo."""
    generator = np.random.default_rng(SEED)
    for _ in range(number):
        pixels = generator.integers(0, 256, (side // 4, side // 4, 3), dtype=np.uint8)
        image, file = Image.fromarray(pixels).resize((side, side)), BytesIO()
        image.save(file, "JPEG")
        yield file.getvalue()


def pack(root: Path, form: Form) -> Path:
    """The folder itself, or an archive of it beside it."""
    path = root.with_suffix(f".{form}")
    match form:
        case "folder":
            return root
        case "tar":
            with tarfile.open(path, "w") as tar:
                tar.add(root, root.name)
        case "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for file in sorted(root.rglob("*.jpg")):
                    archive.write(file, file.relative_to(root))
    return path


if __name__ == "__main__":
    run(bench)
