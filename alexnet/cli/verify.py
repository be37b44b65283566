"""verify: check an exported artifact's signature, its files, and then its model."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli import signatures
from alexnet.cli.options import given_path
from alexnet.escape import for_terminal

logger = logging.getLogger(__name__)


def verify(
    folder: Annotated[Path, typer.Argument(help="The exported artifact.", parser=given_path)],
    key: signatures.Key = None,
    identity: signatures.Identity = None,
    identity_provider: signatures.IdentityProvider = None,
    trust_config: signatures.TrustConfig = None,
    signature: signatures.Signature = None,
    timeout: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=86_400,
            metavar="SECONDS",
            help="Of processor time for each model.",
            show_default="3, and 1 for each 5 MB",
        ),
    ] = None,
) -> None:
    """Verify an exported artifact: its signature, every file, its models. Needs no PyTorch."""
    check = signatures.check_of(folder, key, identity, identity_provider, trust_config, signature)

    from alexnet.inference.verification import verify

    result = verify(folder, check, timeout)
    signed = f"it is signed by {check.signer}, " if check else ""
    differences = ", ".join(f"{name} {value:.1e}" for name, value in result.max_difference.items())
    logger.info(
        f"{for_terminal(str(folder))} is verified: {signed}{result.num_files} files match the "
        f"manifest, its models match it and reproduce {result.num_samples} samples (largest "
        f"difference of a probability: {differences})\n"
        f"variant {result.variant}, SHA-256 of the manifest {result.manifest_sha256}"
    )
    if not check:
        logger.info(f"its sender is not verified: {_unchecked(folder)}")


def _unchecked(folder: Path) -> str:
    place = folder.resolve()
    names = [f"{place.name}.sig", f"{place.name}.sigstore.json"]
    beside = [name for name in names if place.with_name(name).exists()]
    if beside:
        return f"{' and '.join(beside)} beside it was not checked; do so with --key or --identity"
    return "no signature lies beside it, and its digests prove that it is intact, not who made it"
