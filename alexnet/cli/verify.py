"""verify: hold a folder that was handed over to its manifest, and its model to its samples."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.errors import UserError


def verify(
    folder: Annotated[Path, typer.Argument(help="The folder that was handed over.")],
    key: Annotated[
        Path | None, typer.Option(help="The sender's public key, to check who it is from.")
    ] = None,
    signature: Annotated[
        Path | None, typer.Option(help="Of `alexnet sign`.", show_default="FOLDER.sig")
    ] = None,
) -> None:
    """Say whether a folder is whole and its model does what it says. Needs no PyTorch."""
    from alexnet.inference.verification import verify

    if signature and not key:
        raise UserError("--signature: give the sender's public key, too (--key)")
    proof = verify(folder)
    differences = ", ".join(f"{name} {value:.1e}" for name, value in proof.max_difference.items())
    print(
        f"{folder} is whole: {proof.num_files} files as listed, model and manifest agree, "
        f"{proof.num_samples} samples reproduce (largest difference of a probability: "
        f"{differences})\n"
        f"variant {proof.variant}, SHA-256 of the manifest {proof.manifest_sha256}"
    )
    if key:
        from alexnet.inference import signature as signing

        signing.check(folder, key, signature or signing.signature_of(folder))
        print(f"signed with the private key of {key}")
