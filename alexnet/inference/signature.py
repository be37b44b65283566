"""The sender's signature of an exported artifact, checked with the sender's public key.

The digests in the folder prove that it is intact, not who made it: whoever changes a file
can change its digest too. The signature is a Sigstore bundle over the digest of every file,
as `model_signing sign key` writes it (https://github.com/sigstore/model-transparency). It
stands beside the folder, because the manifest allows no further file in it.
"""

from pathlib import Path

from alexnet.errors import UserError

try:
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying
except ModuleNotFoundError as error:
    raise UserError(
        f"signatures need {error.name}; install the package with its extra: pip install '.[sign]'"
    ) from None


def signature_path(folder: Path) -> Path:
    """The default path of a folder's signature: FOLDER.sig, beside it."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}.sig")


def verify_signature(folder: Path, public_key: Path, signature: Path) -> None:
    """Check every file in `folder` against a signature by the owner of `public_key` (PEM).

    Raises UserError if the signature is missing, damaged, made with another key or of other
    files, and if `public_key` is not a public key on an elliptic curve.
    """
    if not signature.is_file():
        raise UserError(f"{signature} does not exist; ask the folder's sender for its signature")
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"{public_key} is not a public key on an elliptic curve, in PEM ({error})"
        ) from None
    try:
        config.verify(folder, signature)
    except InvalidSignature:
        raise UserError(f"{signature} was not made with the private key of {public_key}") from None
    except Exception as error:  # of a damaged signature, whatever its parser stumbles over
        raise UserError(f"{folder} does not match {signature}: {error}") from None
