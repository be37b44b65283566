"""NVIDIA's driver: why PyTorch finds no GPU although it is loaded."""

import os
import re
from pathlib import Path

import torch

VERSION = Path("/proc/driver/nvidia/version")  # of the loaded driver; also seen in a container
# By the major version of CUDA that PyTorch was built for: table 1 of NVIDIA's "CUDA Compatibility",
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
MINIMUM = {11: "450", 12: "525", 13: "580"}


def explain_missing_gpu() -> str:
    """Why a loaded driver has no GPU for PyTorch; empty without one, or if none is wanted.

    None is with CUDA_VISIBLE_DEVICES= and -1.
    """
    driver = loaded_driver()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    if not driver or chosen.split(",")[0].strip() in ("", "-1"):
        return ""
    if torch.version.cuda is None:
        return f"this PyTorch was built without CUDA, although NVIDIA's driver {driver} is loaded"
    minimum = MINIMUM.get(int(torch.version.cuda.partition(".")[0]))
    if minimum and int(driver.partition(".")[0]) < int(minimum):
        return (
            f"NVIDIA's driver {driver} is too old: PyTorch was built for CUDA "
            f"{torch.version.cuda}, which needs {minimum} or newer; update it"
        )
    return (
        f"PyTorch (for CUDA {torch.version.cuda}) finds no GPU here, although NVIDIA's driver "
        f"{driver} is loaded; check nvidia-smi and CUDA_VISIBLE_DEVICES, and that a container was "
        "given the GPUs"
    )


def loaded_driver() -> str:
    """Its version, as 580.65.06; empty if none is loaded."""
    text = VERSION.read_text() if VERSION.exists() else ""
    found = re.search(r"\b\d{3,}\.\d+(\.\d+)*\b", text)
    return found[0] if found else ""
