"""Which NVIDIA GPUs of the machine a container can be given."""

import os
from pathlib import Path

CONTROL = Path("/dev/nvidiactl")  # there once NVIDIA's driver is loaded and has made its files
WSL = (Path("/dev/dxg"), Path("/usr/lib/wsl/lib/libcuda.so.1"))  # the driver is that of Windows
PCI = Path("/sys/bus/pci/devices")
NVIDIA, DISPLAY = "0x10de", "0x03"  # a PCI vendor; a class of devices, by its first byte
CHOICE = "CUDA_VISIBLE_DEVICES"


def has_gpus() -> bool:
    """Whether there is a loaded driver, and CUDA_VISIBLE_DEVICES does not rule all GPUs out."""
    return wants_gpus() and (CONTROL.exists() or all(path.exists() for path in WSL))


def wants_gpus() -> bool:
    """Not with CUDA_VISIBLE_DEVICES= and -1, for which CUDA shows none."""
    return os.environ.get(CHOICE, "0").split(",")[0].strip() not in ("", "-1")


def gpu_options(engine: str) -> list[str]:
    """The options that give a container the GPUs.

    All of them: CUDA_VISIBLE_DEVICES passes into the container, where CUDA chooses as it does on
    the host. An engine's own choice may be another for the same value: it counts by the bus, CUDA
    may begin with the fastest, and a CDI specification need not know UUIDs, nor WSL's numbers.
    Both at once would count twice, the second time among those that are left.
    """
    if not has_gpus():
        return []
    return ["--gpus=all"] if engine == "docker" else ["--device=nvidia.com/gpu=all"]


def unloaded_gpu() -> str:
    """The PCI address of an NVIDIA GPU that waits for its driver; empty if there is none.

    On the host CUDA loads the driver when it starts; a container cannot. A GPU that another driver
    has taken (nouveau, vfio-pci) is not meant for CUDA.
    """
    if not wants_gpus() or CONTROL.exists() or not PCI.is_dir():
        return ""
    for device in sorted(PCI.iterdir()):
        kind = [_read(device / name) for name in ("vendor", "class")]
        driver = os.path.basename(os.path.realpath(device / "driver"))
        if kind[0] == NVIDIA and kind[1].startswith(DISPLAY) and driver in ("driver", "nvidia"):
            return device.name
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def toolkit_advice(engine: str) -> str:
    """What an engine needs for GPUs, and how to do without them."""
    generate = "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
    configure = (
        "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
    )
    command = configure if engine == "docker" else generate
    again = "" if engine == "docker" else ", again after each change of the driver"
    return (
        f"for GPUs, {engine} needs NVIDIA's Container Toolkit, `{command}`{again}, and a driver as "
        f"new as the image's CUDA wants it; with {CHOICE}= (empty) the container gets none"
    )
