"""The arrows between rooms point one way; what every room keeps to."""

import ast
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

# A room may import itself, the ground floor and the rooms named here, and nothing else of ours.
GROUND = {
    *("config", "config_checks", "errors", "escape", "files", "nested", "progress", "scratch"),
    *("seeding", "signals"),
}
BELOW_TRAINING = {"network", "data"}
BELOW_EXPORT = BELOW_TRAINING | {"training", "evaluation"}
ROOMS = {
    "alexnet": set(),  # the ground floor itself
    "alexnet/bundled": set(),
    "alexnet/data": set(),
    "alexnet/network": set(),
    "alexnet/pretrained": BELOW_TRAINING | {"inference"},
    "alexnet/training": BELOW_TRAINING,
    "alexnet/evaluation": BELOW_TRAINING | {"training"},
    "alexnet/inference": {"data.images"},
    "alexnet/serving": {"data.images", "inference"},
    "alexnet/report": BELOW_EXPORT,
    "alexnet/export": BELOW_EXPORT | {"inference"},
    "alexnet/live": BELOW_EXPORT | {"inference", "report", "export"},
    "alexnet/cli": BELOW_EXPORT | {"bundled", "inference", "serving", "report", "export", "live"},
    "stages": BELOW_EXPORT | {"inference", "report", "export", "cli", "pretrained", "stages"},
    "stages/runtime": {"cli", "stages.params", "stages.paths", "training.checkpoint_store"},
}


def room_of(module: Path) -> str:
    return max((room for room in ROOMS if module.is_relative_to(room)), key=len)


def imports(module: Path) -> set[str]:
    """The names that a module imports, anywhere in it; ours without the leading `alexnet.`."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module in ("alexnet", "stages"):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module}
    return names


def is_allowed(name: str, room: str) -> bool:
    own = room.removeprefix("alexnet").strip("/").replace("/", ".")
    name = name.removeprefix("alexnet.")
    allowed = GROUND | ROOMS[room] | {own, "__version__", "alexnet"}
    return any(name == place or name.startswith(f"{place}.") for place in allowed if place)


MODULES = [
    Path(name)
    for name in subprocess.run(
        ["git", "ls-files", "--", "alexnet/*.py", "stages/*.py"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
]


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_point_down(room):
    modules = [module for module in MODULES if room_of(module) == room]
    assert modules, f"no such room: {room}"
    for module in modules:
        ours = {name for name in imports(module) if name.split(".")[0] in ("alexnet", "stages")}
        assert not {name for name in ours if not is_allowed(name, room)}, module


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may_of_other_packages(room):
    barred = {
        "alexnet/inference": {"torch", "typer", "dvc", "fastapi"},
        "alexnet/serving": {"torch", "typer", "dvc"},
        "alexnet/cli": {"dvc"},
        "stages": {"dvc"},
        "stages/runtime": {"torch"},
    }.get(room, {"typer", "dvc"})
    for module in MODULES:
        if room_of(module) == room:
            roots = {name.split(".")[0] for name in imports(module)}
            assert not roots & (barred | {"ci", "bench", "pickle"}), module


def test_the_model_and_its_layers_import_torch_alone():
    library = {"itertools", "torch", "torch.autograd.function", "torch.nn.functional", "typing"}
    layers = {"alexnet.network.convolution", "alexnet.network.layers"}
    for module in layers:
        assert imports(Path(f"{module.replace('.', '/')}.py")) <= library
    assert imports(Path("alexnet/network/model.py")) == {"torch", "typing"} | layers


# What computes with a trained or a training network, and so has to be configured first.
COMPUTING = ("training.", "network.weights", "evaluation.evaluate", "export.bundle", "report.run")
COMPUTING += ("live.run",)
WITHOUT_TORCH = "training.checkpoint_store"  # it handles files alone


def calls(module: Path) -> set[str]:
    tree = ast.walk(ast.parse((ROOT / module).read_text()))
    return {n.func.id for n in tree if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


def test_every_stage_and_tool_that_computes_with_a_network_configures_torch():
    """Precision and determinism are the process's: one that forgets has other numbers on a GPU."""
    rooms = ("stages", "alexnet/cli")
    computing = {
        module.stem: "configure_torch" in calls(module)
        for module in MODULES
        if room_of(module) in rooms
        and any(
            name.startswith(COMPUTING) and name != WITHOUT_TORCH
            for name in (n.removeprefix("alexnet.") for n in imports(module))
        )
    }
    assert {"evaluate", "export", "plot", "profile", "train"} <= computing.keys()
    assert not [name for name, configures in computing.items() if not configures]


def test_no_file_is_too_long_for_a_sitting():
    """300 lines; but for data, locks, pictures and what a run has written."""
    endings = (".py", ".md", ".yaml", ".yml", ".toml", ".j2", ".js", ".html", ".css", ".sh")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    for name in [*listed.stdout.splitlines()]:
        is_read = name.endswith(endings) and not name.startswith("docs/cifar10/")
        if is_read or name in ("Dockerfile", "Makefile"):
            assert len((ROOT / name).read_text().splitlines()) <= 300, name
