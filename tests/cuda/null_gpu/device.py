"""What a program on the null GPU imports first: convolutions as stubs, and counters.

cuDNN has no stub: what stands in for it is PyTorch's convolution, a tensor of the right shape.
"""

import ctypes
import os
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_runtime = ctypes.CDLL(os.environ["LD_PRELOAD"].split(":")[0])
NAMES = ("launches", "replays", "syncs", "mallocs", "pinned_mallocs", "copies", "used_bytes")
_counters = (ctypes.c_long * len(NAMES)).in_dll(_runtime, "null_gpu_counters")


def counters() -> dict[str, int]:
    """How often each was asked of the runtime so far."""
    return dict(zip(NAMES, _counters, strict=True))


@dataclass
class Graph:
    """A captured graph: its operations in order, from how many streams, and its replays."""

    replays: int
    num_streams: int
    operations: list[str] = field(default_factory=list)


@dataclass
class Record:
    """What has run so far: `kernels` by name, `graphs` in the order of their captures.

    `violations`: what a GPU would refuse, or what a graph would silently leave out.
    """

    kernels: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    graphs: list[Graph] = field(default_factory=list)


def record() -> Record:
    found = Record()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "record")
        _runtime.null_gpu_write(str(path).encode())
        for line in path.read_text().splitlines():
            kind, number, text = line.split(" ", 2)
            if kind == "kernel":
                found.kernels[text] = int(number)
            elif kind == "violation":
                found.violations.append(text)
            elif kind == "graph":
                found.graphs.append(Graph(int(number), int(text)))
            else:
                found.graphs[-1].operations.append(text)
    return found


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    *_: object,  # dilation (1), transposed (no), output padding; groups change no shape
) -> Tensor:
    height, width = (
        (x.shape[i] + 2 * padding[i - 2] - weight.shape[i]) // stride[i - 2] + 1 for i in (2, 3)
    )
    _runtime.null_gpu_launch(b"cudnn convolution")
    last = any(
        tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()
        for tensor in (x, weight)
    )
    return torch.empty(
        (len(x), len(weight), height, width),
        device=x.device,
        dtype=x.dtype,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )


def _convolution_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: list[int] | None,
    *settings: Any,  # those of the convolution, and which of the gradients are wanted
) -> tuple[Tensor | None, ...]:
    mask: list[bool] = settings[-1]
    kernels = (b"cudnn input gradient", b"cudnn weight gradient", b"bias gradient")
    for wanted, name in zip(mask, kernels, strict=True):
        if wanted:
            _runtime.null_gpu_launch(name)
    bias = gradient.new_empty(bias_sizes or [0])
    results = (torch.empty_like(x), torch.empty_like(weight), bias)
    return tuple(result if wanted else None for wanted, result in zip(mask, results, strict=True))


_library = torch.library.Library("aten", "IMPL")
with warnings.catch_warnings():  # of the override
    warnings.simplefilter("ignore")
    _library.impl("convolution", _convolution, "CUDA", allow_override=True)
    _library.impl("convolution_backward", _convolution_backward, "CUDA", allow_override=True)
