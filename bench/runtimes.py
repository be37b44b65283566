"""The runtimes that give the answers of an exported artifact, and those that do not.

Each runtime is installed, from PyPI or npm, in an environment of its own, which is removed again.
It takes all samples of the artifact in one batch, in a process for each precision, and its
probabilities are compared with those in the artifact. A refusal, a crash and no answer in time are
results too.

The table in the model card and in docs/use.md is made from what this writes:

    python -m bench.runtimes artifacts --json alexnet/export/runtimes.json
"""

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from alexnet.cli.app import run
from alexnet.errors import UserError
from alexnet.export.runtimes import as_markdown
from alexnet.files import read_json, write_json
from alexnet.inference.manifest import expected_outputs_path
from alexnet.inference.predictor import MODEL_FILENAMES, Predictor
from alexnet.progress import progress
from bench.measure import processor

TIMEOUT_SECONDS = 900  # of one precision; a compiler needs a minute

# A program's arguments: the model, the images (uint8, without a header), their shape
# (N,H,W,C) and a file for the probabilities (float32). In Python it is within these lines.
AROUND = """
import os, sys, numpy
model, images, shape, result = sys.argv[1:]
images = numpy.fromfile(images, numpy.uint8).reshape([int(side) for side in shape.split(",")])
try:
{program}
    numpy.asarray(probabilities, numpy.float32).tofile(result)
except Exception as error:
    sys.exit(f"{{type(error).__name__}}: {{str(error) or 'without a message'}}".splitlines()[0])
"""
PROGRAMS = {
    "onnxruntime": """
    import onnxruntime
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], {"images": images})
""",
    "openvino": """
    import openvino
    if not hasattr(openvino, "Core"):  # before 2023.1
        import openvino.runtime as openvino
    compiled = openvino.Core().compile_model(model, "CPU")
    probabilities = compiled(images)[compiled.output("probabilities")]
""",
    "opencv-python-headless": """
    import cv2
    network = cv2.dnn.readNetFromONNX(model)
    network.setInput(images, "images")
    probabilities = network.forward("probabilities")
""",
    "tract": """
    import tract
    runnable = tract.onnx().load(model).into_model().into_runnable()
    probabilities = runnable.run([images])[1].to_numpy()
""",
    "apache-tvm": """
    import onnx, tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx
    module = from_onnx(onnx.load(model), shape_dict={"images": list(images.shape)})
    module = relax.transform.DecomposeOpsForInference()(module)
    machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())
    probabilities = machine["main"](tvm.runtime.tensor(images))[1].numpy()
""",
    "onnx": """
    from onnx.reference import ReferenceEvaluator
    (probabilities,) = ReferenceEvaluator(model).run(["probabilities"], {"images": images})
""",
    "onnx2torch": """
    import onnx2torch, torch
    with torch.inference_mode():
        probabilities = onnx2torch.convert(model).eval()(torch.from_numpy(images))[1]
""",
}
NODE = """
import { createRequire } from "node:module";
import fs from "node:fs";
const [model, images, shape, result] = process.argv.slice(2);
const read = (path) => new Uint8Array(fs.readFileSync(path));
try {
  const ort = createRequire(import.meta.url)("PACKAGE");
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(read(model));
  const input = new ort.Tensor("uint8", read(images), shape.split(",").map(Number));
  const { probabilities } = await session.run({ images: input });
  const { buffer, byteOffset, byteLength } = probabilities.data;
  fs.writeFileSync(result, new Uint8Array(buffer, byteOffset, byteLength));
} catch (error) {
  console.error(String(error).split("\\n")[0]);
  process.exit(1);
}
process.exit(0);
"""


@dataclass(frozen=True)
class Runtime:
    """A package, with what else it needs; of PyPI, or of npm if node is to run it."""

    package: str
    version: str
    beside: tuple[str, ...] = ()
    runs_in_node: bool = False

    @property
    def name(self) -> str:
        return "onnx.reference" if self.package == "onnx" else self.package

    def install(self, folder: Path) -> list[str]:
        """Install it in an empty folder; returns the command that runs its program.

        Raises UserError with the installer's last words.
        """
        if self.runs_in_node:
            # Without its scripts onnxruntime-node downloads no libraries for a GPU.
            options = ["--ignore-scripts", "--no-audit", "--no-fund", f"--prefix={folder}"]
            _call("npm", "install", *options, f"{self.package}@{self.version}")
            program = folder / "program.mjs"
            program.write_text(NODE.replace("PACKAGE", self.package))
            return ["node", str(program)]
        python = folder / "bin" / "python"
        _call(sys.executable, "-m", "venv", "--without-pip", folder)
        pip = [sys.executable, "-m", "pip", f"--python={python}", "install", "--no-cache-dir"]
        _call(*pip, f"{self.package}=={self.version}", *self.beside)
        program = folder / "program.py"
        program.write_text(AROUND.format(program=PROGRAMS[self.package]))
        return [str(python), str(program)]


def _each(package: str, *versions: str, **options: Any) -> list[Runtime]:
    return [Runtime(package, version, **options) for version in versions]


BEFORE_NUMPY_2 = ("numpy<2",)  # what older wheels were built with, and do not ask for
RUNTIMES = [
    *_each("onnxruntime", "1.15.0", "1.16.3", "1.17.3", "1.18.1", beside=BEFORE_NUMPY_2),
    *_each("onnxruntime", "1.20.1", "1.23.2", "1.27.0", "1.29.0", "1.32.0"),
    *_each("onnxruntime-node", "1.20.1", "1.30.0", runs_in_node=True),
    *_each("onnxruntime-web", "1.20.1", "1.30.0", runs_in_node=True),
    *_each("openvino", "2023.0.0", "2026.4.1"),
    *_each("opencv-python-headless", "4.8.1.78", beside=BEFORE_NUMPY_2),
    *_each("opencv-python-headless", "4.12.0.88", "4.13.0.92", "4.14.0.94", "5.0.0.93"),
    Runtime("tract", "0.23.9"),
    Runtime("apache-tvm", "0.27.0.post1", ("onnx",)),
    Runtime("onnx", "1.23.2"),
    Runtime("onnx2torch", "1.5.15", ("torch==2.14.1",)),
]


def bench(
    artifact: Annotated[Path, typer.Argument(help="The exported artifact.")],
    only: Annotated[str, typer.Option(help="The runtimes whose name begins so.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON, too.")] = None,
) -> None:
    """Install each runtime, run the artifact's samples in it, and compare the outcomes."""
    runtimes = [each for each in RUNTIMES if each.name.startswith(only)]
    if not runtimes:
        names = ", ".join(dict.fromkeys(each.name for each in RUNTIMES))
        raise UserError(f"--only: no runtime's name begins with {only}; there are {names}")
    manifest = read_json(artifact / "manifest.json", "export it again")
    expected = {name: expected_outputs(artifact, name) for name in manifest["precisions"]}
    images = prepared_samples(artifact)
    rows = []
    with progress("runtimes", len(runtimes)) as advance:
        for runtime in runtimes:
            advance(0, f"{runtime.name} {runtime.version}")
            rows.append(measure(runtime, artifact, images, expected))
            advance(1)
    result = {"conditions": conditions(manifest), "rows": rows}
    print(as_markdown(result))
    if json_file:
        write_json(json_file, result)


def prepared_samples(artifact: Path) -> NDArray[np.uint8]:
    """The samples as the graph takes them (N, H, W, C)."""
    predictor = Predictor(artifact)
    rows = read_json(artifact / expected_outputs_path("fp32"), "export it again")
    return np.stack([predictor.prepare(artifact / "samples" / row["file"]) for row in rows])


def expected_outputs(artifact: Path, precision: str) -> NDArray[np.float32]:
    """The probabilities (N, K) that the artifact states for its samples."""
    rows = read_json(artifact / expected_outputs_path(precision), "export it again")
    return np.array([list(row["probabilities"].values()) for row in rows], np.float32)


def measure(
    runtime: Runtime,
    artifact: Path,
    images: NDArray[np.uint8],
    expected: dict[str, NDArray[np.float32]],
) -> dict[str, Any]:
    """A row of the table: the outcome in each precision of `expected`."""
    row: dict[str, Any] = {"runtime": runtime.name, "version": runtime.version}
    with tempfile.TemporaryDirectory() as scratch:
        images.tofile(Path(scratch) / "images")
        try:
            command = runtime.install(Path(scratch) / "environment")
        except UserError as error:
            failed = {"outcome": "not installed", "reason": str(error)}
            return row | {"results": dict.fromkeys(expected, failed)}
        row["results"] = {
            precision: outcome(command, artifact, Path(scratch), images, precision, probabilities)
            for precision, probabilities in expected.items()
        }
    return row


def outcome(
    command: list[str],
    artifact: Path,
    scratch: Path,
    images: NDArray[np.uint8],
    precision: str,
    expected: NDArray[np.float32],
) -> dict[str, Any]:
    """Run a model in `artifact`, so that no message has a path of this machine, and compare."""
    result = scratch / precision
    shape = ",".join(map(str, images.shape))
    arguments = [MODEL_FILENAMES[precision], str(scratch / "images"), shape, str(result)]
    try:
        _call(*command, *arguments, folder=artifact, timeout=TIMEOUT_SECONDS)
        probabilities = np.fromfile(result, np.float32).reshape(expected.shape)
    except UserError as error:
        return {"outcome": "refuses", "reason": str(error)}
    return compare(probabilities, expected)


def compare(probabilities: NDArray[np.float32], expected: NDArray[np.float32]) -> dict[str, Any]:
    """What a runtime's probabilities (N, K) are, beside those of the artifact."""
    if probabilities.tobytes() == expected.tobytes():
        return {"outcome": "same bits"}
    num_wrong = int((probabilities.argmax(axis=1) != expected.argmax(axis=1)).sum())
    difference = float(np.abs(probabilities - expected).max())
    if num_wrong or not np.isfinite(difference):
        return {"outcome": "wrong labels", "num_wrong": num_wrong}
    return {"outcome": "same labels", "max_difference": difference}


def conditions(manifest: dict[str, Any]) -> dict[str, Any]:
    """What was measured, and where."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "artifact": f"a network of variant {manifest['variant']} trained on "
        f"{manifest['data']['name']} (opset {manifest['opset']}, IR version "
        f"{manifest['ir_version']})",
        "weights_sha256": manifest["provenance"]["sha256"]["weights"],
        "num_samples": manifest["num_samples"],
        "precisions": list(manifest["precisions"]),
        "onnxruntime": manifest["provenance"]["versions"]["onnxruntime"],
    }


def _call(*command: str | Path, folder: Path | None = None, timeout: float | None = None) -> None:
    """Raises UserError with the last line that a failed command has written, or how it died."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"gives no answer in {timeout:.0f} s") from None
    except FileNotFoundError:
        raise UserError(f"{command[0]} is not installed") from None
    if done.returncode < 0:
        raise UserError(f"is killed by {signal.Signals(-done.returncode).name}")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise UserError(last[0])


if __name__ == "__main__":
    run(bench)
