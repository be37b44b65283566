"""Errors that no request of a client's can cause, in an app without a server around it."""

import asyncio
import json

import numpy as np
import pytest

from alexnet.inference import Predictor
from alexnet.inference.predictor import Outputs
from alexnet.serving.app import create_app
from alexnet.serving.limits import Limits
from alexnet.serving.metrics import Metrics
from alexnet.serving.service import Service


def ask(predictor, path, body):
    """(status, JSON) of an answer, and the exception that the app passes on."""
    service = Service(predictor, Limits(), Metrics())
    app = create_app(service, is_stopping=lambda: False)
    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    async def call():
        async with service.running():
            try:
                await app(scope, receive, send)
            except Exception as error:
                return error

    error = asyncio.run(call())
    return sent[0]["status"], json.loads(sent[1]["body"]), error


TENSOR = {"name": "images", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": [0] * 3072}


@pytest.mark.parametrize("path", ["/predict", "/v2/models/alexnet/infer"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "the model gives values that are no numbers (NaN, infinity)"),
        (None, "an error of the server; its log says more"),
    ],
)
def test_an_error_of_the_model_or_of_ours(artifact, path, value, message):
    predictor = Predictor(artifact)

    def infer(images):
        if value is None:
            raise RuntimeError("a secret")
        return Outputs(*[np.full((len(images), 10), value, np.float32)] * 2)

    predictor.infer = infer
    body = b"P5 1 1 255\n\0" if path == "/predict" else json.dumps({"inputs": [TENSOR]}).encode()
    status, answer, error = ask(predictor, path, body)
    assert (status, answer) == (500, {"error": message})
    assert isinstance(error, RuntimeError) == (value is None), "the log has its traceback"
