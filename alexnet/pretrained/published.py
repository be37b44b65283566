"""torchvision's weights of ImageNet: their file, and what it becomes here.

They are `AlexNet_Weights.IMAGENET1K_V1`, of 1.28 million photographs in 1000 classes. torchvision
is needed by tests alone, which compare each constant with its own (tests/pretrained).
"""

import logging
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexnet.data.locate import local_path
from alexnet.data.transfer import check_url, discard_partial, fetch, is_url, partial_path
from alexnet.errors import UserError
from alexnet.files import sha256
from alexnet.network.parent import Parent, ParentNetwork
from alexnet.network.weights import ModelMetadata, build
from alexnet.scratch import locked_folder

ADDRESS = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
NUM_BYTES = 244_408_911
SHA256 = "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
# The names of ImageNet's classes are nowhere needed: no row of this fc3 is used again.
METADATA = ModelMetadata(
    "one-weird-trick",
    tuple(f"ImageNet class {number}" for number in range(1000)),
    image_size=224,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
LAYERS = {
    **{"features.0": "conv1", "features.3": "conv2", "features.6": "conv3", "features.8": "conv4"},
    **{"features.10": "conv5", "classifier.1": "fc1", "classifier.4": "fc2", "classifier.6": "fc3"},
}
# torchvision's names, and ours.
NAMES = {f"{old}.{kind}": f"{LAYERS[old]}.{kind}" for old in LAYERS for kind in ("weight", "bias")}
KEY = "model.start_source"

log = logging.getLogger(__name__)


def read_imagenet(source: str | None, partials: Path) -> ParentNetwork:
    """The network with the published weights. source: a URL or a path; None: torchvision's.

    A partial download is kept in the folder `partials`, and the next call resumes it. Raises
    UserError if the file cannot be had, is another one, or does not hold what it should.
    """
    origin = source or ADDRESS
    if not is_url(origin):
        path = local_path(origin)
        if not path.is_file():
            raise UserError(f"{KEY}: {path} does not exist, or is no file; name {ADDRESS}'s copy")
        return _read(path, origin)
    check_url(origin)
    with locked_folder(partials) as is_free:
        if not is_free:
            raise UserError(f"{origin}: another download uses {partials}; wait until it has ended")
        path = partial_path(origin, partials)
        fetch(origin, path, NUM_BYTES, key=KEY)
        try:
            network = _read(path, origin)
        except UserError:
            discard_partial(path)
            raise
        shutil.rmtree(partials, ignore_errors=True)
        return network


def _read(path: Path, origin: str) -> ParentNetwork:
    """Nothing opens the file before its size and its digest are the published ones."""
    if (num_bytes := path.stat().st_size) != NUM_BYTES:
        raise UserError(
            f"{origin} has {num_bytes:,} bytes, and the published file {NUM_BYTES:,}; "
            f"get it from {ADDRESS}"
        )
    if (digest := sha256(path)) != SHA256:
        raise UserError(
            f"{origin} has the SHA-256 {digest}, and the published file {SHA256}; get it "
            f"from {ADDRESS}"
        )
    model = build(METADATA, dropout=0.0)
    try:
        # weights_only: tensors and plain containers; whatever else a pickle asks for is an error.
        given = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except Exception as error:  # of many types, by what the file holds
        raise UserError(
            f"{origin} does not hold tensors alone ({type(error).__name__}); nothing in it was run"
        ) from None
    model.load_state_dict(_renamed(given, model.state_dict(), origin))
    log.info("%s: SHA-256 %s, as published", origin, SHA256)
    return ParentNetwork(Parent("imagenet", SHA256), model.eval(), METADATA)


def _renamed(given: Any, ours: dict[str, Tensor], origin: str) -> dict[str, Tensor]:
    """The tensors by our names. Raises UserError unless they are those of the network."""
    if not isinstance(given, dict) or given.keys() != NAMES.keys():
        raise UserError(f"{origin} does not hold the tensors of torchvision's alexnet")
    for name, value in given.items():
        shape = ours[NAMES[name]].shape
        if not isinstance(value, Tensor) or value.dtype != torch.float32 or value.shape != shape:
            raise UserError(f"{origin}: {name} should be float32 of the shape {tuple(shape)}")
        if not torch.isfinite(value).all():
            raise UserError(f"{origin}: {name} holds values that are not finite")
    return {NAMES[name]: value for name, value in given.items()}
