"""The page's own files: its source in the checkout, and ONNX Runtime Web."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import alexnet
from alexnet.errors import UserError
from alexnet.files import require_file
from alexnet.live.tensors import compress

ENDINGS = (".html", ".css", ".js")
SHARED = ("prepare.js", "camera.js")  # of the page that runs an exported model
# The runtime's loaders, which are copied, and their WebAssembly, which is compressed.
LOADERS = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort.jspi.min.mjs",
    "ort-wasm-simd-threaded.jspi.mjs",
)
BINARIES = ("ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.jspi.wasm")


@dataclass(frozen=True)
class PageSource:
    """Where the files of the page come from."""

    page: Path
    shared: Path
    runtime: Path


def find_source() -> PageSource:
    """Raises UserError where the package does not lie in a clone, or npm has not run."""
    checkout = Path(alexnet.__file__).parent.parent
    page = checkout / "docs" / "live"
    source = PageSource(
        page,
        checkout / "deploy" / "browser",
        page / "node_modules" / "onnxruntime-web" / "dist",
    )
    if not page.is_dir():
        raise UserError(
            f"{page} does not exist: the page is no part of the installed package; clone the "
            "repository, and install it from there (pip install --editable '.[train]')"
        )
    if not source.runtime.is_dir():
        raise UserError(
            f"{source.runtime} does not exist; install ONNX Runtime Web by "
            f"`npm ci --ignore-scripts --prefix {page}` (Node.js), or run `make live`"
        )
    return source


def copy_page(folder: Path, source: PageSource) -> None:
    """Copy the page into `folder`. Raises UserError that names a file which is missing."""
    files = [file for file in sorted(source.page.iterdir()) if file.suffix in ENDINGS]
    for file in [*files, *(source.shared / name for name in SHARED)]:
        shutil.copyfile(require_file(file), folder / file.name)
    runtime = folder / "ort"
    runtime.mkdir()
    for name in LOADERS:
        shutil.copyfile(require_file(source.runtime / name), runtime / name)
    for name in BINARIES:
        content = require_file(source.runtime / name).read_bytes()
        (runtime / f"{name}.gz").write_bytes(compress(content))
