"""The structure of an ONNX file, read before onnxruntime runs it.

An export is flat: standard operators one after another, with their weights in the file. What a
hostile graph is made of (loops, functions, other operators, weights in other files) is refused by
name. The messages are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, as far as
they are read; what has only to be absent is declared as bytes, and is not parsed.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from alexnet.errors import UserError
from alexnet.files import shorten

_MESSAGES = {
    "Model": {
        "ir_version": (1, "int64"),
        "graph": (7, "Graph"),
        "opset_import": (8, "*Opset"),
        "training_info": (20, "*bytes"),
        "functions": (25, "*bytes"),
    },
    "Opset": {"domain": (1, "string"), "version": (2, "int64")},
    "Graph": {"node": (1, "*Node"), "initializer": (5, "*Tensor"), "sparse": (15, "*bytes")},
    "Node": {"op_type": (4, "string"), "attribute": (5, "*Attribute"), "domain": (7, "string")},
    "Attribute": {
        "tensor": (5, "*Tensor"),
        "tensors": (10, "*Tensor"),
        "graph": (6, "*bytes"),
        "graphs": (11, "*bytes"),
        "sparse": (22, "*bytes"),
        "sparses": (23, "*bytes"),
    },
    "Tensor": {
        "dims": (1, "*int64"),
        "data_type": (2, "int32"),
        "float_data": (4, "*float"),
        "name": (8, "string"),
        "raw_data": (9, "bytes"),
        "external_data": (13, "*bytes"),
        "data_location": (14, "int32"),
    },
}
# Of a file beside its weights: the graph, the metadata, the names of the classes.
MAX_OTHER_BYTES = 1 << 22
_FLOATS = {1: "<f4", 10: "<f2", 11: "<f8"}  # data_type


@dataclass(frozen=True)
class GraphStructure:
    """What an ONNX file says of itself."""

    ir_version: int
    opset: int  # of the standard operators
    num_weights: int  # floating-point numbers in its initializers


def read_structure(content: bytes) -> GraphStructure:
    """Raises UserError if it is not an ONNX file, or not one as an export writes it."""
    try:
        model = _MODEL.FromString(content)
    except DecodeError:
        raise UserError("is not an ONNX file") from None
    if model.functions or model.training_info:
        raise UserError("holds functions or training information; an export has none")
    for node in model.graph.node:
        if isinstance(node.op_type, bytes):  # where protobuf finds no text
            raise UserError("has an operator whose name is not UTF-8")
        name = shorten(node.op_type, 60)
        if node.domain not in ("", "ai.onnx"):
            raise UserError(f"has the operator {name}, which is not of the ONNX standard")
        for attribute in node.attribute:
            if attribute.graph or attribute.graphs:
                raise UserError(f"has a graph inside the operator {name}; an export has none")
            if attribute.sparse or attribute.sparses:
                raise UserError("has sparse weights; an export has none")
            _check_location([*attribute.tensor, *attribute.tensors])
    if model.graph.sparse:
        raise UserError("has sparse weights; an export has none")
    _check_location(model.graph.initializer)
    weights = [tensor for tensor in model.graph.initializer if tensor.data_type in _FLOATS]
    for tensor in weights:
        try:
            values = np.frombuffer(tensor.raw_data, _FLOATS[tensor.data_type])
        except ValueError:
            raise UserError(f"has too few bytes in {shorten(tensor.name, 60)}") from None
        if not np.isfinite(values).all() or not np.isfinite(tensor.float_data).all():
            raise UserError(f"has values that are not finite in {shorten(tensor.name, 60)}")
    num_others = len(content) - sum(len(it.raw_data) for it in model.graph.initializer)
    if num_others > MAX_OTHER_BYTES:
        raise UserError(f"has {num_others:,} bytes that are not weights; an export has few")
    opsets = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if len(opsets) != 1:
        raise UserError("does not name one opset")
    return GraphStructure(
        ir_version=model.ir_version,
        opset=opsets[0],
        num_weights=sum(math.prod(tensor.dims) for tensor in weights),
    )


def _check_location(tensors: Any) -> None:
    for tensor in tensors:
        if tensor.external_data or tensor.data_location:
            raise UserError(f"has weights in another file: {shorten(tensor.name, 60)}")


def _message_class() -> Any:
    """The class of `Model`, made of _MESSAGES."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="onnx_structure", package="onnx_structure")
    for name, members in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for key, (number, kind) in members.items():
            plain = kind.removeprefix("*")
            entry = message.field.add(name=key, number=number)
            entry.label = field.LABEL_REPEATED if plain != kind else field.LABEL_OPTIONAL
            if plain in _MESSAGES:
                entry.type, entry.type_name = field.TYPE_MESSAGE, f".onnx_structure.{plain}"
            else:
                entry.type = getattr(field, f"TYPE_{plain.upper()}")
    pool = descriptor_pool.DescriptorPool()
    return message_factory.GetMessageClass(
        pool.AddSerializedFile(file.SerializeToString()).message_types_by_name["Model"]
    )


_MODEL = _message_class()
