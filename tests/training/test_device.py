"""The device, the precision and the memory of a run."""

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
    nondeterminism_as_user_error,
    oom_as_user_error,
    resolve_device,
    resolve_dtype,
)
from tests.conftest import ROOT
from tests.runs import CPU


@pytest.mark.parametrize(
    ("name", "has_gpu", "device"),
    [("cpu", True, "cpu"), ("auto", True, "cuda"), ("auto", False, "cpu")],
)
def test_auto_is_a_gpu_if_there_is_one(monkeypatch, name, has_gpu, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert resolve_device(name).type == device


def test_cuda_without_a_gpu_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="cuda is asked for"):
        resolve_device("cuda")


@pytest.mark.parametrize("local_rank", [0, 3])
def test_each_process_of_a_machine_has_its_own_gpu(monkeypatch, local_rank):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", str(local_rank))
    assert resolve_device("auto") == torch.device(f"cuda:{local_rank}")
    monkeypatch.delenv("LOCAL_RANK")
    assert resolve_device("cuda") == torch.device("cuda:0")


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_is_bf16_where_the_processor_has_it(monkeypatch, native, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    assert resolve_dtype("auto", CPU) == dtype
    assert resolve_dtype("fp32", CPU) == torch.float32


def test_bf16_without_hardware_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    with pytest.raises(UserError, match=r"train.precision: bf16 is asked for"):
        resolve_dtype("bf16", CPU)


def test_a_gpus_emulated_bf16_does_not_count(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **kinds: calls.append(kinds))
    assert resolve_dtype("auto", torch.device("cuda:0")) == torch.float32
    assert calls == [{"including_emulation": False}]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_autocast_computes_in_the_precision(dtype):
    device_config = DeviceConfig(CPU, dtype)
    a = torch.ones(2, 2)
    with device_config.autocast():
        assert (a @ a).dtype == dtype
    name = str(dtype).removeprefix("torch.")
    assert str(device_config) == f"cpu ({torch.get_num_threads()} threads), {name}"


def test_deterministic_kernels_are_switched_on_and_off(monkeypatch):
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


def test_the_users_workspace_is_kept(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    make_deterministic(False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


# In a process of its own: there is no way back to PyTorch's defaults.
PRECISION = """
import sys
import torch
from alexnet.training.device import configure_torch
assert torch.backends.cudnn.conv.fp32_precision == "tf32"
configure_torch()
for part in torch.backends.cudnn.conv, torch.backends.cuda.matmul:
    assert part.fp32_precision == "ieee", part
# PyTorch reads its older switches itself, and raises where the two kinds contradict.
assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
assert torch.get_float32_matmul_precision() == "highest"
with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
    assert torch.backends.cudnn.conv.fp32_precision != "tf32"
assert torch.backends.cudnn.conv.fp32_precision != "tf32"
assert torch.are_deterministic_algorithms_enabled()
assert "torch._inductor" not in sys.modules, "the compiler takes seconds to import"
"""


@pytest.mark.slow
def test_float32_is_full_precision_on_a_gpu():
    command = [sys.executable, "-W", "error", "-c", PRECISION]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_an_operation_without_a_deterministic_form_is_a_users_error():
    """One that has none on a CPU either."""
    x = torch.zeros(4)
    message = r"train\.deterministic: put_ has no deterministic form .*; set it to false"
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(UserError, match=message), nondeterminism_as_user_error():
            x.put_(torch.tensor([0]), torch.ones(1), accumulate=False)
    finally:
        torch.use_deterministic_algorithms(False)
    with pytest.raises(RuntimeError, match="not divisible"), nondeterminism_as_user_error():
        raise RuntimeError("not divisible")


# Memory

# Without huge pages (prctl 41 is PR_SET_THP_DISABLE), of which a tensor may get any number:
# each new tensor of 64 MiB is then 16,384 page faults.
FAULTS = """
import ctypes, resource, torch
from alexnet.training.device import disable_malloc_trim

def faults_of_ten_tensors():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        assert torch.ones(16 << 20).sum() == 16 << 20
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)
before = faults_of_ten_tensors()
disable_malloc_trim()
faults_of_ten_tensors()
print(before, faults_of_ten_tensors())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_reused_without_page_faults():
    """Of ten tensors one or two may still be new: a small object can split the freed block."""
    command = [sys.executable, "-c", FAULTS]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    before, after = map(int, done.stdout.split())
    assert after < before / 2


def test_running_out_of_memory_on_the_cpu_is_a_users_error():
    """With the message of PyTorch's own allocator: no machine has 4 petabytes."""
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
def test_running_out_of_a_gpus_memory_is_a_users_error(text, needed):
    message = f"out of memory with train.batch_size 8: {needed}"
    with pytest.raises(UserError, match=message) as error, oom_as_user_error(8):
        raise torch.OutOfMemoryError(text)
    assert error.value.__suppress_context__, "without PyTorch's page of figures"


@pytest.mark.gpu
def test_the_message_of_a_real_gpu_is_parsed():
    message = r"batch_size 8: [\d.]+ GiB could not be had"
    with pytest.raises(UserError, match=message), oom_as_user_error(8):
        torch.empty(10**13, device="cuda:0")


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), KeyError("x"), UserError("y")])
def test_other_errors_are_unchanged(error):
    with pytest.raises(type(error)) as caught, oom_as_user_error(8):
        raise error
    assert caught.value is error
