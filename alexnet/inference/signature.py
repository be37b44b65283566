"""The sender's signature of an exported artifact, checked before anything in it is trusted.

The digests in the folder prove that it is intact, not who made it: whoever changes a file can
change its digest too. A signature is a Sigstore bundle over the digest of every file, as
`model_signing sign` writes it (https://github.com/sigstore/model-transparency): with a private
key, or without one by an identity that Sigstore has certified at the time. It stands beside the
folder, because the manifest allows no further file in it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from alexnet.errors import UserError
from alexnet.escape import for_terminal
from alexnet.files import read_small_text, shorten

try:
    from cryptography.exceptions import InvalidSignature
    from model_signing import hashing, verifying
except ModuleNotFoundError as error:
    raise UserError(
        f"signatures need {error.name}; install the package with its extra: pip install '.[sign]'"
    ) from None

MAX_BYTES = 1 << 20  # of a key, a trust configuration, or a signature, which has 6,000


def signature_path(folder: Path, keyless: bool = False) -> Path:
    """The default path of a folder's signature, beside it: FOLDER.sig or FOLDER.sigstore.json."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}.{'sigstore.json' if keyless else 'sig'}")


class _EveryFile(hashing.Config):
    """How `model_signing sign` hashes a folder, without leaving a file out."""

    def __init__(self) -> None:
        super().__init__()
        self.set_ignored_paths(paths=[], ignore_git_paths=False)

    def add_ignored_paths(self, **_: Any) -> None:
        """The paths that the signature's maker left out are not left out here."""


@dataclass(frozen=True)
class SignatureCheck:
    """A signature, and who should have made it. Called with a folder, it checks every file in it.

    Both are known to be fit before anything of the folder is read.
    """

    file: Path
    signer: str  # in words
    config: verifying.Config

    def __call__(self, folder: Path) -> None:
        """Raises UserError if it is another's signature, or of other files than `folder` has."""
        self.config.set_hashing_config(_EveryFile())
        try:
            self.config.verify(folder.resolve(), self.file)
        except InvalidSignature:
            raise UserError(f"{self.file} was not made by {self.signer}") from None
        except Exception as error:  # of many types: another's, damaged, of other files
            reason = for_terminal(shorten(str(error), 500))
            raise UserError(
                f"{folder} is not as {self.signer} signed it in {self.file}: {reason}"
            ) from None


def by_key(public_key: Path, file: Path) -> SignatureCheck:
    """A signature made with the private key of `public_key` (PEM, on an elliptic curve).

    Raises UserError if one of the files is missing or is no such thing.
    """
    _read(public_key, "give the sender's public key")
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except (AttributeError, TypeError, ValueError):
        raise UserError(f"{public_key} is not a public key on an elliptic curve, in PEM") from None
    _require_signature(file)
    return SignatureCheck(file, f"the private key of {public_key}", config)


def by_identity(
    identity: str, provider: str, file: Path, trust_config: Path | None = None
) -> SignatureCheck:
    """A signature by an identity (an address) that a provider of identities vouched for.

    trust_config: the roots of trust, instead of Sigstore's own, which are fetched. Raises
    UserError if they cannot be, or a file is missing or is no such thing.
    """
    _require_signature(file)
    if trust_config:
        _read(trust_config, "give a trust configuration of Sigstore")
    try:
        config = verifying.Config().use_sigstore_verifier(
            identity=identity, oidc_issuer=provider, trust_config=trust_config
        )
    except Exception as error:  # of many types
        reason = shorten(str(error), 200)
        if trust_config:
            raise UserError(
                f"{trust_config} is not a trust configuration of Sigstore ({reason})"
            ) from None
        raise UserError(
            f"Sigstore's roots of trust cannot be fetched ({reason}); connect to the network, or "
            "give them in a file (--trust-config)"
        ) from None
    return SignatureCheck(file, f"{identity} (by {provider})", config)


def _require_signature(file: Path) -> None:
    """Raises UserError if it is no Sigstore bundle; whether it is a good one is not known yet."""
    text = _read(file, "ask the folder's sender for its signature")
    try:
        is_bundle = "dsseEnvelope" in from_json(text)
    except (TypeError, ValueError):
        is_bundle = False
    if not is_bundle:
        raise UserError(f"{file} is not a signature that `model_signing` has made")


def _read(file: Path, advice: str) -> str:
    if not file.is_file():
        raise UserError(f"{file} does not exist, or is not a file; {advice}")
    return read_small_text(file, MAX_BYTES)
