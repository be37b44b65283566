"""The serving image's default command: `pytest -m container -n 0`, after `make image`."""

import json
import subprocess

import pytest

from tests.stages.projects import wait_until
from tests.test_container import IMAGES, LOCKED, podman
from tests.test_container import pytestmark as pytestmark


def test_the_serving_image_answers_requests_with_the_mounted_artifact(artifact):
    container = podman("run", "--detach", *LOCKED, f"--volume={artifact}:/project:ro", IMAGES[1])
    try:
        check = ["podman", "healthcheck", "run", container]
        wait_until(lambda: not subprocess.run(check, capture_output=True).returncode, "an answer")
        program = (
            "import urllib.request as u; body = open('samples/00.png', 'rb').read()\n"
            "print(u.urlopen(u.Request('http://127.0.0.1:8080/predict', body)).read().decode())"
        )
        answer = json.loads(podman("exec", container, "python", "-c", program))
        expected = json.loads((artifact / "samples/expected.json").read_text())[0]
        (row,) = answer["results"]
        for best in row["predictions"]:
            assert abs(best["probability"] - expected["probabilities"][best["label"]]) < 1e-4
        podman("stop", container)
        code, log = podman("wait", container), podman("logs", container).splitlines()
        assert (code, log[-1]) == ("0", "stopped by SIGTERM"), log
        assert "is verified" in log[0]
        assert log[1].startswith("POST /predict 200 ")
    finally:
        podman("rm", "--force", container)


@pytest.mark.parametrize("image", IMAGES)
def test_no_telemetry_is_sent_from_an_image(image):
    assert "ORT_DISABLE_TELEMETRY=1" in podman("run", "--rm", image, "env").splitlines()
