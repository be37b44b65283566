"""dvc.lock as DVC has written it, to be changed: all keys, in their order."""

from typing import Any

from ruamel.yaml import YAML

from alexnet.files import atomic_write
from stages.runtime.dvc_files import LOCK


def read_lock() -> Any:
    """The content of dvc.lock."""
    return YAML().load(LOCK)


def write_lock(content: Any) -> None:
    with atomic_write(LOCK) as temporary:
        YAML().dump(content, temporary)
