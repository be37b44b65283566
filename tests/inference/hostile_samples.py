"""Hostile samples and computations, with digests that fit: the sender itself is dishonest."""

import struct
import zlib

import numpy as np

from tests.inference.hostile import kind, read, redigest, write
from tests.inference.hostile_models import node, with_model, with_nodes, with_weights

EXPECTED = "samples/expected.json"


def with_rows(folder, change):
    """Change the rows of the expected outputs."""
    rows = read(folder, EXPECTED)
    write(folder, change(rows), EXPECTED)
    redigest(folder)


def with_row(folder, **changes):
    with_rows(folder, lambda rows: [rows[0] | changes, *rows[1:]])


def with_image(folder, content):
    (folder / "samples/00.png").write_bytes(content)
    redigest(folder)


NOT_OF_THE_IMAGES = "samples/expected.json is not of the images in samples/"


@kind(NOT_OF_THE_IMAGES, opened=True)
def a_row_that_was_cut(folder):
    with_rows(folder, lambda rows: rows[:-1])


@kind(NOT_OF_THE_IMAGES, opened=True)
def no_rows(folder):
    with_rows(folder, lambda rows: [])


@kind(NOT_OF_THE_IMAGES, opened=True)
def a_row_that_is_there_twice(folder):
    with_rows(folder, lambda rows: [*rows, rows[0]])


@kind(NOT_OF_THE_IMAGES, opened=True)
def an_image_above(folder):
    folder.with_name("outside.png").write_bytes((folder / "samples/00.png").read_bytes())
    with_row(folder, file="../../outside.png")


@kind(NOT_OF_THE_IMAGES, opened=True)
def an_image_of_the_system(folder):
    with_row(folder, file="/etc/passwd")


@kind("samples/expected.json: 0.label: ", opened=True)
def a_label_that_moves_the_cursor(folder):
    with_row(folder, label="\x1b[2J")


@kind("samples/00.png: its expected outputs are not of the model's classes", opened=True)
def a_label_of_no_class(folder):
    with_row(folder, label="eleven")


@kind("samples/00.png: its expected outputs are not of the model's classes", opened=True)
def probabilities_of_other_classes(folder):
    with_row(folder, probabilities={"zero": 1.0})


@kind("samples/expected.json: is not valid JSON .NaN is no number", opened=True)
def a_probability_that_is_no_number(folder):
    with_row(folder, probabilities={"zero": float("nan")})


@kind("samples/expected.json: 0.probabilities.zero: should be less than", opened=True)
def a_probability_above_one(folder):
    with_row(folder, probabilities={"zero": 2.0})


@kind("samples/expected.json: 0.path: ", opened=True)
def a_key_of_a_row_that_nobody_reads(folder):
    with_row(folder, path="00.png")


@kind("samples/expected.json: is not valid JSON", opened=True)
def expected_outputs_that_are_deep(folder):
    write(folder, "[" * 100_000, EXPECTED)
    redigest(folder)


@kind("samples/expected.json: should be a valid array", opened=True)
def expected_outputs_of_another_form(folder):
    write(folder, {}, EXPECTED)
    redigest(folder)


@kind("samples/00.png: .* no image|samples/00.png: .*00.png is ", opened=True)
def a_sample_that_is_no_image(folder):
    with_image(folder, b"no image")


@kind("samples/00.png: .*its end is missing", opened=True)
def a_sample_that_is_cut(folder):
    with_image(folder, (folder / "samples/00.png").read_bytes()[:-40])


def png(width, height):
    """A grey image of zeros, of a few kilobytes whatever its size."""

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * min(height, 100)), 9)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@kind("samples/00.png: .*pixels; at most", opened=True)
def a_sample_of_a_trillion_pixels(folder):
    with_image(folder, png(1_000_000, 1_000_000))


# What the model computes.

GIVES = r"model.onnx: samples/00.png: expected \w+, fp32 gives "


@kind(GIVES, opened=True)
def other_weights(folder):
    with_weights(folder, lambda values: values[::-1])


@kind(GIVES, opened=True)
def weights_that_give_the_same_labels(folder):
    with_weights(folder, lambda values: values * np.float32(1.01))


@kind("samples/00.png: the model gives values that are not finite", opened=True)
def a_computation_that_gives_no_number(folder):
    with_nodes(folder, node("Log", "minus", "x"), minus=np.float32(-1))


@kind("samples/00.png: the model gives values that are not finite", opened=True)
def infinite_logits_of_finite_probabilities(folder):
    """The probability of minus infinity is 0."""
    row = np.zeros(10, np.float32)
    row[3] = np.finfo(np.float32).min
    with_nodes(folder, node("Mul", "row two", "x"), row=row, two=np.float32(2))


@kind("samples/00.png: the probabilities are not the softmax of the logits", opened=True)
def logits_that_are_not_those_of_the_probabilities(folder):
    def scale(model):
        graph = model.graph
        place = next(k for k, it in enumerate(graph.node) if "logits" in it.output)
        graph.node[place].output[0] = "given"
        for it in graph.node[place + 1 :]:
            it.input[:] = ["given" if name == "logits" else name for name in it.input]
        graph.node.append(node("Neg", "given", "logits"))

    with_model(folder, scale)


# What needs limits.


@kind("model.onnx: takes more than 1 s of processor time", "--timeout=1", limited=True)
def a_computation_without_end(folder):
    products = [node("MatMul", f"m{k} m{k}", f"m{k + 1}") for k in range(300)]
    noise = node("RandomNormal", "", "m0", shape=[2000, 2000])
    noise.ClearField("input")
    total = node("ReduceSum", "m300", "x", keepdims=0)
    with_nodes(folder, noise, *products, total)


@kind("model.onnx: takes more than 1 s|largest difference", "--timeout=1", limited=True)
def ten_thousand_operators(folder):
    first, last = node("Neg", "given", "n0"), node("Identity", "n10000", "x")
    chain = [node("Sin", f"n{k}", f"n{k + 1}") for k in range(10_000)]
    with_nodes(folder, first, *chain, last)


@kind("model.onnx: .*[Ff]ailed to allocate|model.onnx: .*bad_alloc", limited=True)
def a_tensor_of_four_terabytes(folder):
    zeros = node("ConstantOfShape", "shape", "zeros")
    total = node("ReduceSum", "zeros", "x", keepdims=0)
    with_nodes(folder, zeros, total, shape=np.array([1 << 40]))


@kind("model.onnx: .*[Ff]ailed to allocate|model.onnx: .*bad_alloc", limited=True)
def a_tensor_of_two_gigabytes(folder):
    zeros = node("ConstantOfShape", "shape", "zeros")
    total = node("ReduceSum", "zeros", "x", keepdims=0)
    with_nodes(folder, zeros, total, shape=np.array([1 << 29]))


@kind("model.onnx: is fatal to the process that opens it .signal 8", limited=True)
def a_division_that_the_processor_refuses(folder):
    quotient, cast = node("Div", "least minus", "q"), node("Cast", "q", "x", to=1)
    with_nodes(folder, quotient, cast, least=np.array([-(2**63)]), minus=np.array([-1]))
