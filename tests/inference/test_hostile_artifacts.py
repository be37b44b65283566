"""Each hostile folder ends in one message and a non-zero exit, and none is run before trusted."""

import re
import shutil
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing

import alexnet.cli.main
import alexnet.inference.signature  # noqa: F401 (here, for all the forks)
from alexnet.errors import UserError
from alexnet.escape import message_for_terminal
from alexnet.inference import model_check, verification
from tests.inference import hostile_manifests, hostile_models, hostile_samples  # noqa: F401
from tests.inference.hostile import KINDS
from tests.inference.keys import write_keys
from tests.names import unsafe_in


@pytest.fixture(scope="module")
def signed(tmp_path_factory, artifact):
    """An artifact beside its signature, and one that leaves out the samples; and two keys."""
    place = tmp_path_factory.mktemp("signed")
    folder = shutil.copytree(artifact, place / "artifacts")
    for name in ("sender", "other"):
        write_keys(place, name, ec.generate_private_key(ec.SECP256R1()))
    for name, ignored in (("artifacts.sig", []), ("part.sig", [folder / "samples"])):
        hashed = hashing.Config().set_ignored_paths(paths=ignored)
        config = signing.Config().use_elliptic_key_signer(private_key=place / "sender.pem")
        config.set_hashing_config(hashed).sign(folder, place / name)
    return place


def test_the_honest_folder_is_verified(place, run):
    result = run("verify", "artifacts", "--key=sender.pub")
    assert result.returncode == 0, result.stderr
    assert "artifacts is verified: it is signed by the private key of sender.pub" in result.stdout
    assert not run("verify", "artifacts").stderr


@pytest.fixture
def place(signed, tmp_path, monkeypatch):
    shutil.copytree(signed, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_it_is_refused(kind, place, run, monkeypatch):
    """By the command if it has options or shows the limits, else quicker in this process."""
    trace, limited = place / "opened", verification.run_limited

    def run_traced(module, arguments, *limits):
        trace.touch()
        if kind.limited:
            return limited(module, arguments, *limits)
        return model_check.check_model(*arguments)

    monkeypatch.setattr(verification, "run_limited", run_traced)
    kind.make(place / "artifacts")
    monkeypatch.chdir(place)
    start = time.monotonic()
    if kind.options or kind.limited:
        result = run("verify", "artifacts", *kind.options)
        assert (result.returncode, result.stdout) == (1, "")
        message = result.stderr
    else:
        with pytest.raises(UserError) as caught:
            verification.verify(Path("artifacts"))
        message = f"error: {message_for_terminal(str(caught.value))}\n"
    assert time.monotonic() - start < 10
    assert message.startswith("error: ")
    assert re.search(kind.words, message), message
    assert "Traceback" not in message
    assert len(message) < 3000
    assert not unsafe_in(message)
    assert trace.exists() == kind.opened


def test_there_are_many_kinds():
    assert len(KINDS) >= 60
