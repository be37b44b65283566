"""Where a model comes from: facts that are the same wherever and whenever it is exported.

No time, no path and no name of a machine: the same weights exported twice are the same
bytes.
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
# What the outside knows: of the project where there is no git, and of the container.
REVISION = "ALEXNET_REVISION"
IMAGE_DIGEST = "ALEXNET_IMAGE_DIGEST"
LOCK_DIGEST = "ALEXNET_LOCK_DIGEST"


def provenance(folder: Path, digests: Mapping[str, str | None]) -> dict[str, Any]:
    """Revision of the project in `folder`, versions, container image, and `digests` (SHA-256).

    What is not known is null. Raises UserError for an environment variable that is set
    to something else than it should say.
    """
    revision, dirty = _git_revision(folder)
    if revision is None:
        revision, dirty = _given_revision()
    return {
        "revision": revision,
        "dirty": dirty,
        "container_image": _variable(IMAGE_DIGEST, "sha256:[0-9a-f]{64}", "sha256:<64 digits>"),
        "sha256": dict(digests),
        "versions": {
            "alexnet": alexnet.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }


def installed_lock(lock: Path) -> str | None:
    """The SHA-256 of what the installed packages were pinned by: in a container the image's.

    None if `lock`, which holds outside of one, does not exist. Raises UserError as above.
    """
    built_from = _variable(LOCK_DIGEST, "[0-9a-f]{64}", "the SHA-256 of requirements.lock")
    return built_from or (sha256(lock) if lock.exists() else None)


def _given_revision() -> tuple[str | None, bool | None]:
    given = _variable(
        REVISION, "[0-9a-f]{7,64}(-dirty)?", "what `git describe --always --abbrev=40 --dirty` says"
    )
    if given is None:
        return None, None
    return given.removesuffix("-dirty"), given.endswith("-dirty")


def _variable(name: str, pattern: str, should_be: str) -> str | None:
    value = os.environ.get(name, "")
    if value and not re.fullmatch(pattern, value):
        raise UserError(f"the environment's {name} is {value!r}; it should be {should_be}")
    return value or None


def _git_revision(folder: Path) -> tuple[str | None, bool | None]:
    """The commit that is checked out around `folder`, and whether something differs from it.

    dvc.lock does not count: the run itself writes it. Of files that git does not know
    only those among the code do.
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
    """What git prints; None without git, a repository or a commit."""
    try:
        result = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
