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

from alexnet.inference.signature import by_identity, by_key, signature_path
from tests.inference.keys import write_keys
from tests.inference.private_sigstore import PrivateSigstore


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
def place(signed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(signed, tmp_path, dirs_exist_ok=True)


def verify(place, folder="artifacts", key="sender.pub", signature="artifacts.sig"):
    by_key(place / key, place / signature)(place / folder)


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


def test_another_signature_that_names_the_senders_key(place):
    """Signed again after a change, with the sender's key named in it."""
    (place / "artifacts" / "labels.json").write_text("[]")
    config = signing.Config().use_elliptic_key_signer(private_key=place / "other.pem")
    config.sign(place / "artifacts", place / "forged.sig")
    forged = json.loads((place / "forged.sig").read_text())
    genuine = json.loads((place / "artifacts.sig").read_text())
    forged["verificationMaterial"] = genuine["verificationMaterial"]
    (place / "forged.sig").write_text(json.dumps(forged))
    with pytest.raises(UserError, match=r"was not made by the private key of .*sender.pub"):
        verify(place, signature="forged.sig")


@pytest.mark.parametrize("change", ["changed", "missing", "added", "ignored by git"])
def test_another_folder(place, change):
    labels = place / "artifacts" / "labels.json"
    if change == "changed":
        labels.write_bytes(labels.read_bytes().replace(b"one", b"two"))
    elif change == "missing":
        labels.unlink()
    else:
        labels.with_name("more.json" if change == "added" else ".gitignore").write_text("{}")
    with pytest.raises(UserError, match=r"(labels|more)\.json|\.gitignore"):
        verify(place)


@pytest.mark.parametrize("content", ["", "{}", "no signature"])
def test_a_damaged_signature(place, content):
    (place / "artifacts.sig").write_text(content)
    with pytest.raises(UserError, match=r"artifacts.sig is not a signature"):
        verify(place)


@pytest.mark.parametrize("name", ["rsa.pub", "text.pem", "sender.pem"])
def test_a_file_that_is_no_public_key(place, name):
    write_keys(place, "rsa", rsa.generate_private_key(65537, 2048))
    (place / "text.pem").write_text("no key")
    with pytest.raises(UserError, match=rf"{name} is not a public key"):
        verify(place, key=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--key=other.pub"], "not as the private key of other.pub signed it in"),
        (["--signature=artifacts.sig"], "say whose it is, too"),
        (["--key=sender.pub", "--signature=none.sig"], "none.sig does not exist"),
        (["--key=none.pub"], "none.pub does not exist"),
        (["--key=sender.pub", "--identity=a"], "--key and --identity: give one of them"),
        (["--identity=a"], "--identity and --identity-provider: give both of them"),
        (["--identity=", "--identity-provider="], "--identity and --identity-provider: give both"),
    ],
)
def test_wrong_options_are_told_before_anything_is_read(place, run, options, message):
    """Of the folder, which is not even one here; but for a key that fits the form."""
    if options != ["--key=other.pub"]:
        shutil.rmtree(place / "artifacts")
    result = run("verify", place / "artifacts", *options)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert message in result.stderr


def test_the_command(place, run):
    assert signature_path(place / "artifacts") == place / "artifacts.sig"
    verified = run("verify", place / "artifacts", "--key", place / "sender.pub")
    assert verified.returncode == 0, verified.stderr
    assert "artifacts is verified: it is signed by the private key of" in verified.stdout


IDENTITY = "https://github.com/owner/alexnet/.github/workflows/retrain.yml@refs/tags/v1"
PROVIDER = "https://token.actions.githubusercontent.com"


@pytest.fixture
def keyless(place):
    """The artifact, signed by a job through a Sigstore of the test's own."""
    sigstore = PrivateSigstore()
    (place / "trust.json").write_text(sigstore.trust_config())
    file = place / "artifacts.sigstore.json"
    sigstore.sign(place / "artifacts", file, IDENTITY, PROVIDER)
    return place


def test_a_signature_without_a_key(keyless, run):
    options = ["--identity", IDENTITY, "--identity-provider", PROVIDER]
    trust = ["--trust-config", "trust.json"]
    verified = run("verify", "artifacts", *options, *trust)
    assert verified.returncode == 0, verified.stderr
    assert f"it is signed by {IDENTITY} (by {PROVIDER})" in verified.stdout


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("identity", "SANs do not match"),
        ("provider", "OIDCIssuer does not match"),
        ("folder", "Hash mismatch for 'labels.json'"),
        ("authority", "certificate chain"),
        ("time", "certificate chain"),
        ("entry", "log entry"),
    ],
)
def test_a_signature_without_a_key_by_another(keyless, change, reason):
    identity, provider, file = IDENTITY, PROVIDER, keyless / "artifacts.sigstore.json"
    if change == "identity":
        identity = identity.replace("tags/v1", "heads/main")
    elif change == "provider":
        provider = "https://accounts.example.com"
    elif change == "folder":
        (keyless / "artifacts/labels.json").write_text("[]")
    elif change == "authority":
        (keyless / "trust.json").write_text(PrivateSigstore().trust_config())
    else:
        bundle = json.loads(file.read_text())
        (entry,) = bundle["verificationMaterial"]["tlogEntries"]
        entry |= {"integratedTime": "1"} if change == "time" else {"logIndex": "7"}
        file.write_text(json.dumps(bundle))
    check = by_identity(identity, provider, file, keyless / "trust.json")
    with pytest.raises(UserError, match=f"artifacts is not as .* signed it .*: .*{reason}"):
        check(keyless / "artifacts")


def test_without_a_network_sigstore_cannot_be_asked(keyless, run, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # where nobody listens
    result = run("verify", "artifacts", "--identity=a", "--identity-provider=https://b")
    assert result.returncode == 1
    assert "error: Sigstore's roots of trust cannot be fetched" in result.stderr
    assert "--trust-config" in result.stderr
    trust = ["--trust-config", "artifacts/labels.json"]
    result = run("verify", "artifacts", "--identity=a", "--identity-provider=https://b", *trust)
    assert "artifacts/labels.json is not a trust configuration" in result.stderr
