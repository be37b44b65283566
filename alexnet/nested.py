"""Mappings in mappings, such as the sections of params.yaml."""

from collections.abc import Iterator, Mapping
from typing import Any


def dotted_keys(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings by their path: train.epochs."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from dotted_keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
