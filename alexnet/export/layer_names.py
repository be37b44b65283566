"""The names in an exported graph: those of the network's layers, in place of the exporter's.

The exporter notes at each node the modules that it was traced in. A layer that became one node
gives it its name (`conv1`). Of several, the last has the layer's name, as its result is the
layer's; the others add their operator (`lrn1/Pad`). A value is named after the node that makes it,
a constant after the node that reads it (`flatten.shape`).
"""

import ast
from itertools import pairwise

import onnx
from onnxscript import ir

# The exporter's list of a node's modules, the outermost first, and the node itself.
SCOPES = "pkg.torch.onnx.name_scopes"


def name_by_layer(model: ir.Model, network: str) -> None:
    """Rename all nodes, values and weights. network: the name of the module that has the layers.

    Inputs and outputs of the graph keep their names. What `network` computes outside its layers is
    named after the operator.
    """
    graph = model.graph
    values = {str(value.name) for value in (*graph.inputs, *graph.outputs)}
    constants = list(graph.initializers.values())
    for weight in [value for value in constants if "." in str(value.name)]:
        weight.name = _unique(str(weight.name).removeprefix(f"{network}."), values)
        constants.remove(weight)

    nodes: set[str] = set()
    layers = [_module_of(node).removeprefix(network).removeprefix(".") for node in graph]
    for node, (layer, following) in zip(graph, pairwise([*layers, ""]), strict=True):
        inner = f"{layer}/{node.op_type}".lstrip("/")
        name = _unique(layer if layer != following and layer else inner, nodes)
        node.name = name
        for result in node.outputs:
            if not result.is_graph_output():
                result.name = _unique(name, values)
        version = model.opset_imports[node.domain]
        parameters = onnx.defs.get_schema(node.op_type, version, node.domain).inputs
        for index, value in enumerate(node.inputs):
            if value in constants:
                parameter = parameters[min(index, len(parameters) - 1)]  # the last may repeat
                value.name = _unique(f"{name}.{parameter.name}", values)
                constants.remove(value)


def _module_of(node: ir.Node) -> str:
    """The name of the innermost module around a node; empty where there is none."""
    scopes: list[str] = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
    return "".join(scopes[-2:-1])


def _unique(name: str, taken: set[str]) -> str:
    """`name`, with a number if it is taken already; it then is."""
    number = 0
    while (candidate := f"{name}_{number}" if number else name) in taken:
        number += 1
    taken.add(candidate)
    return candidate
