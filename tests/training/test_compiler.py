"""Whether training can be compiled for a GPU here."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from alexnet.training import compiler
from alexnet.training.compiler import PACKAGES, can_compile, find_obstacle
from alexnet.training.distributed import SINGLE_PROCESS
from tests.runs import CPU

GPU = torch.device("cuda:0")


@pytest.fixture
def triton(monkeypatch) -> ModuleType:
    """A Triton whose driver could be built before, and is in its cache."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    runtime = ModuleType("triton.runtime")
    runtime.driver = SimpleNamespace(active="the driver")
    monkeypatch.setitem(sys.modules, "triton", ModuleType("triton"))
    monkeypatch.setitem(sys.modules, "triton.runtime", runtime)
    return runtime


@pytest.fixture
def cc(tmp_path, monkeypatch):
    """Give the machine a C compiler that does and says what a script does."""

    def cc(script: str) -> None:
        (tmp_path / "cc").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "cc").chmod(0o755)
        monkeypatch.setenv("CC", str(tmp_path / "cc"))

    return cc


def test_nothing_is_compiled_on_a_cpu(caplog):
    assert not can_compile(CPU, SINGLE_PROCESS)
    assert not caplog.records


def test_a_compiler_with_pythons_header_is_enough(triton, cc):
    cc('grep -q "#include <Python.h>"')
    assert find_obstacle() == ""
    assert can_compile(GPU, SINGLE_PROCESS)


def test_no_compiler_is_an_obstacle_even_with_a_driver_in_the_cache(triton, monkeypatch, caplog):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    assert not can_compile(GPU, SINGLE_PROCESS)
    assert "training runs uncompiled, which is slower: there is no C compiler" in caplog.text


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo 'In file' >&2; echo 'error: Python.h: No such file' >&2; exit 1",
            "cannot compile for Python: error: Python.h: No such file",
        ),
        ("exit 1", "cannot compile for Python: no reason is given"),
    ],
)
def test_a_compiler_without_pythons_header_is_an_obstacle(triton, cc, script, message):
    cc(script)
    assert find_obstacle().endswith(f"{message}; {PACKAGES}")


def test_a_compiler_that_does_not_exist_is_an_obstacle(triton, monkeypatch):
    monkeypatch.setenv("CC", "/no/cc")
    assert "No such file or directory: '/no/cc'" in find_obstacle()


def test_a_driver_that_cannot_be_built_is_an_obstacle(triton, cc):
    class Driver:
        @property
        def active(self):
            raise AssertionError("libcuda.so cannot found!\nPlease make sure GPU is set up")

    triton.driver = Driver()
    cc("exit 0")
    assert find_obstacle() == "Triton's driver cannot be built: libcuda.so cannot found!"


@pytest.mark.parametrize("obstacle", ["", "there is no C compiler"])
def test_if_one_process_cannot_compile_none_does(obstacle, monkeypatch, caplog):
    monkeypatch.setattr(compiler, "find_obstacle", lambda: obstacle)
    two = SimpleNamespace(all_gather=lambda own: torch.stack([own, torch.tensor(1)]))
    assert not can_compile(GPU, two)
    assert (obstacle or "process 1, on another host, cannot compile") in caplog.text
