"""Where the numbers are computed, and in which precision."""

from contextlib import AbstractContextManager, nullcontext

import torch

from alexnet.errors import UserError


def choose_device(wanted: str) -> torch.device:
    """`auto` takes a GPU if there is one, else the CPU; `cpu` and `cuda` are held to.

    Raises UserError if cuda is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UserError(
            "device: cuda is asked for, but PyTorch finds no CUDA GPU here; "
            "set it to auto or cpu, or check the driver with nvidia-smi"
        )
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def describe_device(device: torch.device) -> str:
    """The device as a person would name it."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)"


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """The type in which convolutions and products are computed.

    `auto` takes bfloat16 where the processor has instructions for it. Weights,
    their updates and the loss stay float32 either way.
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


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """The context in which the forward pass computes in `precision`."""
    if precision == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=precision)
