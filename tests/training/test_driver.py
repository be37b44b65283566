"""NVIDIA's driver: one that is loaded and of no use to PyTorch is named."""

import logging

import pytest
import torch

from alexnet.errors import UserError
from alexnet.training import device, driver
from alexnet.training.device import resolve_device

# The lines that drivers print, of which NVIDIA has changed the form (nixGL issues 121, 220).
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Wed Oct 25 20:43:47 UTC 2023\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (a@b)\n"
GCC = "GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)\n"
OLD = "NVIDIA's driver {} is too old: PyTorch was built for CUDA {}, which needs {} or newer"
OLD_13 = OLD.format("535.129.03", "13.0", 580)
OLD_12 = OLD.format("470.57.02", "12.8", 525)
LOADED = "although NVIDIA's driver 580.65.06 is loaded"
NO_GPU = f"PyTorch (for CUDA 13.0) finds no GPU here, {LOADED}"
NO_CUDA = f"this PyTorch was built without CUDA, {LOADED}"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with a driver, and a PyTorch that finds no GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(driver, "VERSION", tmp_path / "version")
    device._warn_once.cache_clear()

    def machine(text: str, cuda: str | None) -> None:
        driver.VERSION.write_text(text + GCC)
        monkeypatch.setattr(torch.version, "cuda", cuda)

    return machine


@pytest.mark.parametrize(
    ("text", "version", "cuda", "reason"),
    [
        (CLOSED, "535.129.03", "13.0", OLD_13),
        (OPEN, "535.129.03", "13.0", OLD_13),
        (CLOSED, "470.57.02", "12.8", OLD_12),
        (OPEN, "580.65.06", "13.0", NO_GPU),
        (OPEN, "580.65.06", None, NO_CUDA),
    ],
)
def test_a_driver_that_is_of_no_use_is_named(machine, text, version, cuda, reason, caplog):
    machine(text.format(version), cuda)
    with caplog.at_level(logging.WARNING):
        assert [resolve_device("auto").type for _ in range(2)] == ["cpu", "cpu"]
    (record,) = caplog.records
    assert record.getMessage().startswith(f"the CPU is used, which is far slower: {reason}")
    with pytest.raises(UserError) as caught:
        resolve_device("cuda")
    assert reason in str(caught.value)


def test_who_wants_no_gpu_is_not_warned(machine, caplog, monkeypatch):
    machine(OPEN.format("535.129.03"), "13.0")
    assert resolve_device("cpu").type == "cpu"
    for chosen in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
        assert resolve_device("auto").type == "cpu"
    driver.VERSION.unlink()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert resolve_device("auto").type == "cpu"
    assert not caplog.records
