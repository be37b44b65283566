"""A server as its user starts it: a process of its own, on a port of the loopback interface."""

import http.client
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import ROOT


class Server:
    """`url`, `port` and `process` of a server that runs, and `log` once it has ended."""

    def __init__(self, folder: Path, *options: object) -> None:
        command = [sys.executable, "-m", "alexnet.cli.main", "serve", folder, "--port", 0, *options]
        self.process = subprocess.Popen(
            [*map(str, command)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.log = ""
        while not (found := re.search(r" on (http://127\.0\.0\.1:(\d+))\n$", self.log)):
            line = self.process.stdout.readline()
            assert line, self.log
            self.log += line
        self.url, self.port = found[1], int(found[2])

    def wait(self) -> str:
        """The log of a process that ends."""
        self.log += self.process.communicate(timeout=60)[0]
        return self.log


@contextmanager
def serving(folder: Path, *options: object) -> Iterator[Server]:
    server = Server(folder, *options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
            server.wait()
        assert "Traceback" not in server.log, server.log


def post(
    server: Server, body: Any = None, path: str = "/predict", **options: Any
) -> requests.Response:
    return requests.post(server.url + path, body, timeout=60, **options)


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def error_of(answer: requests.Response, status: int) -> str:
    """The message of an answer that is JSON, and has nothing else."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    (message,) = answer.json().values()
    assert list(answer.json()) == ["error"]
    assert "Traceback" not in message
    return str(message)


class Slow:
    """A request whose body is sent up to its middle."""

    def __init__(self, server: Server, body: bytes, path: str = "/predict") -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self.connection.putrequest("POST", path)
        self.connection.putheader("Content-Length", str(len(body)))
        self.connection.endheaders(body[: len(body) // 2])
        self.rest = body[len(body) // 2 :]

    def __enter__(self) -> "Slow":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def finish(self) -> tuple[int, Any, Any]:
        self.connection.send(self.rest)
        return self.answer()

    def answer(self) -> tuple[int, Any, Any]:
        response = self.connection.getresponse()
        return response.status, response.headers, json.loads(response.read())


def metrics_of(server: Server) -> dict[str, float]:
    """{name or name and labels: value}."""
    answer = requests.get(f"{server.url}/metrics", timeout=9)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


# Of images in one run of the network, and of runs.
BATCHES = ("alexnet_batch_images_sum", "alexnet_batch_images_count")
