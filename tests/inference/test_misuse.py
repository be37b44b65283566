"""What a program gives the Python API by mistake, and what a sender gives it on purpose."""

import hashlib

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from alexnet.errors import UserError
from alexnet.inference import Predictor


def test_bytes_are_onnx_and_nothing_else(artifact, tmp_path):
    """In bytes, onnxruntime looks for its own format, too: a file may be both, and two models."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.optimized_model_filepath = str(tmp_path / "model.onnx")
    onnxruntime.InferenceSession(artifact / "model.onnx", options)
    content = (tmp_path / "model.onnx").read_bytes()
    assert onnxruntime.InferenceSession(content).get_outputs()
    with pytest.raises(UserError, match="is not a model that onnxruntime can run"):
        Predictor(tmp_path / "model.onnx", sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("name", ["x" * 300, "\ud800.png"])
def test_a_name_that_no_file_can_have_is_an_error_beside_the_others(artifact, name):
    good = artifact / "samples" / "00.png"
    first, second = Predictor(artifact).classify_many([name, good])
    assert first.error.startswith(f"{name} ")
    assert second.error is None


def test_misuse_is_told(artifact):
    predictor = Predictor(artifact)
    crop = np.zeros((2, 32, 32, 3), np.uint8)
    for call, words in (
        (lambda: Predictor("nowhere"), "^nowhere does not exist; give the path"),
        (lambda: predictor.run(crop[0]), r"an array uint8 \(32, 32, 3\); stack those of prepare"),
        (lambda: predictor.run([crop[0]]), "of the type list; stack those of prepare"),
        (lambda: predictor.run(crop.astype(np.float32)), "an array float32"),
        (lambda: predictor.run(crop[:0]), r"uint8 \(0, 32, 32, 3\)"),
        (lambda: predictor.classify(crop[0], top=0), "^top is 0; give a whole number of 1 or more"),
        (lambda: predictor.classify(crop[0], top="3"), "^top is '3'"),
        (lambda: predictor.classify(""), "^the name of an image is empty"),
        (lambda: predictor.classify_batch("photo.png"), "classify takes one"),
        (lambda: predictor.classify_batch(crop[0]), "classify takes one"),
        (lambda: predictor.classify_batch(Image.new("L", (9, 9))), "classify takes one"),
        (lambda: next(predictor.classify_many(crop, num_workers=-1)), "^num_workers is -1"),
        (lambda: Predictor(""), "^the path of the model is empty"),
        (lambda: Predictor(artifact, num_threads=2000), "^num_threads is 2000; give .* from 0 to"),
        (lambda: Predictor(artifact, num_threads="2"), "^num_threads is '2'"),
        (lambda: Predictor(artifact / "model.onnx", "int8"), "is in fp32, not in int8"),
        (lambda: next(predictor.classify_many([crop[0]], top=-1)), "^top is -1"),
        (lambda: Predictor(artifact, "bf16"), "'bf16' is none of fp32, fp16, int8"),
        (lambda: next(Predictor(artifact).classify_many("photo.png")), "classify takes one"),
        (lambda: Predictor(artifact).classify(Image.new("L", (0, 0))), "has no pixels"),
    ):
        with pytest.raises(UserError, match=words):
            call()
