"""The lines of docs/artifact.md that publish an artifact, run against a local registry."""

import filecmp
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import venv
from pathlib import Path

import pytest

from tests.artifacts import export_small
from tests.conftest import ROOT

REGISTRY = shutil.which("docker-registry")
CONFIG = """version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(REGISTRY is None, reason="needs a registry (Debian's docker-registry)"),
]


def documented(language: str, word: str) -> str:
    """The block of the page with a word in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/artifact.md").read_text(), re.S)
    (block,) = [block for block in blocks if word in block]
    return str(block)


@pytest.fixture(scope="module")
def oras(tmp_path_factory):
    """A Python with the package that the page names."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    (package,) = set(re.findall(r"`pip install (oras)`", (ROOT / "docs/artifact.md").read_text()))
    command = [folder / "bin/pip", "install", "--quiet", package]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the package oras, which cannot be installed here")
    return folder / "bin/python"


@pytest.fixture
def registry(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "config.yml"
    config.write_text(CONFIG.format(folder=tmp_path / "store", port=port))
    server = subprocess.Popen([REGISTRY, "serve", config], stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"localhost:{port}"
    server.terminate()
    server.wait()


def files_in(folder: Path) -> list[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(map(str, paths))


def test_what_a_registry_returns_is_what_was_signed(run, tmp_path, oras, registry):
    """Made, signed, pushed, pulled and verified by the lines of the page."""
    sender = tmp_path / "sender"
    export_small(sender / "artifacts")
    scripts = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for line in documented("bash", "sign key artifacts").splitlines():
        if line.startswith(("openssl", "model_signing")):
            subprocess.run(line, shell=True, cwd=sender, check=True, env=scripts)
    lines = documented("python", "OrasClient").replace("localhost:5000", registry)
    subprocess.run([oras, "-c", lines], cwd=sender, check=True)
    received = sender / "received"
    names = files_in(sender / "artifacts")
    assert files_in(received) == sorted(["artifacts.sig", *(f"artifacts/{name}" for name in names)])
    _, differing, failed = filecmp.cmpfiles(
        sender / "artifacts", received / "artifacts", names, shallow=False
    )
    assert differing == failed == []
    key = str(sender / "key.pub")
    result = run("verify", str(received / "artifacts"), "--key", key)
    assert result.returncode == 0, result.stderr


def test_a_registry_writes_nothing_outside_the_folder(tmp_path, oras, registry):
    """An archive with a link that leads out of it, and a file behind the link."""
    outside = tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(tmp_path / "artifacts.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("artifacts")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("artifacts/model.onnx"))
    lines = documented("python", "OrasClient").replace("localhost:5000", registry)
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    lines = re.sub(r"files=\[.*\]", f"files=['artifacts.tar.gz:{kind}']", lines)
    done = subprocess.run([oras, "-c", lines], cwd=tmp_path, capture_output=True, text=True)
    assert "AbsoluteLinkError" in done.stderr
    assert list(outside.iterdir()) == []
