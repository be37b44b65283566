"""sign: say who made a folder that is handed over."""

from pathlib import Path
from typing import Annotated

import typer


def sign(
    folder: Annotated[Path, typer.Argument(help="The folder to hand over.")],
    key: Annotated[
        Path, typer.Option(help="Your private key: elliptic curve, PEM, without a password.")
    ],
    signature: Annotated[
        Path | None, typer.Option(help="Where it is written.", show_default="FOLDER.sig")
    ] = None,
) -> None:
    """Sign a folder that is whole. Its receiver checks it with `alexnet verify --key`."""
    from alexnet.inference.verification import verify

    verify(folder)

    from alexnet.inference import signature as signing

    signature = signature or signing.signature_of(folder)
    signing.sign(folder, key, signature)
    print(f"{signature} signs all files in {folder}")
