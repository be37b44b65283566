"""onnxruntime as this project starts it: on the CPU, quiet, and without telemetry.

Since 1.29 its wheels for Linux and macOS send their maker what model is loaded and how long it
runs. `alexnet/__init__.py` turns that off for whatever imports onnxruntime after it; the call
below leaves little of it where a program has imported onnxruntime before.
"""

import os
from pathlib import Path

import onnxruntime

onnxruntime.disable_telemetry_events()


def open_session(model: Path | bytes, num_threads: int = 0) -> onnxruntime.InferenceSession:
    """A session of an ONNX file, or of its bytes, on the CPU.

    num_threads: of one run; 0 for one on each core. Weights are read from that file alone.

    Raises onnxruntime's exceptions, which share no public base class.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = num_threads
    # A file of bytes could be ONNX and onnxruntime's own format at once, with another model in it.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Where a graph may name further files to read weights from: no file is below it.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", os.devnull
    )
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
