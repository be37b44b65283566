"""The variables of the environment that pass into a container, and the files that they name.

They pass by name, so that no secret stands in a command line, which every user can read. No library
is imported.
"""

import os
from collections.abc import Collection, Iterator

from stages.runtime.mounts import COMPILED, PROJECT, Mount, mounted, revision

# How a stage computes, and what the exported artifact states of its origin.
STAGE = (
    *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING"),
    *("CUBLAS_WORKSPACE_CONFIG", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "TORCH_LOGS"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NCCL_DEBUG"),
    *("ALEXNET_BUILDER", "ALEXNET_REVISION"),
)
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")  # and in capitals
CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE")
# Where DVC itself runs, by the scheme of its remotes: what begins so.
REMOTES = {"s3": ("AWS_",), "ssh": ("SSH_AUTH_SOCK", "USER", "LOGNAME")}
FILES = (
    *CERTIFICATES,
    *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "SSH_AUTH_SOCK",
)


def passed_names(network: bool, schemes: Collection[str] = ()) -> list[str]:
    """Those that are set here. schemes: of the remotes that DVC may ask in the container."""
    names = {*STAGE}
    if network:
        names |= {*PROXIES, *map(str.upper, PROXIES), *CERTIFICATES}
    prefixes = tuple(prefix for scheme in schemes for prefix in REMOTES.get(scheme, ()))
    names |= {name for name in os.environ if name.startswith(prefixes)}
    return sorted(names & os.environ.keys())


def named_files(names: Collection[str]) -> Iterator[Mount]:
    """The files that the values of these variables name, each at its own path."""
    for name in sorted({*FILES} & {*names}):
        if os.environ[name]:
            yield from mounted(os.environ[name])


def fixed_variables() -> list[str]:
    """NAME=value of what a container sets itself."""
    # The container's own cache, in memory, ends with it: each training would compile anew.
    caches = {"TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton"}
    variables = [f"{name}={PROJECT / COMPILED / folder}" for name, folder in caches.items()]
    # Otherwise the image would state its own.
    if "ALEXNET_REVISION" not in os.environ and (known := revision()):
        variables.append(f"ALEXNET_REVISION={known}")
    return variables
