"""verify: check an exported artifact against its manifest, samples and signature."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from alexnet.errors import UserError

logger = logging.getLogger(__name__)


def verify(
    folder: Annotated[Path, typer.Argument(help="The exported artifact.")],
    key: Annotated[
        Path | None, typer.Option(help="The sender's public key (PEM), to check the signature.")
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(help="Written by `model_signing sign key`.", show_default="FOLDER.sig"),
    ] = None,
) -> None:
    """Verify every file of an exported artifact and its model's outputs. Needs no PyTorch."""
    from alexnet.inference.verification import verify

    if signature and not key:
        raise UserError("--signature: give the sender's public key, too (--key)")
    result = verify(folder)
    differences = ", ".join(f"{name} {value:.1e}" for name, value in result.max_difference.items())
    logger.info(
        f"{folder} is verified: {result.num_files} files match the manifest, the model matches its "
        f"metadata, {result.num_samples} samples reproduce (largest difference of a probability: "
        f"{differences})\n"
        f"variant {result.variant}, SHA-256 of the manifest {result.manifest_sha256}"
    )
    if key:
        from alexnet.inference.signature import signature_path, verify_signature

        verify_signature(folder, key, signature or signature_path(folder))
        logger.info(f"signature verified: made with the private key of {key}")
