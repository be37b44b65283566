"""What train has recorded of the weights that it started from, and how texts name it."""

from pathlib import Path

from alexnet.errors import UserError
from alexnet.files import read_record
from alexnet.network.parent import ParentNetwork
from alexnet.training.warm_start import WarmStart

RETRAIN = "run the stage train again"
NAMES = {  # of a parent, by its kind: with an article, and as an owner
    "imagenet": ("ImageNet's weights", "ImageNet's"),
    "weights": ("the weights of another training", "the parent's"),
    "artifact": ("an exported model", "the parent's"),
}
FROZEN = {  # by train.freeze
    "none": "none",
    "features": "the convolutions",
    "all_but_last": "all but fc3",
}


def require_parent(parent: ParentNetwork | None, start: WarmStart) -> ParentNetwork:
    """The parent. Raises UserError if it is not the one that the training has started from."""
    if parent is None or parent.parent != start.parent:
        raise UserError(f"the training has started from other weights than the parent's; {RETRAIN}")
    return parent


def read_warm_start(path: Path) -> WarmStart | None:
    """None: it started from nothing. Raises UserError if the file is missing or damaged."""
    return read_record(path, WarmStart | None, RETRAIN)  # type: ignore[arg-type]
