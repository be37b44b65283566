"""The options of the tools that check a signature, and the check that they ask for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.errors import UserError

if TYPE_CHECKING:  # the command line starts without onnxruntime
    from alexnet.inference.signature import SignatureCheck

Key = Annotated[
    Path | None, typer.Option(help="The sender's public key (PEM), to check the signature.")
]
Identity = Annotated[
    str | None, typer.Option(help="The sender's identity, where the signature has no key.")
]
IdentityProvider = Annotated[
    str | None, typer.Option(help="The address of the provider of that identity.")
]
TrustConfig = Annotated[
    Path | None, typer.Option(help="Other roots of trust for it than Sigstore's.")
]
Signature = Annotated[
    Path | None,
    typer.Option(
        help="Written by `model_signing sign`.",
        show_default="FOLDER.sig, of an identity FOLDER.sigstore.json",
    ),
]


def check_of(
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
