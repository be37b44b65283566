"""A run's parameters as text."""

import json
from collections.abc import Mapping
from typing import Any

from alexnet.nested import dotted_keys


def flatten(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Nested parameters as sections of dotted keys; those outside any section come under ""."""
    sections: dict[str, dict[str, str]] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            sections[key] = {name: format_value(leaf) for name, leaf in dotted_keys(value)}
        else:
            sections.setdefault("", {})[key] = format_value(value)
    return sections


def format_value(value: Any) -> str:
    """A value as params.yaml spells it: null, true, 0.05, ["a", "b"], and text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
