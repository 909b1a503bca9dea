"""A trained network as a file for other programs: ONNX, or StableHLO.

`inference` says what such a file computes, `translate`, `primitives` and `simplify` make ONNX's operations of it,
`onnx_file` writes them with what a user must know to feed them, and `checking` compares a file with JAX before anybody
gets it.
"""

from rireid_jax.export.inference import INPUTS as INPUTS
from rireid_jax.export.inference import Model as Model
from rireid_jax.export.onnx_file import to_onnx as to_onnx
from rireid_jax.export.stablehlo import to_stablehlo as to_stablehlo
