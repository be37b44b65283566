"""The serving image's default command: `pytest -m container -n 0`, after `make image`."""

import json

from tests.engines import LOCKED, SERVE_IMAGE, engine, is_healthy, needs
from tests.stages.projects import wait_until

pytestmark = needs(SERVE_IMAGE)


def test_the_serving_image_answers_requests_with_the_mounted_artifact(artifact):
    container = engine("run", "--detach", *LOCKED, f"--volume={artifact}:/project:ro", SERVE_IMAGE)
    try:
        wait_until(lambda: is_healthy(container), "an answer")
        program = (
            "import urllib.request as u; body = open('samples/00.png', 'rb').read()\n"
            "print(u.urlopen(u.Request('http://127.0.0.1:8080/predict', body)).read().decode())"
        )
        answer = json.loads(engine("exec", container, "python", "-c", program))
        expected = json.loads((artifact / "samples/expected.json").read_text())[0]
        (row,) = answer["results"]
        for best in row["predictions"]:
            assert abs(best["probability"] - expected["probabilities"][best["label"]]) < 1e-4
        engine("stop", container)
        code, log = engine("wait", container), engine("logs", container).splitlines()
        assert (code, log[-1]) == ("0", "stopped by SIGTERM"), log
        assert "is verified" in log[0]
        assert log[1].startswith("POST /predict 200 ")
    finally:
        engine("rm", "--force", container)
