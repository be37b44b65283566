"""Hostile models and samples, with digests that fit: the sender itself is dishonest."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.inference.hostile import kind, read, redigest, write


def with_model(folder, change, **manifest):
    """Change the model as a ModelProto."""
    model = onnx.load(folder / "model.onnx")
    change(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    redigest(folder, **manifest)


def last_weight(model):
    return next(tensor for tensor in model.graph.initializer if tensor.dims == [10, 256])


def with_weights(folder, change):
    """Change the values of the last layer's weight."""

    def replace(model):
        tensor = last_weight(model)
        values = numpy_helper.to_array(tensor).copy()
        tensor.CopyFrom(numpy_helper.from_array(change(values), tensor.name))

    with_model(folder, replace)


def with_nodes(folder, *nodes, **constants):
    """Add nodes whose output `x` is added to the logits, which they may take as `given`."""

    def insert(model):
        graph = model.graph
        place = next(k for k, node in enumerate(graph.node) if "logits" in node.output)
        after = list(graph.node)[place + 1 :]
        del graph.node[place + 1 :]
        graph.node[place].output[0] = "given"
        graph.node.extend([*nodes, helper.make_node("Add", ["given", "x"], ["logits"]), *after])
        for name, value in constants.items():
            graph.initializer.append(numpy_helper.from_array(np.array(value), name))

    with_model(folder, insert)


def node(op_type, inputs, output, **attributes):
    return helper.make_node(op_type, inputs.split(), [output], **attributes)


def with_metadata(folder, **changes):
    def replace(model):
        values = {entry.key: entry.value for entry in model.metadata_props} | changes
        helper.set_model_props(model, values)

    with_model(folder, replace)


# What is refused before onnxruntime sees it.


@kind("model.onnx: is not an ONNX file", opened=True)
def a_model_that_is_a_text(folder):
    (folder / "model.onnx").write_text("not a model")
    redigest(folder)


@kind("model.onnx: does not name one opset", opened=True)
def a_model_that_is_empty(folder):
    (folder / "model.onnx").write_bytes(b"")
    redigest(folder)


@kind("model.onnx: has a graph inside the operator Loop", opened=True)
def a_loop_without_end(folder):
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    body = helper.make_graph(
        [helper.make_node("Constant", [], ["go"], value=true)],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("go", TensorProto.BOOL, [])],
    )
    with_nodes(
        folder,
        helper.make_node("Loop", ["", "yes"], [], body=body),
        node("Identity", "zero", "x"),
        yes=True,
        zero=np.float32(0),
    )


@kind("model.onnx: holds functions", opened=True)
def a_function(folder):
    function = helper.make_function("own", "F", ["a"], ["a"], [], [helper.make_opsetid("", 20)])
    with_model(folder, lambda model: model.functions.append(function))


@kind("model.onnx: has the operator Evil, which is not of the ONNX standard", opened=True)
def an_operator_of_its_own(folder):
    with_nodes(folder, node("Evil", "given", "x", domain="com.evil"))


@kind("model.onnx: has sparse weights", opened=True)
def sparse_weights(folder):
    with_model(folder, lambda model: model.graph.sparse_initializer.add())


def with_external_data(folder, location, tensor_of=None):
    def refer(model):
        tensor = (tensor_of or (lambda graph: graph.initializer[0]))(model.graph)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    with_model(folder, refer)


@kind("model.onnx: has weights in another file: ", opened=True)
def weights_in_a_file_of_the_system(folder):
    with_external_data(folder, "/etc/passwd")


@kind("model.onnx: has weights in another file: ", opened=True)
def weights_in_a_file_above(folder):
    with_external_data(folder, "../sender.pub")


@kind("model.onnx: has weights in another file: ", opened=True)
def weights_in_a_file_beside(folder):
    with_external_data(folder, "labels.json")


@kind("model.onnx: has weights in another file", opened=True)
def a_constant_in_another_file(folder):
    def constant(graph):
        graph.node.append(helper.make_node("Constant", [], ["y"]))
        attribute = graph.node[-1].attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
        attribute.t.data_type = TensorProto.FLOAT
        return attribute.t

    with_external_data(folder, "/etc/passwd", constant)


@kind("model.onnx: has values that are not finite in .*fc3", opened=True)
def weights_that_are_not_numbers(folder):
    with_weights(folder, lambda values: values * np.float32("nan"))


@kind("model.onnx: has values that are not finite in .*fc3", opened=True)
def an_infinite_weight(folder):
    with_weights(folder, lambda values: np.where(values == values[0, 0], np.inf, values))


# What the model and the manifest say.


@kind("model.onnx: is not a model that onnxruntime can run", opened=True)
def a_graph_without_nodes(folder):
    with_model(folder, lambda model: model.graph.ClearField("node"))


@kind("model.onnx: opset: the file has 17", opened=True)
def another_opset(folder):
    with_model(folder, lambda model: setattr(model.opset_import[0], "version", 17))


@kind("model.onnx: does not name one opset", opened=True)
def two_opsets(folder):
    with_model(folder, lambda model: model.opset_import.add(domain="ai.onnx", version=17))


@kind("model.onnx: has too few bytes in .*fc3", opened=True)
def a_weight_that_is_cut(folder):
    def cut(model):
        last_weight(model).raw_data = last_weight(model).raw_data[:-1]

    with_model(folder, cut)


@kind("model.onnx: has an operator whose name is not UTF-8", opened=True)
def an_operator_that_is_no_text(folder):
    model = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(model.replace(b"\x04Conv", b"\x04Co\xffv", 1))
    redigest(folder)


@kind("model.onnx: ir_version: the file has 9", opened=True)
def another_ir_version(folder):
    with_model(folder, lambda model: setattr(model, "ir_version", 9))


@kind("model.onnx: parameters: the file has [0-9,]+ weights, the folder 2,000", opened=True)
def fewer_parameters_than_weights(folder):
    redigest(folder, parameters=2000)


@kind("model.onnx: parameters: the file has [0-9,]+ weights, the folder 232,834", opened=True)
def parameters_that_are_not_there(folder):
    redigest(folder, fc1_collapsed=False)


@kind("model.onnx: variant: the file has cifar, the folder imagenet-2012", opened=True)
def another_variant(folder):
    redigest(folder, variant="imagenet-2012")


@kind("model.onnx: provenance: the file has ", opened=True)
def another_provenance(folder):
    redigest(folder, provenance=read(folder)["provenance"] | {"revision": "1" * 40})


@kind("model.onnx: preprocessing: the file has ", opened=True)
def another_preprocessing(folder):
    redigest(folder, preprocessing=read(folder)["preprocessing"] | {"background": "black"})


@kind("model.onnx: input: the file has ", opened=True)
def another_input(folder):
    given = read(folder)["input"] | {"type": "float32"}
    redigest(folder, with_configs=True, input=given)


@kind("model.onnx: input: the file has ", opened=True)
def a_second_input(folder):
    def add(model):
        model.graph.input.add().CopyFrom(model.graph.input[0])
        model.graph.input[1].name = "more"

    with_model(folder, add)


@kind("outputs: are not logits and probabilities")
def another_output(folder):
    outputs = read(folder)["outputs"]
    redigest(folder, outputs=outputs | {"more": outputs["logits"]})


@kind("model.onnx: classes: the file has ", opened=True)
def labels_in_another_order(folder):
    write(folder, read(folder, "labels.json")[::-1], "labels.json")
    redigest(folder)


@kind("labels.json: 0: the class name .* has a control character", opened=True)
def labels_that_move_the_cursor(folder):
    write(folder, ["\x1b[2J", *read(folder, "labels.json")[1:]], "labels.json")
    redigest(folder)


@kind("model.int8.onnx: precision: the file has fp32, the folder int8", opened=True)
def another_precision(folder):
    model, expected = folder / "model.onnx", folder / "samples/expected.json"
    (folder / "model.int8.onnx").write_bytes(model.read_bytes())
    (folder / "samples/expected.int8.json").write_bytes(expected.read_bytes())
    entry = read(folder)["precisions"]["fp32"]
    both = {"int8": entry | {"file": "model.int8.onnx"}, "fp32": entry}
    redigest(folder, with_configs=True, precisions=both)


@kind("model.onnx: has no valid metadata of classes and preprocessing", opened=True)
def metadata_that_is_deep(folder):
    with_metadata(folder, classes="[" * 100_000)


@kind("model.onnx: has no valid metadata of classes and preprocessing", opened=True)
def more_classes_than_outputs(folder):
    with_metadata(folder, classes=json.dumps(list("abcdefghijk")))


@kind("model.onnx: several images in one run get other probabilities", opened=True)
def a_model_that_answers_otherwise_in_batches(folder):
    def count(model):
        graph = model.graph
        (logits,) = [node for node in graph.node if "logits" in node.output]
        logits.output[0] = "scores"
        one = numpy_helper.from_array(np.array([1.0], np.float32), "one")
        ramp = numpy_helper.from_array(np.arange(10, dtype=np.float32) * 9, "ramp")
        graph.initializer.extend([one, ramp])
        nodes = [
            helper.make_node("Shape", ["scores"], ["sizes"], end=1),
            helper.make_node("Cast", ["sizes"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["number", "one"], ["others"]),
            helper.make_node("Mul", ["others", "ramp"], ["change"]),
            helper.make_node("Add", ["scores", "change"], ["logits"]),
        ]
        place = list(graph.node).index(logits) + 1
        for node in reversed(nodes):
            graph.node.insert(place, node)

    with_model(folder, count)
