"""What a server takes on at most: sizes, numbers, times; and many requests at once."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from PIL import Image

from alexnet.data.images import MAX_IMAGE_PIXELS
from alexnet.serving.limits import Limits
from tests.photos import PHOTO
from tests.serving.servers import BATCHES, Slow, encode, error_of, metrics_of, post, serving


@pytest.fixture(scope="module")
def strict(artifact):
    """A server with low limits."""
    limits = ["--max-requests", 2, "--max-images", 2, "--max-bytes", 200_000, "--timeout", 1]
    with serving(artifact, *limits, "--max-pixels", 10_000, "--max-delay-ms", 50) as server:
        yield server


def chunks(total):
    yield from [b"x" * 1000] * (total // 1000)


def test_limits_of_a_request(strict):
    for body in (b"x" * 200_001, chunks(201_000)):
        assert error_of(post(strict, body), 413) == "the body has more than 200,000 bytes"
    files = [("image", encode(PHOTO.crop((0, 0, 99, 99))))] * 3
    message = error_of(post(strict, files=files), 400)
    assert message == "the form has more than 2 images"
    assert len(post(strict, files=files[:2]).json()["results"]) == 2
    message = error_of(post(strict, encode(PHOTO.crop((0, 0, 101, 100)))), 422)
    assert "101 x 100 pixels; at most 10,000 are decoded; make the image smaller" in message
    assert Limits.max_pixels == MAX_IMAGE_PIXELS, "predict's"


def test_more_requests_than_are_answered_at_a_time(strict):
    photo = encode(PHOTO.crop((0, 0, 99, 99)))
    with Slow(strict, photo) as first, Slow(strict, photo) as second:
        time.sleep(0.2)
        answer = post(strict, photo)
        assert error_of(answer, 503) == "2 requests are being answered; try again"
        assert answer.headers["retry-after"] == "1"
        assert requests.get(f"{strict.url}/v2/health/ready", timeout=9).status_code == 200
        assert [each.finish()[0] for each in (first, second)] == [200, 200]
    assert post(strict, photo).status_code == 200


def test_a_body_that_does_not_arrive(strict):
    with Slow(strict, b"x" * 100) as slow:
        status, headers, answer = slow.answer()
    assert (status, headers["connection"]) == (408, "close")
    assert answer == {"error": "the body did not arrive within 1 seconds"}


def test_a_client_that_leaves(strict):
    """Nothing is said of it but a line, and its place is free again."""
    for _ in range(3):
        with Slow(strict, b"x" * 100):
            time.sleep(0.1)
    assert post(strict, encode(PHOTO.crop((0, 0, 99, 99)))).status_code == 200


def test_an_answer_that_takes_too_long(artifact):
    """A PNG of 49 megapixels, in a tenth of a second; the server goes on."""
    slow = encode(Image.new("RGB", (7000, 7000)), "PNG", compress_level=1)
    with serving(artifact, "--timeout", 0.1) as server:
        answer = post(server, slow)
        assert error_of(answer, 503) == "no answer within 0.1 seconds; try again"
        assert answer.headers["retry-after"] == "1"
        assert requests.get(f"{server.url}/v2/health/live", timeout=9).status_code == 200


def test_requests_at_once_get_the_answers_of_their_own_images(strict, predictor):
    photos = [encode(PHOTO.crop((40 * n, 0, 40 * n + 99, 99))) for n in range(12)]
    expected = [[vars(best) for best in predictor.classify(photo)] for photo in photos]
    before = metrics_of(strict)

    def ask(number):
        while (answer := post(strict, photos[number % 12])).status_code == 503:
            time.sleep(0.01)  # two are answered at a time
        return number % 12, answer.json()["results"][0]["predictions"]

    with ThreadPoolExecutor(4) as pool:
        for number, predictions in pool.map(ask, range(60)):
            for best, wanted in zip(predictions, expected[number], strict=True):
                assert best["label"] == wanted["label"]
                assert best["probability"] == pytest.approx(wanted["probability"], abs=1e-6)
    after = metrics_of(strict)
    images, runs = (after[name] - before[name] for name in BATCHES)
    assert images == 60
    assert runs < 60, "some shared a run"
