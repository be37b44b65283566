"""The device and number format that training computes in, and its settings of the process."""

import ctypes
import functools
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from alexnet.errors import UserError
from alexnet.training.driver import explain_missing_gpu

# glibc's malloc.h: none by mmap; given back at the end of the heap: never; asked for at once
M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD = -4, -1, -2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeviceConfig:
    """The device, the dtype of convolutions and products, and whether the step is compiled."""

    device: torch.device
    dtype: torch.dtype
    compiles: bool = False

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which a forward pass computes in `dtype`."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def __str__(self) -> str:
        return f"{describe_device(self.device)}, {str(self.dtype).removeprefix('torch.')}"


def resolve_device(wanted: str) -> torch.device:
    """`auto` is a GPU if there is one, else the CPU; `cpu` and `cuda` are what they say.

    Raises UserError for `cuda` without a GPU. `auto` warns if it is the CPU only because
    NVIDIA's driver is of no use.
    """
    # torchrun gives the processes of a host a local rank; each has the GPU of that number.
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if wanted == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device(f"cuda:{local_rank}")
    reason = explain_missing_gpu()
    if wanted == "cuda":
        raise UserError(
            f"device: cuda is asked for, but "
            f"{reason or 'PyTorch finds no CUDA GPU here; check the driver with nvidia-smi'}, "
            "or set it to auto or cpu"
        )
    if reason and local_rank == 0:
        _warn_once(f"the CPU is used, which is far slower: {reason}")
    return torch.device("cpu")


@functools.cache
def _warn_once(message: str) -> None:
    logger.warning(message)


def default_generator(device: torch.device) -> torch.Generator:
    """The generator that random operations on the device read, such as dropout."""
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index]
    return torch.default_generator


def run_concurrently(
    tasks: Sequence[Callable[[], None]], streams: Sequence[torch.cuda.Stream]
) -> None:
    """Run tasks that do not depend on each other; on a GPU each but the last in its own stream.

    What the current stream does next waits for all of them. Without streams (on a CPU) one follows
    the other.
    """
    if not streams:
        for task in tasks:
            task()
        return
    *others, last = tasks
    current = torch.cuda.current_stream()
    for task, stream in zip(others, streams, strict=True):
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            task()
    last()
    for stream in streams:
        current.wait_stream(stream)


def describe_device(device: torch.device) -> str:
    """The device as people name it: cuda (NVIDIA H100), cpu (2 threads)."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)"


def resolve_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """The dtype of convolutions and products: wanted is `auto`, `bf16` or `fp32`.

    `auto` is bfloat16 where the processor has instructions for it. Weights, updates and the
    loss stay float32 either way. Raises UserError for `bf16` without such instructions.
    """
    if wanted == "fp32":
        return torch.float32
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu.get_capabilities().get("avx512_bf16", False)
    if wanted == "bf16" and not native:
        raise UserError(
            f"train.precision: bf16 is asked for, but {describe_device(device)} has no "
            "instructions for it; set it to auto or fp32"
        )
    return torch.bfloat16 if native else torch.float32


def configure_torch(deterministic: bool = True) -> None:
    """Settings of the process, made before the first tensor: kernels, precision and memory.

    Every stage and tool that computes with a network calls it (a test looks for one that forgets).
    """
    make_deterministic(deterministic)
    use_full_precision()
    disable_malloc_trim()


def use_full_precision() -> None:
    """Have a GPU compute what is float32 in float32.

    By default cuDNN rounds a convolution's inputs to TF32, which has 10 bits of mantissa.
    """
    # The older of PyTorch's two switches comes first: where the newer one alone is set, PyTorch
    # raises where it reads the older one itself (`torch.backends.cudnn.flags`, Inductor).
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    # The compiler of torch 2.11 advises TF32.
    warnings.filterwarnings("ignore", "TensorFloat32 tensor cores")


def make_deterministic(wanted: bool) -> None:
    """Use only kernels that give the same bytes every time."""
    # Read by cuBLAS when it starts: a workspace of its own for each stream.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # As `use_deterministic_algorithms`, which also imports the compiler: seconds in each command.
    torch.set_deterministic_debug_mode("error" if wanted else "default")
    # Memory that nothing has written yet need not be filled: nothing here reads it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def disable_malloc_trim() -> None:
    """Have glibc's malloc keep freed memory for the next tensor; elsewhere do nothing.

    Otherwise each large tensor is new memory, which the kernel clears page by page: a tenth of
    a training step on a CPU. The values computed are the same.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option, value in (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 64 << 20):
            libc.mallopt(option, value)


@contextmanager
def oom_as_user_error(batch_size: int) -> Iterator[None]:
    """Turn PyTorch's out-of-memory errors into a UserError: how much was wanted, what to do."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError):
            needed = re.search(r"Tried to allocate ([\d.]+ \w+)", text)
        elif "can't allocate memory" in text:
            needed = re.search(r"you tried to allocate (\d+ bytes)", text)
        else:
            raise
        raise UserError(
            f"out of memory with train.batch_size {batch_size}: "
            f"{needed[1] if needed else 'more'} could not be had at once; lower "
            "train.batch_size, or set train.data_location to host"
        ) from None


@contextmanager
def nondeterminism_as_user_error() -> Iterator[None]:
    """Turn PyTorch's error for an operation without a deterministic form into a UserError."""
    try:
        yield
    except RuntimeError as error:
        found = re.match(r"(\S+) does not have a deterministic implementation", str(error))
        if not found:
            raise
        raise UserError(
            f"train.deterministic: {found[1]} has no deterministic form on this device; set it to "
            "false, or replace the layer (alexnet/network/layers.py has two that have one)"
        ) from None
