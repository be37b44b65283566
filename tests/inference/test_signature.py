"""A signature by `model_signing` proves who made a folder: no other key or file is accepted."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from alexnet.errors import UserError

pytest.importorskip("model_signing", reason="needs the extra: pip install '.[sign]'")

from model_signing import signing

from alexnet.inference.signature import signature_path, verify_signature


def write_keys(folder, name, key):
    """(private, public) as PEM files."""
    (folder / f"{name}.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / f"{name}.pub").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


@pytest.fixture(scope="module")
def signed(tmp_path_factory, artifact):
    """An artifact signed as the README shows, and the keys of its sender and of another person."""
    place = tmp_path_factory.mktemp("signed")
    for name in ("sender", "other"):
        write_keys(place, name, ec.generate_private_key(ec.SECP256R1()))
    shutil.copytree(artifact, place / "artifacts")
    command = Path(sys.executable).with_name("model_signing")
    options = ["--private_key", "sender.pem", "--signature", "artifacts.sig"]
    subprocess.run([command, "sign", "key", "artifacts", *options], cwd=place, check=True)
    return place


@pytest.fixture
def place(signed, tmp_path):
    return shutil.copytree(signed, tmp_path / "place")


def verify(place, folder="artifacts", key="sender.pub", signature="artifacts.sig"):
    verify_signature(place / folder, place / key, place / signature)


def test_it_holds_under_any_folder_name(place):
    (place / "artifacts").rename(place / "received")
    verify(place, folder="received")


def test_it_is_a_plain_ecdsa_signature(place):
    """Checked without the library that made it: ECDSA over the DSSE encoding."""
    envelope = json.loads((place / "artifacts.sig").read_text())["dsseEnvelope"]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    (signature,) = envelope["signatures"]
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    key = serialization.load_pem_public_key((place / "sender.pub").read_bytes())
    raw = base64.b64decode(signature["sig"])
    try:
        key.verify(raw, message, ec.ECDSA(hashes.SHA256()))
    except Exception:  # encoded twice by the library
        key.verify(base64.b64decode(raw), message, ec.ECDSA(hashes.SHA256()))
    files = [path for path in (place / "artifacts").rglob("*") if path.is_file()]
    assert len(json.loads(payload)["predicate"]["resources"]) == len(files)


def test_another_key(place):
    with pytest.raises(UserError, match=r"artifacts.sig"):
        verify(place, key="other.pub")


def test_another_signature_that_names_the_senders_key(place):
    """Signed again after a change, with the sender's key named in it."""
    (place / "artifacts" / "labels.json").write_text("[]")
    config = signing.Config().use_elliptic_key_signer(private_key=place / "other.pem")
    config.sign(place / "artifacts", place / "forged.sig")
    forged = json.loads((place / "forged.sig").read_text())
    genuine = json.loads((place / "artifacts.sig").read_text())
    forged["verificationMaterial"] = genuine["verificationMaterial"]
    (place / "forged.sig").write_text(json.dumps(forged))
    with pytest.raises(UserError, match=r"was not made with the private key of .*sender.pub"):
        verify(place, signature="forged.sig")


@pytest.mark.parametrize("change", ["changed", "missing", "added"])
def test_another_folder(place, change):
    labels = place / "artifacts" / "labels.json"
    if change == "changed":
        labels.write_bytes(labels.read_bytes().replace(b"one", b"two"))
    elif change == "missing":
        labels.unlink()
    else:
        labels.with_name("more.json").write_text("{}")
    with pytest.raises(UserError, match=r"(labels|more)\.json"):
        verify(place)


@pytest.mark.parametrize("content", ["", "{}", "no signature"])
def test_a_damaged_signature(place, content):
    (place / "artifacts.sig").write_text(content)
    with pytest.raises(UserError, match=r"artifacts does not match .*artifacts.sig"):
        verify(place)


@pytest.mark.parametrize("name", ["rsa.pub", "text.pem", "sender.pem"])
def test_a_file_that_is_no_public_key(place, name):
    write_keys(place, "rsa", rsa.generate_private_key(65537, 2048))
    (place / "text.pem").write_text("no key")
    with pytest.raises(UserError, match=rf"{name} is not a public key"):
        verify(place, key=name)


def test_the_command(place, run):
    folder = place / "artifacts"
    assert signature_path(folder) == place / "artifacts.sig"
    verified = run("verify", folder, "--key", place / "sender.pub")
    assert verified.returncode == 0, verified.stderr
    assert "signature verified: made with the private key of" in verified.stdout
    options = ("--signature", place / "artifacts.sig")
    for arguments, message in (
        (("--key", place / "other.pub"), "artifacts.sig"),
        (options, "--signature: give the sender's public key, too"),
        (("--key", place / "sender.pub", "--signature", "none.sig"), "none.sig does not exist"),
    ):
        result = run("verify", folder, *arguments)
        assert result.returncode == 1
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
        assert "Traceback" not in result.stderr
