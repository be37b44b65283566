"""The device and the precision are what was asked for, or refused."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from alexnet.errors import UserError
from alexnet.training.device import (
    DeviceConfig,
    make_deterministic,
    oom_as_user_error,
    resolve_device,
    resolve_dtype,
)
from tests.conftest import ROOT

CPU = torch.device("cpu")


def test_cpu_is_held_to():
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize(("there", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_gpu_if_there_is_one(monkeypatch, there, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert resolve_device("auto").type == device


def test_cuda_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="cuda is asked for"):
        resolve_device("cuda")


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_takes_bf16_where_the_processor_has_it(monkeypatch, native, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    assert resolve_dtype("auto", CPU) == dtype
    assert resolve_dtype("fp32", CPU) == torch.float32


def test_bf16_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    with pytest.raises(UserError, match=r"train.precision: bf16 is asked for"):
        resolve_dtype("bf16", CPU)


def test_a_gpu_is_asked_whether_it_computes_bf16_itself(monkeypatch):
    asked = []

    def is_supported(**kinds):
        asked.append(kinds)
        return False

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    assert resolve_dtype("auto", torch.device("cuda:0")) == torch.float32
    assert asked == [{"including_emulation": False}]


@pytest.mark.parametrize("local_rank", [0, 3])
def test_each_process_of_a_machine_has_the_gpu_of_its_number(monkeypatch, local_rank):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", str(local_rank))
    assert resolve_device("auto") == torch.device(f"cuda:{local_rank}")
    monkeypatch.delenv("LOCAL_RANK")
    assert resolve_device("cuda") == torch.device("cuda:0")


def test_the_machine_computes_in_its_precision():
    a = torch.ones(2, 2)
    with DeviceConfig(CPU, torch.bfloat16).autocast():
        assert (a @ a).dtype == torch.bfloat16
    with DeviceConfig(CPU, torch.float32).autocast():
        assert (a @ a).dtype == torch.float32
    threads = torch.get_num_threads()
    assert str(DeviceConfig(CPU, torch.bfloat16)) == f"cpu ({threads} threads), bfloat16"


def test_deterministic_kernels_can_be_asked_for_or_not(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        make_deterministic(True)
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        make_deterministic(False)
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)


def test_a_chosen_workspace_is_kept(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    make_deterministic(False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


# Memory


FAULTS = """
import resource, sys, torch
from alexnet.training.device import disable_malloc_trim

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "keep":
    disable_malloc_trim()
def ten_tensors():
    for _ in range(10):
        assert torch.ones(16 << 20).sum() == 16 << 20

ten_tensors()
before = faults()
ten_tensors()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again_without_asking_the_kernel():
    """Ten tensors of 64 MiB, one after the other, ten having been there before them."""

    def faults(how: str) -> int:
        command = [sys.executable, "-c", FAULTS, how]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
        )
        return int(done.stdout)

    assert faults("keep") * 10 < faults("as it is")


# When memory runs out


def test_running_out_of_memory_on_the_cpu_says_what_to_do():
    """What PyTorch's own allocator says: 4 petabytes are nowhere to be had."""
    with (
        pytest.raises(
            UserError,
            match=r"out of memory with train\.batch_size 512: 4000000000000000 bytes could not be "
            r"had at once; lower train\.batch_size, or set train\.data_location to host",
        ),
        oom_as_user_error(512),
    ):
        torch.empty(10**15)


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("CUDA out of memory. Tried to allocate 2.25 GiB. GPU 0 has a total", "2.25 GiB could"),
        ("CUDA out of memory. Tried to allocate 20.00 MiB.", "20.00 MiB could"),
        ("CUDA error: out of memory", "more could"),
    ],
)
def test_running_out_of_a_gpus_memory_says_what_to_do(text, needed):
    with (
        pytest.raises(UserError, match=f"out of memory with train.batch_size 8: {needed}") as told,
        oom_as_user_error(8),
    ):
        raise torch.OutOfMemoryError(text)
    assert told.value.__suppress_context__, "without PyTorch's page of figures"


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), KeyError("x"), UserError("y")])
def test_any_other_error_stays_what_it_is(error):
    with pytest.raises(type(error)) as caught, oom_as_user_error(8):
        raise error
    assert caught.value is error


@pytest.mark.gpu
def test_a_gpus_own_words_are_understood():
    with (
        pytest.raises(UserError, match=r"batch_size 8: [\d.]+ GiB could not be had"),
        oom_as_user_error(8),
    ):
        torch.empty(10**13, device="cuda:0")
