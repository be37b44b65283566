"""The Open Inference Protocol, asked as its specification has it, and what is refused."""

import json

import numpy as np
import pytest
import requests

from alexnet.inference import Predictor
from alexnet.serving.protocol import HEADER_LENGTH
from tests.conftest import CLASSES, real_digits

DIGITS = real_digits()[0][:3].numpy()
SHAPE = [3, 32, 32, 3]


@pytest.fixture
def url(server):
    return server.url


@pytest.fixture(scope="module")
def expected(artifact):
    return Predictor(artifact).infer(DIGITS)


def tensor(**changes):
    values = {"name": "images", "shape": SHAPE, "datatype": "UINT8", "data": DIGITS.tolist()}
    return {key: value for key, value in (values | changes).items() if value is not None}


def infer(url, body, path="/v2/models/alexnet/infer", **options):
    content = body if isinstance(body, bytes) else json.dumps(body)
    return requests.post(url + path, content, timeout=30, **options)


def with_binary(request, binary):
    """The body and the headers of a request with its tensors behind the JSON."""
    text = json.dumps(request).encode()
    return text + binary, {HEADER_LENGTH: str(len(text))}


def test_the_metadata(url):
    answers = {
        "/v2": {"name": "alexnet", "version": "0.1.0", "extensions": ["binary_tensor_data"]},
        "/v2/health/live": {"live": True},
        "/v2/health/ready": {"ready": True},
        "/v2/models/alexnet/ready": {"name": "alexnet", "ready": True},
        "/v2/models/alexnet/versions/1/ready": {"name": "alexnet", "ready": True},
    }
    model = {
        "name": "alexnet",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}],
        "outputs": [
            {"name": name, "datatype": "FP32", "shape": [-1, len(CLASSES)]}
            for name in ("logits", "probabilities")
        ],
    }
    answers |= {"/v2/models/alexnet": model, "/v2/models/alexnet/versions/1": model}
    for path, answer in answers.items():
        got = requests.get(url + path, timeout=30)
        assert (got.status_code, got.json()) == (200, answer), path


@pytest.mark.parametrize("data", [DIGITS.tolist(), DIGITS.ravel().tolist()], ids=["nested", "flat"])
@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_tensors_as_json(url, expected, data, version):
    """All outputs, to the bit: JSON's decimals give each float32 back."""
    request = {"id": "7", "inputs": [tensor(data=data)]}
    answer = infer(url, request, f"/v2/models/alexnet{version}/infer").json()
    outputs = answer.pop("outputs")
    assert answer == {"model_name": "alexnet", "model_version": "1", "id": "7"}
    assert [(row["name"], row["datatype"], row["shape"]) for row in outputs] == [
        ("logits", "FP32", [3, 10]),
        ("probabilities", "FP32", [3, 10]),
    ]
    for row in outputs:
        values = np.array(row["data"], np.float32).reshape(3, 10)
        np.testing.assert_array_equal(values, getattr(expected, row["name"]))


@pytest.mark.parametrize("whole", [True, False])
def test_tensors_as_bytes(url, expected, whole):
    """In both directions; of the outputs one alone, or all."""
    size = {"binary_data_size": DIGITS.size}
    request = {"inputs": [tensor(data=None, parameters=size)]}
    if whole:
        request["parameters"] = {"binary_data_output": True}
    else:
        wanted = {"name": "probabilities", "parameters": {"binary_data": True}}
        request["outputs"] = [wanted]
    body, headers = with_binary(request, DIGITS.tobytes())
    answer = infer(url, body, headers=headers)
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers[HEADER_LENGTH])
    outputs = json.loads(answer.content[:length])["outputs"]
    assert [row["name"] for row in outputs] == ["logits", "probabilities"][0 if whole else 1 :]
    binary = answer.content[length:]
    for row in outputs:
        size = row["parameters"]["binary_data_size"]
        values = np.frombuffer(binary[:size], "<f4").reshape(row["shape"])
        np.testing.assert_array_equal(values, getattr(expected, row["name"]))
        binary = binary[size:]
    assert not binary


def test_one_output_as_json(url):
    request = {"inputs": [tensor()], "outputs": [{"name": "logits"}]}
    (row,) = infer(url, request).json()["outputs"]
    assert (row["name"], len(row["data"])) == ("logits", 30)


WRONG = {
    "no JSON": (b"images", "the body is not valid JSON (expected value at line 1 column 1)"),
    "deep JSON": (
        b'{"inputs":' + b"[" * 100_000,
        "the body is not valid JSON (recursion limit exceeded",
    ),
    "no object": ([], "the body should be an object (got [])"),
    "no input": ({"inputs": []}, "inputs: List should have at least 1 item"),
    "two inputs": ({"inputs": [tensor()] * 2}, "inputs: List should have at most 1 item"),
    "another input": ({"inputs": [tensor(name="x")]}, "inputs.0.name: should be 'images'"),
    "another type": ({"inputs": [tensor(datatype="FP32")]}, "datatype: should be 'UINT8'"),
    "another shape": (
        {"inputs": [tensor(shape=[3, 3, 32, 32])]},
        "images: shape [3, 3, 32, 32] should be [batch, 32, 32, 3]",
    ),
    "no images": ({"inputs": [tensor(shape=[0, 32, 32, 3])]}, "shape.0: should be greater"),
    "a huge number": ({"inputs": [tensor(shape=[10**30, 32, 32, 3])]}, "at most 32 are run"),
    "too many": ({"inputs": [tensor(shape=[33, 32, 32, 3])]}, "33 of them, at most 32 are run"),
    "too few values": (
        {"inputs": [tensor(data=[1, 2])]},
        "images: 2 values do not make the shape [3, 32, 32, 3]",
    ),
    "a million lists": (
        {"inputs": [tensor(data=[[]] * 1_000_000)]},
        "has more values than 32 images have",
    ),
    "no values": ({"inputs": [tensor(data=None)]}, "give either data or binary_data_size"),
    "an empty list": ({"inputs": [tensor(data=[])]}, "images: 0 values do not make the shape"),
    **{
        f"values: {wrong}": ({"inputs": [tensor(data=wrong)]}, "data should be integers from 0")
        for wrong in ([256], [-1], [1.5], ["1"], [None], [{}], [[1], 2], [10**400], [float("nan")])
    },
    "another output": (
        {"inputs": [tensor()], "outputs": [{"name": "label"}]},
        "outputs.0.name: should be 'logits' or 'probabilities'",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_with_a_request(url, kind):
    body, message = WRONG[kind]
    answer = infer(url, body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"]), answer.text
    assert message in answer.json()["error"]
    assert len(answer.text) < 400


@pytest.mark.parametrize(
    ("size", "binary", "length", "message"),
    [
        (DIGITS.size, DIGITS.tobytes()[1:], None, "9,215 bytes follow the JSON; binary_data_size"),
        (5, b"12345", None, "images: 5 values do not make the shape"),
        ("9216", DIGITS.tobytes(), None, "9,216 bytes follow the JSON; binary_data_size"),
        (DIGITS.size, DIGITS.tobytes(), "99999", "99999 bytes of JSON are not in the body"),
        (DIGITS.size, DIGITS.tobytes(), "-1", "-1 bytes of JSON are not in the body"),
        (DIGITS.size, DIGITS.tobytes(), "x", "x bytes of JSON are not in the body"),
    ],
)
def test_what_is_wrong_with_bytes(url, size, binary, length, message):
    parameters = {"binary_data_size": size}
    body, headers = with_binary({"inputs": [tensor(data=None, parameters=parameters)]}, binary)
    if length:
        headers[HEADER_LENGTH] = length
    answer = infer(url, body, headers=headers)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    "path", ["x/infer", "alexnet/versions/2/infer", "alexnet/x", "alexnet/infer/"]
)
def test_another_model(url, path):
    answer = infer(url, {"inputs": [tensor()]}, f"/v2/models/{path}")
    assert answer.status_code == 404
    known = "there is no such model; this server has alexnet, version 1"
    assert answer.json() == {"error": "Not Found" if path.endswith(("/x", "/")) else known}
