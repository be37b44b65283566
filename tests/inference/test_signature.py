"""A signature tells whose a folder is: nobody else's key, and no other file, will do."""

import base64
import json
import shutil

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from alexnet.errors import UserError

pytest.importorskip("model_signing", reason="needs the extra: pip install '.[sign]'")

from alexnet.inference.signature import check, sign, signature_of
from tests.handing import small_handoff


def write_keys(folder, name, key):
    """(private, public) as PEM files."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """A signed folder, and the keys of its sender and of somebody else."""
    place = tmp_path_factory.mktemp("sent")
    for name in ("sender", "other"):
        write_keys(place, name, ec.generate_private_key(ec.SECP256R1()))
    small_handoff(place / "artifacts")
    sign(place / "artifacts", place / "sender.pem", place / "artifacts.sig")
    return place


@pytest.fixture
def place(sent, tmp_path):
    return shutil.copytree(sent, tmp_path / "place")


def test_the_receiver_checks_it_under_any_name(place):
    (place / "artifacts").rename(place / "received")
    check(place / "received", place / "sender.pub", place / "artifacts.sig")


def test_the_signature_is_one_by_plain_arithmetic(place):
    """Checked without the library that made it: ECDSA over the envelope's own encoding."""
    envelope = json.loads((place / "artifacts.sig").read_text())["dsseEnvelope"]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    (signature,) = envelope["signatures"]
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    key = serialization.load_pem_public_key((place / "sender.pub").read_bytes())
    raw = base64.b64decode(signature["sig"])
    try:
        key.verify(raw, signed, ec.ECDSA(hashes.SHA256()))
    except Exception:  # encoded twice by the library
        key.verify(base64.b64decode(raw), signed, ec.ECDSA(hashes.SHA256()))
    files = [path for path in (place / "artifacts").rglob("*") if path.is_file()]
    assert len(json.loads(payload)["predicate"]["resources"]) == len(files)


def test_somebody_elses_key(place):
    with pytest.raises(UserError, match=r"artifacts.sig"):
        check(place / "artifacts", place / "other.pub", place / "artifacts.sig")


def test_somebody_elses_signature_under_the_senders_name(place):
    """Resigned after a change, with the sender's key named in it."""
    (place / "artifacts" / "labels.json").write_text("[]")
    sign(place / "artifacts", place / "other.pem", place / "forged.sig")
    forged = json.loads((place / "forged.sig").read_text())
    genuine = json.loads((place / "artifacts.sig").read_text())
    forged["verificationMaterial"] = genuine["verificationMaterial"]
    (place / "forged.sig").write_text(json.dumps(forged))
    with pytest.raises(UserError, match=r"was not made with the key"):
        check(place / "artifacts", place / "sender.pub", place / "forged.sig")


@pytest.mark.parametrize("change", ["flipped", "missing", "added"])
def test_another_folder(place, change):
    labels = place / "artifacts" / "labels.json"
    if change == "flipped":
        labels.write_bytes(labels.read_bytes().replace(b"one", b"two"))
    elif change == "missing":
        labels.unlink()
    else:
        labels.with_name("more.json").write_text("{}")
    with pytest.raises(UserError, match=r"(labels|more)\.json"):
        check(place / "artifacts", place / "sender.pub", place / "artifacts.sig")


@pytest.mark.parametrize("content", ["", "{}", "no signature"])
def test_what_is_no_signature(place, content):
    (place / "artifacts.sig").write_text(content)
    with pytest.raises(UserError, match=r"is not as .*artifacts.sig says"):
        check(place / "artifacts", place / "sender.pub", place / "artifacts.sig")


def test_what_is_no_key(place):
    write_keys(place, "rsa", rsa.generate_private_key(65537, 2048))
    (place / "text.pem").write_text("no key")
    for name in ("rsa.pem", "text.pem", "sender.pub"):
        with pytest.raises(UserError, match=rf"{name} is not a private key"):
            sign(place / "artifacts", place / name, place / "new.sig")
    for name in ("rsa.pub", "text.pem", "sender.pem"):
        with pytest.raises(UserError, match=rf"{name} is not a public key"):
            check(place / "artifacts", place / name, place / "artifacts.sig")
    assert not (place / "new.sig").exists()


def test_the_commands(place, run):
    folder = place / "artifacts"
    (place / "artifacts.sig").unlink()
    unsigned = run("verify", folder, "--key", place / "sender.pub")
    assert unsigned.returncode == 1
    assert "artifacts.sig does not exist" in unsigned.stderr
    signed = run("sign", folder, "--key", place / "sender.pem")
    assert signed.returncode == 0, signed.stderr
    assert signature_of(folder).is_file()
    verified = run("verify", folder, "--key", place / "sender.pub")
    assert verified.returncode == 0, verified.stderr
    assert "signed with the private key of" in verified.stdout
    inside = run("sign", folder, "--key", place / "sender.pem", "--signature", folder / "a.sig")
    assert inside.returncode == 1
    assert "lies in the folder that it signs" in inside.stderr
    (folder / "labels.json").write_text("[]")
    damaged = run("sign", folder, "--key", place / "sender.pem")
    assert damaged.returncode == 1
    assert "labels.json" in damaged.stderr
    for result in (unsigned, inside, damaged):
        assert result.stderr.startswith("error: ")
        assert "Traceback" not in result.stderr
