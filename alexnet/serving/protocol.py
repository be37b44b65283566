"""The Open Inference Protocol (KServe's V2) over HTTP, with its extension for binary tensors.

https://github.com/kserve/open-inference-protocol, and for the extension
https://kserve.github.io/website, "Binary Tensor Data Extension". One input, `images`, as UINT8;
the outputs `logits` and `probabilities` as FP32.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import to_json

import alexnet
from alexnet.files import explain_validation
from alexnet.inference.predictor import Outputs, Predictor

# As in config.pbtxt, so that a client of Triton's finds the same names here.
NAME, VERSION = "alexnet", "1"
HEADER_LENGTH = "inference-header-content-length"
MAX_OTHER_VALUES = 1000  # in the JSON of a request, beside those of the images

Parameters = dict[str, Any]


class RequestInput(BaseModel):
    name: Literal["images"]
    datatype: Literal["UINT8"]
    shape: list[Annotated[int, Field(ge=1)]]
    parameters: Parameters = {}
    data: list[Any] | None = None


class RequestOutput(BaseModel):
    name: Literal["logits", "probabilities"]
    parameters: Parameters = {}


class InferenceRequest(BaseModel):
    id: str | None = None
    parameters: Parameters = {}
    inputs: Annotated[list[RequestInput], Field(min_length=1, max_length=1)]
    outputs: list[RequestOutput] = []  # all


ALL_OUTPUTS = [RequestOutput(name="logits"), RequestOutput(name="probabilities")]


def server_metadata() -> dict[str, Any]:
    extensions = ["binary_tensor_data"]
    return {"name": NAME, "version": alexnet.__version__, "extensions": extensions}


def model_metadata(predictor: Predictor) -> dict[str, Any]:
    shape = [-1, predictor.crop, predictor.crop, predictor.channels]
    scores = {"datatype": "FP32", "shape": [-1, len(predictor.classes)]}
    return {
        "name": NAME,
        "versions": [VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "images", "datatype": "UINT8", "shape": shape}],
        "outputs": [{"name": name, **scores} for name in Outputs._fields],
    }


def read_request(
    body: bytes, headers: Mapping[str, str], image_shape: tuple[int, int, int], max_images: int
) -> tuple[InferenceRequest, NDArray[np.uint8]]:
    """The request and its images, uint8 (N, *image_shape). Raises HTTPException 400."""
    length = headers.get(HEADER_LENGTH, str(len(body)))
    if not length.isascii() or not length.isdigit() or int(length) > len(body):
        raise HTTPException(400, f"{HEADER_LENGTH}: {length} bytes of JSON are not in the body")
    num_values = max_images * int(np.prod(image_shape))
    # More values than all images have would take seconds to parse, and their errors gigabytes.
    if body.count(b",", 0, int(length)) > num_values + MAX_OTHER_VALUES:
        raise HTTPException(400, f"has more values than {max_images} images have")
    try:
        request = InferenceRequest.model_validate_json(body[: int(length)])
    except ValidationError as error:
        subject = "" if error.errors()[0]["loc"] else "the body "
        raise HTTPException(400, f"{subject}{explain_validation(error)}") from None
    (given,) = request.inputs
    if tuple(given.shape[1:]) != image_shape:
        expected = ", ".join(map(str, ("batch", *image_shape)))
        raise HTTPException(400, f"images: shape {given.shape} should be [{expected}]")
    if given.shape[0] > max_images:
        raise HTTPException(
            400, f"images: {given.shape[0]:,} of them, at most {max_images} are run"
        )
    values = _values(given, body[int(length) :])
    num_values = given.shape[0] * int(np.prod(image_shape))
    if len(values) != num_values:
        raise HTTPException(
            400, f"images: {len(values):,} values do not make the shape {given.shape}"
        )
    return request, np.frombuffer(values, np.uint8).reshape(given.shape)


def _values(given: RequestInput, binary: bytes) -> bytes:
    """The values of a tensor in order: from JSON, flat or nested, or as they follow the JSON."""
    if "binary_data_size" in given.parameters:
        if given.data is not None or given.parameters["binary_data_size"] != len(binary):
            raise HTTPException(
                400,
                f"images: {len(binary):,} bytes follow the JSON; binary_data_size should say so",
            )
        return binary
    data = given.data
    if data is None or binary:
        raise HTTPException(400, "images: give either data or binary_data_size")
    try:
        while data and isinstance(data[0], list):
            data = list(chain.from_iterable(data))
        return bytes(data)
    except (TypeError, ValueError, OverflowError):
        raise HTTPException(400, "images: data should be integers from 0 to 255") from None


def write_response(request: InferenceRequest, outputs: Outputs) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of an answer, which has the outputs that were asked for."""
    as_binary = request.parameters.get("binary_data_output", False)
    described, binary = [], []
    for wanted in request.outputs or ALL_OUTPUTS:
        values: NDArray[np.float32] = getattr(outputs, wanted.name)
        row: dict[str, Any] = {
            "name": wanted.name,
            "datatype": "FP32",
            "shape": list(values.shape),
        }
        if wanted.parameters.get("binary_data", as_binary):
            content = values.astype("<f4").tobytes()
            binary.append(content)
            row["parameters"] = {"binary_data_size": len(content)}
        else:
            row["data"] = values.ravel().tolist()
        described.append(row)
    answer: dict[str, Any] = {"model_name": NAME, "model_version": VERSION, "outputs": described}
    if request.id is not None:
        answer["id"] = request.id
    text = to_json(answer)
    if not binary:
        return text, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(text))}
    return b"".join([text, *binary]), headers
