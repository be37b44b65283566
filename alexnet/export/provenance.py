"""The provenance of a model: revision, digests and versions.

It has no time, no path and no host name, so that exporting the same weights again gives
the same bytes.
"""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import alexnet
from alexnet.errors import UserError
from alexnet.files import sha256

PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxscript", "pillow", "torch")
# Set from outside: the project's revision where there is no git, the container image, and the
# address of the workflow that builds.
REVISION = "ALEXNET_REVISION"
IMAGE_DIGEST = "ALEXNET_IMAGE_DIGEST"
LOCK_DIGEST = "ALEXNET_LOCK_DIGEST"
BUILDER = "ALEXNET_BUILDER"


def provenance(folder: Path, digests: Mapping[str, str | None]) -> dict[str, Any]:
    """Revision of the project in `folder`, versions, container image, and `digests` (SHA-256).

    An unknown value is None. Raises UserError for an environment variable with a value of
    the wrong form.
    """
    revision, dirty = _git_revision(folder)
    if revision is None:
        revision, dirty = _revision_from_environment()
    return {
        "revision": revision,
        "dirty": dirty,
        "container_image": _variable(IMAGE_DIGEST, "sha256:[0-9a-f]{64}", "sha256:<64 digits>"),
        "builder": _variable(BUILDER, r"https://[!-~]{1,500}", "the address of a workflow"),
        "sha256": dict(digests),
        "versions": {
            "alexnet": alexnet.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }


def installed_lock(lock: Path) -> str | None:
    """The SHA-256 of the lock file that pinned the installed packages.

    In a container that of its image, else that of `lock`; None if `lock` does not exist.
    Raises UserError as `provenance` does.
    """
    digest_of_image = _variable(LOCK_DIGEST, "[0-9a-f]{64}", "the SHA-256 of train.lock")
    return digest_of_image or (sha256(lock) if lock.exists() else None)


def _revision_from_environment() -> tuple[str | None, bool | None]:
    value = _variable(
        REVISION,
        "[0-9a-f]{7,64}(-dirty)?",
        "what `git describe --always --abbrev=40 --dirty` prints",
    )
    if value is None:
        return None, None
    return value.removesuffix("-dirty"), value.endswith("-dirty")


def _variable(name: str, pattern: str, expected: str) -> str | None:
    value = os.environ.get(name, "")
    if value and not re.fullmatch(pattern, value):
        raise UserError(f"the environment's {name} is {value!r}; it should be {expected}")
    return value or None


def _git_revision(folder: Path) -> tuple[str | None, bool | None]:
    """The commit checked out in `folder`, and whether the working tree differs from it.

    dvc.lock is left out: the run itself writes it. Untracked files count among the code alone.
    """
    revision = _git(folder, "rev-parse", "--verify", "HEAD")
    changed = _git(
        *(folder, "status", "--porcelain", "--untracked-files=no"),
        *("--", ":(top)", ":(top,exclude,glob)**/dvc.lock"),
    )
    added = _git(
        *(folder, "ls-files", "--others", "--exclude-standard"),
        *("--", ":(top)alexnet", ":(top)stages"),
    )
    if revision is None or changed is None or added is None:
        return None, None
    return revision, bool(changed or added)


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of git; None without git, a repository or a commit."""
    try:
        result = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
