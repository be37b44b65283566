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
        (lambda: predictor.run(crop.astype(np.float32)), "an array float32"),
        (lambda: predictor.run(crop[:0]), r"uint8 \(0, 32, 32, 3\)"),
        (lambda: predictor.classify(crop[0], top=0), "^top is 0; give 1 or more classes"),
        (lambda: next(predictor.classify_many([crop[0]], top=-1)), "^top is -1"),
        (lambda: Predictor(artifact, "bf16"), "'bf16' is none of fp32, fp16, int8"),
        (lambda: next(Predictor(artifact).classify_many("photo.png")), "classify takes one"),
        (lambda: Predictor(artifact).classify(Image.new("L", (0, 0))), "has no pixels"),
    ):
        with pytest.raises(UserError, match=words):
            call()
