"""A warm start: the initial weights of a network from those of another, its parent.

Every layer but fc3 takes the parent's weights. fc3 has a row for each class: that of a class which
the parent has, by its name, is the parent's; the others start anew (`model.start_fc3`: or all of
them). ImageNet's classes are its own, so that of its fc3 nothing is taken.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from alexnet.errors import UserError
from alexnet.files import abbreviate
from alexnet.network.model import AlexNet
from alexnet.network.parent import Parent, ParentNetwork, require_fit
from alexnet.network.weights import ModelMetadata


@dataclass(frozen=True)
class WarmStart:
    """The contents of reports/train/warm_start.json, if there is a parent.

    Classes by name: matched have the parent's rows of fc3, new ones start anew, dropped ones are
    the parent's alone (not listed where none was to be matched).
    """

    parent: Parent
    matched: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]
    freeze: str  # train.freeze

    @property
    def fresh_layers(self) -> frozenset[str]:
        """The layers that were not trained before, or not in every row."""
        return frozenset({"fc3"} if self.new else ())

    def describe(self) -> str:
        """In one line, for the log."""
        name = f"the weights {self.parent.sha256[:12]}"
        if self.parent.kind == "imagenet":
            name = "ImageNet's weights"
        if not self.matched:
            return f"starts from {name}; fc3 starts anew for {len(self.new)} classes"
        parts = [f"{len(self.matched)} of {len(self.matched) + len(self.new)} classes matched"]
        parts += [f"new: {abbreviate(self.new)}"] if self.new else []
        parts += [f"dropped: {abbreviate(self.dropped)}"] if self.dropped else []
        return f"starts from {name}; {'; '.join(parts)}"


@torch.no_grad()
def start_from(
    model: AlexNet,
    metadata: ModelMetadata,
    network: ParentNetwork,
    *,
    start_fc3: str,
    freeze: str,
) -> WarmStart:
    """Give `model` the parent's weights. start_fc3, freeze: of `model` and `train` in params.yaml.

    Raises UserError if the parent is of another variant, of other channels or of another image
    size, or if the classes are to be matched and none of its own is among the model's.
    """
    parent, theirs, their_metadata = network
    if not isinstance(getattr(model, "fc3", None), nn.Linear):
        raise UserError(
            f"model.start_from: the variant {metadata.variant} has no layer fc3; set it to null"
        )
    require_fit(their_metadata, metadata.variant, metadata.channels, metadata.image_size)
    fresh_weight, fresh_bias = model.fc3.weight.clone(), model.fc3.bias.clone()
    weights = theirs.state_dict()
    fc3_weight, fc3_bias = weights.pop("fc3.weight"), weights.pop("fc3.bias")
    matches = start_fc3 == "by_class" and parent.kind != "imagenet"
    rows = {name: row for row, name in enumerate(their_metadata.classes)} if matches else {}
    matched = tuple(name for name in metadata.classes if name in rows)
    if matches:
        _require_one_case(metadata.classes, rows)
    if matches and not matched:
        raise UserError(
            "model.start_from: none of its classes is one of this data set's. Its are "
            f"{abbreviate(their_metadata.classes)}; the data set's are "
            f"{abbreviate(metadata.classes)}. If they are to be new, set model.start_fc3 to anew"
        )
    for row, name in enumerate(metadata.classes):
        if name in rows:
            fresh_weight[row], fresh_bias[row] = fc3_weight[rows[name]], fc3_bias[rows[name]]
    model.load_state_dict(weights | {"fc3.weight": fresh_weight, "fc3.bias": fresh_bias})
    return WarmStart(
        parent,
        matched,
        tuple(name for name in metadata.classes if name not in rows),
        tuple(name for name in rows if name not in metadata.classes),
        freeze,
    )


def _require_one_case(classes: Iterable[str], theirs: Collection[str]) -> None:
    """Raises UserError if a class differs from one of the parent's in its case alone."""
    folded = {name.casefold(): name for name in theirs}
    pairs = [(name, folded.get(name.casefold())) for name in classes if name not in theirs]
    if found := [f"{own} (the parent's {other})" for own, other in pairs if other]:
        raise UserError(
            "model.start_from: classes differ from the parent's in upper and lower case alone: "
            f"{abbreviate(found)}; write them alike, or set model.start_fc3 to anew"
        )
