"""pretrained: the weights to start from, verified."""

import logging
from typing import TYPE_CHECKING

from alexnet import config
from alexnet.errors import UserError
from stages import paths
from stages.command import run
from stages.params import load
from stages.paths import PARAMS, ParamsFile
from stages.runtime.revision import place_of, split_revision

if TYPE_CHECKING:
    from alexnet.network.parent import ParentNetwork

logger = logging.getLogger("stages.pretrained")


def pretrained(params: ParamsFile = PARAMS) -> None:
    """Fetch and check the weights that model.start_from names; none: a file without any."""
    values = load(params)

    from alexnet.files import check_writable
    from alexnet.network.parent import require_fit, save_parent

    check_writable(paths.PRETRAINED.parent)  # before the work, not after it
    before = _digest_before()
    # No earlier weights pass for those of a stage that fails; its record says which they were.
    paths.PRETRAINED.unlink(missing_ok=True)
    network = _read(values.model)
    if network:
        fits = values.model.variant, values.data.channels, values.crop_size
        require_fit(network.metadata, *fits)
    save_parent(paths.PRETRAINED, paths.PRETRAINED_RECORD, network)
    if network:
        parent = network.parent
        logger.info(f"{paths.PRETRAINED}: of {parent.kind}, SHA-256 {parent.sha256}")
        if before not in (None, parent.sha256):
            logger.warning(
                f"the weights to start from are others than before (SHA-256 {before}); training "
                "starts anew from these"
            )


def _digest_before() -> str | None:
    """Of the weights that the last run of this stage has read, if any."""
    from alexnet.network.parent import read_parent_record

    try:
        record = read_parent_record(paths.PRETRAINED_RECORD)
    except UserError:  # missing or damaged: it is written anew
        return None
    return record.parent.sha256 if record else None


def _read(values: config.Model) -> "ParentNetwork | None":
    from alexnet.pretrained.origin import read_parent
    from alexnet.pretrained.published import read_imagenet

    if values.start_from is None:
        return None
    if values.start_from == "imagenet":
        return read_imagenet(values.start_source, paths.PRETRAINED.parent / ".partial")
    if split_revision(values.start_from) is None:
        return read_parent(values.start_from)
    place = place_of(values.start_from)
    if not place.exists():
        raise UserError(
            f"model.start_from: {values.start_from} is no path that exists; if it is "
            "REVISION:FILE, run `dvc repro pretrained`, which fetches it before this stage"
        )
    return read_parent(values.start_from, place)


if __name__ == "__main__":
    run(pretrained)
