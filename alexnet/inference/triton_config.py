"""The configuration of an exported model for NVIDIA's Triton Inference Server.

An export writes it, and `verify` compares it: a server does what its configuration says. Its format
is https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto.
"""

from collections.abc import Mapping

from alexnet.inference.manifest import Tensor
from alexnet.inference.predictor import MODEL_FILENAMES


def config_path(precision: str) -> str:
    """The file with the configuration of a precision, within the folder."""
    return "config.pbtxt" if precision == "fp32" else f"config.{precision}.pbtxt"


def triton_config(
    precision: str, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]
) -> str:
    """Its text for the model of a precision, which has these tensors by name."""
    name = "alexnet" if precision == "fp32" else f"alexnet-{precision}"
    tensors = [_tensor("input", *item) for item in inputs.items()]
    tensors += [_tensor("output", *item) for item in outputs.items()]
    return f"""\
# Configuration for NVIDIA's Triton Inference Server. In its model repository this file is
# `{name}/config.pbtxt`, and the model `{name}/1/{MODEL_FILENAMES[precision]}`.
name: "{name}"
backend: "onnxruntime"
default_model_filename: "{MODEL_FILENAMES[precision]}"
max_batch_size: 256

# Requests that arrive within a millisecond form one batch.
dynamic_batching {{
  max_queue_delay_microseconds: 1000
}}

{"".join(tensors)}"""


def _tensor(kind: str, name: str, tensor: Tensor) -> str:
    """One without the size of the batch, which Triton adds."""
    return f"""\
{kind} {{
  name: "{name}"
  data_type: TYPE_{tensor.type.upper().replace("FLOAT", "FP")}
  dims: [ {", ".join(map(str, tensor.shape[1:]))} ]
}}
"""
