"""verify: check an exported artifact's signature, its files, and then its model."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.errors import UserError
from alexnet.escape import for_terminal

if TYPE_CHECKING:  # the command line starts without onnxruntime
    from alexnet.inference.signature import SignatureCheck

logger = logging.getLogger(__name__)


def verify(
    folder: Annotated[Path, typer.Argument(help="The exported artifact.")],
    key: Annotated[
        Path | None, typer.Option(help="The sender's public key (PEM), to check the signature.")
    ] = None,
    identity: Annotated[
        str | None, typer.Option(help="The sender's identity, where the signature has no key.")
    ] = None,
    identity_provider: Annotated[
        str | None, typer.Option(help="The address of the provider of that identity.")
    ] = None,
    trust_config: Annotated[
        Path | None, typer.Option(help="Other roots of trust for it than Sigstore's.")
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(
            help="Written by `model_signing sign`.",
            show_default="FOLDER.sig, of an identity FOLDER.sigstore.json",
        ),
    ] = None,
    timeout: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="Of processor time for each model.",
            show_default="3, and 1 for each 5 MB",
        ),
    ] = None,
) -> None:
    """Verify an exported artifact: its signature, every file, its models. Needs no PyTorch."""
    check = signature_check(folder, key, identity, identity_provider, trust_config, signature)

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


def signature_check(
    folder: Path,
    key: Path | None,
    identity: str | None,
    provider: str | None,
    trust_config: Path | None,
    signature: Path | None,
) -> "SignatureCheck | None":
    """The check that these options ask for, if any. Raises UserError unless it can be made."""
    keyless = (identity, provider, trust_config) != (None, None, None)
    if key is None and not keyless:
        if signature:
            raise UserError("--signature: say whose it is, too (--key or --identity)")
        return None
    if key and keyless:
        raise UserError("--key and --identity: give one of them; each has a signature of its own")
    if keyless and not (identity and provider):  # an empty one is no identity
        raise UserError("--identity and --identity-provider: give both of them")

    from alexnet.inference.signature import by_identity, by_key, signature_path

    file = signature or signature_path(folder, keyless)
    if key:
        return by_key(key, file)
    return by_identity(identity or "", provider or "", file, trust_config)


def _unchecked(folder: Path) -> str:
    place = folder.resolve()
    names = [f"{place.name}.sig", f"{place.name}.sigstore.json"]
    beside = [name for name in names if place.with_name(name).exists()]
    if beside:
        return f"{' and '.join(beside)} beside it was not checked; do so with --key or --identity"
    return "no signature lies beside it, and its digests prove that it is intact, not who made it"
