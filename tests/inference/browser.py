"""The page of deploy/browser with an artifact, served on this machine and used in Chromium."""

import base64
import functools
import json
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from alexnet.export.bundle import write_manifest
from alexnet.inference.predictor import MODEL_FILENAMES
from tests.artifacts import LAX, export_small
from tests.conftest import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PAGE = ROOT / "deploy" / "browser"
NEEDS = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian's package chromium)"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm (Debian's package npm)"),
]


class Handler(SimpleHTTPRequestHandler):
    """Sends the large files in pieces, and those of /slow without their length."""

    def log_message(self, *arguments):
        pass

    def translate_path(self, path):
        return super().translate_path(path.replace("/slow", "", 1))

    def send_header(self, name, value):
        if not (name == "Content-Length" and "/slow" in self.path):
            super().send_header(name, value)

    def copyfile(self, source, outputfile):
        while piece := source.read(1 << 16):
            outputfile.write(piece)
            time.sleep(0.02 if "/slow" in self.path else 0)


class Site:
    """A copy of the page with its locked packages, and a small artifact beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.page = folder / "deploy" / "browser"
        self.artifact = folder / "artifacts"
        shutil.copytree(PAGE, self.page, ignore=shutil.ignore_patterns("node_modules"))
        command = ["npm", "ci", "--ignore-scripts"]
        done = subprocess.run(command, cwd=self.page, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        export_small(self.artifact, precisions=list(MODEL_FILENAMES), **LAX)

    @contextmanager
    def serve(self):
        serve = functools.partial(Handler, directory=self.folder)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        yield self
        self.server.shutdown()
        self.server.server_close()

    def use(self, *steps, query="", host="127.0.0.1", args=()):
        """Perform (action, value) steps on the page; its state after each and at the end.

        Also the addresses that it requested, and the messages in the console.
        """
        url = f"http://{host}:{self.server.server_port}/deploy/browser/{query}"
        todo = [{"action": action, "value": value} for action, value in steps]
        done = subprocess.run(
            ["node", "check.js", str(CHROMIUM)],
            cwd=self.page,
            input=json.dumps({"url": url, "steps": todo, "args": list(args)}),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        output = json.loads(done.stdout)
        return output["results"], output["requests"], output["messages"]

    def expected(self, precision="fp32", artifact="artifacts"):
        name = "expected.json" if precision == "fp32" else f"expected.{precision}.json"
        return json.loads((self.folder / artifact / "samples" / name).read_text())

    def copy(self, name: str) -> Path:
        """A copy of the artifact under another name, whose files the test changes."""
        return Path(shutil.copytree(self.artifact, self.folder / name))


def seal(folder: Path, **changes: object) -> None:
    """Write the manifest anew, with changes of it and the digests of the files as they are now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]
    (folder / "manifest.json").unlink()
    (folder / "SHA256SUMS").unlink()
    write_manifest(folder, manifest | changes)


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def assert_shows(shown, row, tolerance=1e-5):
    """The page shows the expected output of a sample."""
    assert shown["state"] == "ready", shown["message"]
    assert shown["visible"]
    assert shown["best"].startswith(row["label"])
    best = sorted(row["probabilities"].items(), key=lambda item: -item[1])[:5]
    predictions = [(line["label"], line["probability"]) for line in shown["predictions"]]
    assert [label for label, _ in predictions] == [label for label, _ in best]
    for (_, probability), (_, expected) in zip(predictions, best, strict=True):
        assert probability == pytest.approx(expected, abs=tolerance)
