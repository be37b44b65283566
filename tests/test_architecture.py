"""The arrows between modules point one way, and dvc.yaml lists what each stage reads."""

import ast
import re

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]

# What only carries: a change in it shows in the params or in no result at all, and
# must not retrain.
CARRIERS = {
    "alexnet/__init__.py",
    "alexnet/config.py",
    "alexnet/errors.py",
    "alexnet/events.py",
    "alexnet/files.py",
    "alexnet/interrupt.py",
    "alexnet/progress.py",
    "alexnet/data/__init__.py",
    "alexnet/figures/__init__.py",
    "alexnet/reference/__init__.py",
    "stages/__init__.py",
    "stages/command.py",
    "stages/paths.py",
}


def imports(path: str) -> set[str]:
    """The project's own modules that a module imports, anywhere in it, as paths."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    found = set()
    for name in names:
        if name.split(".")[0] in ("alexnet", "stages"):
            stem = name.replace(".", "/")
            found |= {
                candidate
                for candidate in (f"{stem}.py", f"{stem}/__init__.py")
                if (ROOT / candidate).exists()
            }
    return found


def uses(path: str) -> set[str]:
    """Every module of the project that `path` depends on, and `path` itself."""
    seen, waiting = set(), {path}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting |= imports(module) - seen
    return seen


def templates(modules: set[str]) -> set[str]:
    """Templates that the modules name."""
    return {
        str(template.relative_to(ROOT))
        for template in (ROOT / "alexnet").rglob("*.j2")
        for module in modules
        if template.name in (ROOT / module).read_text()
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_the_modules_that_it_uses(stage):
    modules = uses(f"stages/{stage}.py") - CARRIERS
    listed = {dep for dep in STAGES[stage]["deps"] if dep.endswith((".py", ".j2"))}
    assert listed == modules | templates(modules)


@pytest.mark.parametrize("stage", STAGES)
def test_commands_are_constant(stage):
    assert STAGES[stage]["cmd"] == f"python -m stages.runner {stage}"


def test_training_and_what_it_reads_never_see_the_test_split():
    """Nothing can be selected on it: only what measures, draws or hands over reads it."""
    readers = {
        stage
        for stage, parts in STAGES.items()
        if {"data/processed", "data/processed/test.safetensors"} & set(parts["deps"])
    }
    assert readers == {"evaluate", "plot", "export"}


def modules(package: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("module", modules("alexnet"))
def test_the_library_knows_nothing_of_the_stages(module):
    source = (ROOT / module).read_text()
    assert not {name for name in imports(module) if name.startswith("stages/")}
    for name in ("typer", "dvc"):
        assert f"import {name}" not in source
    assert "params.yaml" not in _code(module), "where the parameters lie is the stages' business"


@pytest.mark.parametrize("module", modules("alexnet") + modules("stages"))
def test_nothing_knows_of_the_job_that_retrains(module):
    assert not re.search(r"^\s*(from|import) ci\b", (ROOT / module).read_text(), re.MULTILINE)


def _code(module: str) -> str:
    """The module without its comments and docstrings, messages to people included."""
    tree = ast.parse((ROOT / module).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = "" if " " in node.value else node.value
    return ast.unparse(tree)


def test_the_model_imports_torch_alone():
    tree = ast.parse((ROOT / "alexnet/model.py").read_text())
    roots = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert roots <= {"torch", "typing"}


LAYERS = [
    ["alexnet/errors.py", "alexnet/model.py", "alexnet/randomness.py", "alexnet/interrupt.py"],
    ["alexnet/about.py"],
    ["alexnet/config.py", "alexnet/files.py", "alexnet/progress.py", "alexnet/metrics.py"],
    modules("alexnet/reference"),
    [
        "alexnet/describe.py",
        "alexnet/cost.py",
        "alexnet/augment.py",
        "alexnet/device.py",
        "alexnet/history.py",
    ],
    ["alexnet/muon.py", "alexnet/meter.py", "alexnet/processes.py", "alexnet/checkpoint.py"],
    ["alexnet/fold.py", "alexnet/weights.py", "alexnet/optimizer.py", *modules("alexnet/data")],
    ["alexnet/feed.py", "alexnet/events.py", "alexnet/provenance.py", "alexnet/gather.py"],
    ["alexnet/replay.py", "alexnet/vitals.py", "alexnet/inside.py", "alexnet/timing.py"],
    ["alexnet/train.py", "alexnet/evaluate.py", "alexnet/gate.py", *modules("alexnet/figures")],
    ["alexnet/predict.py"],
    ["alexnet/verify.py", "alexnet/signing.py"],
    ["alexnet/export.py"],
    ["alexnet/precision.py"],
    ["alexnet/handoff.py"],
]


def test_every_module_has_its_layer():
    assert sorted(sum(LAYERS, ["alexnet/__init__.py"])) == modules("alexnet")


@pytest.mark.parametrize("level", range(len(LAYERS)))
def test_arrows_point_down(level):
    above = {module for layer in LAYERS[level + 1 :] for module in layer}
    for module in LAYERS[level]:
        assert not imports(module) & above, module


def test_no_pickles():
    for module in modules("alexnet") + modules("stages"):
        tree = ast.parse((ROOT / module).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert "pickle" not in {alias.name for alias in node.names}, module
            if isinstance(node, ast.Attribute):
                assert ast.unparse(node) != "torch.load", module
