"""Who made a folder: a signature that its receiver can check with the sender's public key.

The digests in the folder prove that it is whole, not whose it is: whoever changes a file
can change them too. The signature (a Sigstore bundle, by the model-signing library, over
the digest of every file) stands beside the folder, in which a further file has no place.
"""

from pathlib import Path

from alexnet.errors import UserError

try:
    from cryptography.exceptions import InvalidSignature
    from model_signing import signing, verifying
except ModuleNotFoundError as error:
    raise UserError(
        f"signatures need {error.name}; install the package with its extra: pip install '.[sign]'"
    ) from None


def signature_of(folder: Path) -> Path:
    """Where a folder's signature is, if nothing else is said."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}.sig")


def sign(folder: Path, private_key: Path, signature: Path) -> None:
    """Sign every file in `folder` with an elliptic-curve key (PEM, not encrypted).

    Raises UserError for a file that is no such key, and for a signature in the folder itself.
    """
    if signature.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{signature} lies in the folder that it signs; put it elsewhere")
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=private_key)
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"{private_key} is not a private key on an elliptic curve, in PEM, without a "
            f"password ({error})"
        ) from None
    config.sign(folder, signature)


def check(folder: Path, public_key: Path, signature: Path) -> None:
    """Raises UserError if the folder is not as the owner of `public_key` signed it."""
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
        raise UserError(f"{signature} was not made with the key that {public_key} is of") from None
    except Exception as error:  # of a damaged signature, whatever its parser stumbles over
        raise UserError(f"{folder} is not as {signature} says: {error}") from None
