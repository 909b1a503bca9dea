"""Writes a network as StableHLO, by `jax.export`: for serving with JAX, not for keeping.

JAX promises to read such a file for six months. It holds the weights, and programs for CPU, CUDA and TPU.
"""

from collections.abc import Mapping

import jax
import numpy as np
from jax import export

from rireid_jax.export.checking import refuse_if_different
from rireid_jax.export.inference import Model, answering, inputs_of

PLATFORMS = ("cpu", "cuda", "tpu")


def to_stablehlo(model: Model, input_kind: str = "uint8") -> bytes:
    """A network as the content of a file for `jax.export.deserialize(content).call(image)`, compared with the network.

    It takes any number of images at once, and gives the outputs of `inference.answering` as a dictionary.

    Raises:
      UserError: its answers differ from the network's.
    """
    answer = answering(model, input_kind)
    variables = jax.device_get(model.variables)
    (number,) = export.symbolic_shape("N")
    inputs = inputs_of(model, input_kind, number)
    exported = export.export(
        jax.jit(lambda *images: answer(variables, *images)), platforms=PLATFORMS
    )(*inputs.values())
    content = bytes(exported.serialize(vjp_order=0))
    read = export.deserialize(bytearray(content))

    def run(images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with jax.default_matmul_precision("highest"):
            return jax.device_get(read.call(*images.values()))

    refuse_if_different(model, input_kind, run)
    return content
