"""Images as they are, alone and in forms: the answers and the words of `alexnet predict`."""

import json

import pytest
import requests

from tests.data.odd_images import exact_inputs, refused_inputs
from tests.photos import PHOTO
from tests.serving.servers import encode, error_of, post

EXACT, REFUSED = exact_inputs(), refused_inputs()


@pytest.fixture(scope="module")
def zoo(run_module, artifact, tmp_path_factory):
    """(predictions by name, errors by name) of `alexnet predict` for all odd images."""
    folder = tmp_path_factory.mktemp("zoo")
    contents = {name: content for name, (content, _) in [*EXACT.items(), *REFUSED.items()]}
    paths = {name: folder / f"{number}" for number, name in enumerate(contents)}
    for name, path in paths.items():
        path.write_bytes(contents[name])
    done = run_module("predict", artifact, *paths.values(), "--json", "--top", 10)
    head, *errors = done.stderr.splitlines()
    assert head == f"error: {len(REFUSED)} of {len(paths)} images could not be read:"
    assert len(errors) == len(REFUSED), "and nothing of Pillow's or libtiff's"
    by_path = {row["file"]: row["predictions"] for row in json.loads(done.stdout)}
    return (
        {name: by_path[str(paths[name])] for name in EXACT},
        {name: line.split(" ", 3)[3] for name, line in zip(REFUSED, errors, strict=True)},
    )


@pytest.mark.parametrize("kind", EXACT)
def test_an_image_has_the_probabilities_of_predict(server, artifact, predictor, zoo, kind):
    """Those of the Python API to the bit; predict runs batches, which sum in another order."""
    content, _ = EXACT[kind]
    (row,) = post(server, content, "/predict?top=10").json()["results"]
    assert row["file"] == "image"
    assert row["predictions"] == [vars(best) for best in predictor.classify(content, top=10)]
    theirs = {best["label"]: best["probability"] for best in zoo[0][kind]}
    ours = {best["label"]: best["probability"] for best in row["predictions"]}
    assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("kind", REFUSED)
def test_an_image_that_is_not_read_has_the_words_of_predict(server, zoo, kind):
    assert error_of(post(server, REFUSED[kind][0]), 422) == f"image {zoo[1][kind]}"


def test_a_form_has_several_images(server, predictor):
    """Each under the name of its file, in their order; a wrong one names itself."""
    contents = [EXACT[kind][0] for kind in list(EXACT)[:32]]
    files = [("image", (f"{n}.png", content)) for n, content in enumerate(contents)]
    rows = post(server, path="/predict?top=1", files=files).json()["results"]
    assert [row["file"] for row in rows] == [name for _, (name, _) in files]
    for row, (best,) in zip(rows, predictor.classify_batch(contents, top=1), strict=True):
        assert row["predictions"][0]["label"] == best.label
        assert row["predictions"][0]["probability"] == pytest.approx(best.probability, abs=1e-6)
    large = encode(PHOTO.resize((3000, 2000)), quality=100)
    assert len(large) > 1 << 20, "which a form's parser would write to a file"
    (row,) = post(server, files={"image": large}).json()["results"]
    assert row["predictions"] == [vars(best) for best in predictor.classify(large)]

    files[1:4] = [("a", ("\x1b[2J.png", b"")), ("b", ("b.png", b"text")), ("c", ("", contents[0]))]
    message = error_of(post(server, files=files), 422)
    assert message.splitlines() == [
        "\x1b[2J.png is empty; get it again",
        "b.png is a text file, not an image",
    ]


FORM = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n1\r\n--x'


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (FORM + b"--\r\n", "multipart/form-data; boundary=x", "a is a text file"),
        (FORM, "multipart/form-data; boundary=x", "the form's end is missing"),
        (FORM, "multipart/form-data", "the form is damaged: "),
        (FORM, "multipart/mixed; boundary=x", "the form is damaged: "),
        (FORM, "multipart/form-data; boundary=y", "the form is damaged: "),
        (b"--x--\r\n", "multipart/form-data; boundary=x", "the form has no files"),
        (b"", "multipart/form-data; boundary=x", "the form's end is missing"),
        (
            FORM.replace(b'; filename="a"', b"") + b"--\r\n",
            "multipart/form-data; boundary=x",
            "the form's field a is no file",
        ),
    ],
)
def test_what_is_wrong_with_a_form(server, body, kind, message):
    answer = post(server, body, headers={"Content-Type": kind})
    assert message in error_of(answer, 422 if "text" in message else 400)


def test_what_is_wrong_with_a_request(server):
    assert "top: should be greater" in error_of(post(server, b"", "/predict?top=0"), 400)
    assert "top: should be a valid integer" in error_of(post(server, b"", "/predict?top=x"), 400)
    assert error_of(post(server, b"", "/predict?tpo=1"), 400) == "tpo: is not known"
    zipped = post(server, b"", headers={"Content-Encoding": "gzip"})
    assert error_of(zipped, 415) == "the body is encoded (gzip); send it as it is"
    assert error_of(requests.get(f"{server.url}/predict", timeout=9), 405) == "Method Not Allowed"
