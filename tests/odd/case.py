"""One odd input: how to make it, and what should become of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet.data.download import download
from alexnet.data.preprocess import preprocess
from alexnet.errors import UserError
from tests.data.making import make_config

Changes = dict[str, Any]  # of the section `data` of params.yaml


@dataclass(frozen=True)
class Case:
    """An input, and a pattern (`re.search`) for its outcome.

    make: writes the input into an empty folder.
    outcome: of what `make` returned; by default that of the stages download and preprocess.
    """

    name: str
    make: Callable[[Path], Any]
    expected: str
    outcome: Callable[[Path, Any], str] | None = None

    def run(self, folder: Path) -> str:
        """What happened, in a line: a result, or `error: ` and the message for the user."""
        try:
            return (self.outcome or preprocessed)(folder, self.make(folder))
        except UserError as error:
            return f"error: {error}"
        except Exception as error:  # a traceback is what no user should see
            return f"TRACEBACK {type(error).__name__}: {error}"

    def is_as_expected(self, outcome: str) -> bool:
        return re.search(self.expected, outcome) is not None


def preprocessed(folder: Path, changes: Changes) -> str:
    """The classes and the number of images, after download and preprocess."""
    data = make_config(**changes)
    download(data, folder / "raw")
    meta = preprocess(data, folder / "raw", folder / "processed", num_workers=1)
    number = sum(meta.num_images(split) for split in meta.counts)
    return f"{number} images of {', '.join(meta.classes)}"
