"""What a server tells of itself, what it does not start with, and how it ends."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec

from alexnet.errors import UserError
from alexnet.inference import Predictor
from alexnet.inference.verification import verify
from alexnet.serving.server import _listen, load_verified
from tests.conftest import ROOT
from tests.inference.test_signature import write_keys
from tests.photos import PHOTO
from tests.serving.servers import BATCHES, Slow, encode, error_of, metrics_of, post, serving


def test_the_metrics(artifact):
    with serving(artifact) as server:
        photo = encode(PHOTO.crop((0, 0, 99, 99)))
        odd = "/y%0aGET%20/forged%20200" + 100 * "z"
        for path in ("/predict", "/predict", "/x", f"{odd}?z", "/v2/models/z/infer"):
            post(server, photo, path)
        post(server, b"")
        found = metrics_of(server)
    requests_total = {k[23:]: v for k, v in found.items() if k.startswith("alexnet_requests_total")}
    assert requests_total == {
        "/predict 200": 2,
        "/predict 422": 1,
        "other 404": 2,
        "/v2/models/{name}/infer 404": 1,
    }
    assert [found[name] for name in BATCHES] == [2, 2]
    assert found["alexnet_request_seconds_count /predict"] == 3
    assert found["alexnet_requests_in_progress"] == 0
    digest = verify(artifact).manifest_sha256
    (model,) = [name for name in found if name.startswith("alexnet_model_info")]
    assert set(model.split()[1:]) == {"cifar", "fp32", digest}
    # One line a request; those that probes send are left out.
    lines = [line.rsplit(" ", 2)[0] for line in server.log.splitlines()[1:-1]]
    assert lines == [
        *["POST /predict 200"] * 2,
        "POST /x 404",
        f"POST /y\\u000aGET /forged 200{77 * 'z'}... 404",
        *("POST /v2/models/z/infer 404", "POST /predict 422"),
    ]


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/redoc", "/openapi.json", "/metrics/..%2f", "/../pyproject.toml"]
)
def test_nothing_else_is_served(server, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=9)
    connection.request("GET", path)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())) == (404, {"error": "Not Found"})
    connection.close()


@pytest.fixture
def refused(run):
    """Returns the error of a server that does not start."""

    def refused(*arguments):
        done = run("serve", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr
        return done.stderr

    return refused


def test_a_folder_that_is_not_verified_is_not_served(artifact, tmp_path, refused):
    copy = shutil.copytree(artifact, tmp_path / "copy")
    with (copy / "model.onnx").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    assert "model.onnx: has SHA-256" in refused(copy)
    assert "is not a folder" in refused(tmp_path / "none")
    assert "has the precisions fp32, not int8" in refused(artifact, "--precision", "int8")
    assert "--signature: say whose it is" in refused(artifact, "--signature", "x")


def test_without_its_packages_it_says_which_extra_it_needs(artifact, tmp_path):
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError(name='uvicorn')")
    done = subprocess.run(
        [sys.executable, "-m", "alexnet.cli.main", "serve", artifact],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: the server needs uvicorn; install the package with its extra: "
        "pip install '.[serve]'\n"
    )


def test_a_signature_is_checked_with_a_key(artifact, tmp_path, refused):
    pytest.importorskip("model_signing", reason="needs the extra: pip install '.[sign]'")
    place = shutil.copytree(artifact, tmp_path / "artifacts").parent
    for name in ("sender", "other"):
        write_keys(place, name, ec.generate_private_key(ec.SECP256R1()))
    assert ".sig does not exist" in refused(place / "artifacts", "--key", place / "sender.pub")
    command = Path(sys.executable).with_name("model_signing")
    options = ["--private_key", "sender.pem", "--signature", "artifacts.sig"]
    subprocess.run([command, "sign", "key", "artifacts", *options], cwd=place, check=True)
    message = refused(place / "artifacts", "--key", place / "other.pub")
    assert "artifacts is not as the private key of " in message
    with serving(place / "artifacts", "--key", place / "sender.pub") as server:
        assert "artifacts is verified, with its signature; cifar in fp32 on http://" in server.log


def test_the_bytes_that_were_verified_are_those_that_run(artifact, tmp_path):
    """A file that is exchanged between the check and the loading is found."""
    for name, message in [
        ("model.onnx", r"model.onnx does not have the SHA-256"),
        ("manifest.json", r"manifest.json was changed while it was verified"),
    ]:
        copy = tmp_path / name.partition(".")[0]
        shutil.copytree(artifact, copy)
        result = verify(copy)
        content = (copy / name).read_bytes()
        assert load_verified(copy, "fp32", result, 1, 10**6).classes == Predictor(copy).classes
        (copy / name).write_bytes(content + b"\n")
        with pytest.raises(UserError, match=message):
            load_verified(copy, "fp32", result, 1, 10**6)


def test_an_address_that_is_not_to_be_had(artifact, server, refused):
    message = refused(artifact, "--port", server.port)
    assert f"127.0.0.1, port {server.port}: Address already in use; choose others" in message
    assert "no.such.host.invalid, port 8080: " in refused(
        artifact, "--host", "no.such.host.invalid"
    )
    assert "--host is empty; give an address" in refused(artifact, "--host", "")


SLOW = [pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGINT, signal.SIGHUP)]


@pytest.mark.parametrize("number", [signal.SIGTERM, *SLOW])
def test_a_signal_ends_it_once_all_is_answered(artifact, number):
    """A request in the middle, a connection that has not asked yet, and one that comes too late."""
    photo = encode(PHOTO)
    with serving(artifact) as server:
        slow = Slow(server, photo)
        waiting = socket.create_connection(("127.0.0.1", server.port))
        session = requests.Session()
        session.get(f"{server.url}/v2/health/ready", timeout=9)
        time.sleep(0.2)
        server.process.send_signal(number)
        time.sleep(0.2)
        answer = session.get(f"{server.url}/v2/health/ready", timeout=9)
        assert error_of(answer, 503) == "the server is stopping"
        assert answer.headers["connection"] == "close"
        waiting.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert waiting.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
        waiting.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=9)
        assert server.process.poll() is None
        status, headers, _ = slow.finish()
        assert (status, headers["connection"]) == (200, "close")
        slow.connection.close()
        session.close()
        while server.process.poll() is None:  # a second one changes nothing, whenever it comes
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.001)
        log = server.wait()
    assert server.process.returncode == 0
    assert log.splitlines()[-1] == f"stopped by {number.name}"


def test_an_answer_does_not_wait_for_acknowledgements():
    """Header and body are two packets: by Nagle's algorithm the second waits up to 40 ms."""
    listener = _listen("127.0.0.1", 0)
    with listener, socket.create_connection(listener.getsockname()), listener.accept()[0] as end:
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
