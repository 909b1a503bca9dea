"""Networks with random weights, and their files as onnxruntime runs them."""

import jax
import numpy as np
import onnxruntime
from networks import network_of

from rireid_jax.export import Model
from rireid_jax.export.onnx_file import answers_of, session_of, unchecked_file
from rireid_jax.models.network import variable_shapes


def model_of(network, size=(32, 16), normalised=False) -> Model:
    """A network, or that of a name, with random weights and statistics."""
    network = network_of(network) if isinstance(network, str) else network
    rng = np.random.default_rng(0)

    def draw(leaf):
        if len(leaf.shape) == 1:
            return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        deviation = np.prod(leaf.shape[:-1]) ** -0.5
        return (deviation * rng.standard_normal(leaf.shape)).astype(np.float32)

    variables = jax.tree.map(draw, variable_shapes(network, size))
    return Model(network, variables, size, normalised, size[1], "0123456789abcdef", "joint")


def running(content: bytes):
    """A file's content as a function from inputs to outputs, by name."""
    session = session_of(content, onnxruntime)
    return lambda inputs: answers_of(session, inputs)


def file_of(model, input_kind):
    """A model's file, and the function that it is."""
    file = unchecked_file(model, input_kind)
    return file, running(file.SerializeToString())


def nodes(file) -> list[str]:
    """The kinds of a file's nodes that compute something."""
    kinds = [node.op_type for node in file.graph.node]
    return [kind for kind in kinds if kind not in ("Constant", "Identity")]
