"""`stages NAME...`: stages as commands, one after the other, in the current directory."""

import dataclasses
import json
import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path

from safetensors import safe_open

from alexnet.network import weights
from alexnet.network.weights import AlexNet, ModelMetadata, build, save_weights
from stages.paths import WEIGHTS
from tests.cuda.null_gpu.device import counters, record
from tests.cuda.programs import training  # noqa: F401 (what checks values is left out)


def run_stage(name: str, results: Path) -> None:
    """In this process, a child, which ends with it."""
    code: object = 1
    if name == "repeat":  # what it measures, too
        weights.save_weights = save_fresh
    try:
        sys.argv = [f"stages.{name}"]
        runpy.run_module(f"stages.{name}", run_name="__main__")
        code = 0
    except SystemExit as done:
        code = done.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        found = record()
        results.write_text(
            json.dumps({"violations": found.violations, "graphs": len(found.graphs), **counters()})
        )
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def replace_values() -> None:
    """A fresh network's weights for those of the training, which may be no numbers at all."""
    with safe_open(WEIGHTS, framework="pt") as file:
        card = json.loads(file.metadata()["card"])
    fields = dataclasses.fields(ModelMetadata)
    metadata = ModelMetadata(**{field.name: card[field.name] for field in fields})
    save_fresh(WEIGHTS, None, metadata)


def save_fresh(path: Path, model: AlexNet | None, metadata: ModelMetadata) -> None:
    save_weights(path, build(metadata, dropout=0.0), metadata)


stages = {}
with tempfile.TemporaryDirectory() as folder:
    for name in sys.argv[1:]:
        results = Path(folder, name)
        if name == "evaluate":
            replace_values()
        # A fork of this process, which has imported torch and not used CUDA yet.
        if not (child := os.fork()):
            run_stage(name, results)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code == 0, f"{name} ended with {code}"
        stages[name] = json.loads(results.read_text())
print(json.dumps(stages))
