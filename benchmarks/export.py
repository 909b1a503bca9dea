"""Compares exported ONNX files with PyTorch's exporter and with JAX, at the paper's size, and writes export.md.

Nodes: those of our file and of PyTorch's own export of the same network in tests/torch_reference (torch.onnx.export by
tracing, the same opset), both for normalised float images and without Constant and Identity nodes, which only hold
weights and shapes. Errors: the greatest difference of an output from JAX's as a share of its greatest magnitude, for 1,
7 and 64 random images. Times: onnxruntime and our JAX inference on the same uint8 images, each with the threads that it
takes by default, in turns.

PYTHONPATH=tests python benchmarks/export.py [NAME ...]
"""

import argparse
import io
import statistics
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import onnxruntime
import torch
from measuring import interleaved, machine
from networks import NETWORKS, network_of
from parity.pairs import reference_of
from torch_reference.csr_gan import Generator
from torch_reference.released import ReleasedNetwork

from rireid_jax import export
from rireid_jax.export.inference import answering, random_inputs
from rireid_jax.export.onnx_file import answers_of, session_of, unchecked_file
from rireid_jax.models.network import Network, variable_shapes

PAGE = Path(__file__).with_suffix(".md")
SIZE = (256, 128)
BATCHES = (1, 7, 64)
HOLD_ONLY = ("Constant", "Identity")
STAGES = (3, 4, 6, 3)
COLUMNS = (
    *("network", "nodes", "PyTorch's", "ratio", "error at 1", "7", "64"),
    *("ms/image at 1: onnxruntime", "JAX", "ratio", "at 64: onnxruntime", "JAX", "ratio"),
    "MB",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NETWORKS, help="all by default")
    parser.add_argument("--rounds", type=int, default=3, help="timed calls of 64 images; 3")
    arguments = parser.parse_args()
    rows = {name: counts(name) for name in arguments.names}
    write(rows)
    for name in arguments.names:
        rows[name] += measured(name, arguments.rounds)
        print(*rows[name], sep="  ", flush=True)
        write(rows)


def counts(name: str) -> list[str]:
    """The nodes of a network's file."""
    ours = counted(unchecked_file(model_of(name), "float"))
    theirs = pytorch_nodes(name)
    return [name, str(ours), str(theirs), f"{ours / theirs:.2f}"]


def measured(name: str, rounds: int) -> list[str]:
    """Errors and times of a network's file, whose size is the last."""
    model = model_of(name)
    content = unchecked_file(model, "uint8").SerializeToString()
    session = session_of(content, onnxruntime)
    answer = jax.jit(answering(model, "uint8"))
    variables = jax.device_put(model.variables)
    errors, times = [], []
    for number in (BATCHES[-1], BATCHES[0]):
        inputs = random_inputs(model, "uint8", number)
        functions = {
            "onnxruntime": lambda inputs=inputs: answers_of(session, inputs),
            "jax": lambda inputs=inputs: jax.device_get(answer(variables, *inputs.values())),
        }
        if not errors:
            expected = functions["jax"]()
            errors = [error(session, inputs, expected, n) for n in BATCHES]
        seconds = interleaved(functions, rounds=15 if number == 1 else rounds, warmup=1)
        runtime, in_jax = (statistics.median(seconds[name]) / number for name in functions)
        times = [f"{1e3 * runtime:.1f}", f"{1e3 * in_jax:.1f}", f"{in_jax / runtime:.2f}", *times]
    return [*(f"{worst:.0e}" for worst in errors), *times, f"{len(content) / 1e6:.1f}"]


def error(session: Any, inputs: Mapping[str, Any], expected: Mapping[str, Any], n: int) -> float:
    """The greatest difference of the first n images' answers, as a share of the greatest magnitude."""
    found = answers_of(session, {name: images[:n] for name, images in inputs.items()})
    return max(
        float(np.abs(found[name] - rows[:n]).max() / np.abs(rows[:n]).max())
        for name, rows in expected.items()
    )


def model_of(name: str) -> export.Model:
    """A network of the paper's size with random weights."""
    network = network_of(name, width=1, generator_blocks=16)
    return export.Model(network, variables_of(network), SIZE, False, SIZE[1])


def variables_of(network: Network) -> dict[str, Any]:
    """Random weights and statistics under which no layer's output grows or shrinks much."""
    rng = np.random.default_rng(0)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) == 1:
            return rng.uniform(0.5, 1.0, shape).astype(np.float32)
        deviation = np.sqrt(1 / np.prod(shape[:-1]))
        return (deviation * rng.standard_normal(shape)).astype(np.float32)

    return jax.tree.map(lambda leaf: draw(leaf.shape), variable_shapes(network, SIZE))


def pytorch_nodes(name: str) -> int:
    """Operations of PyTorch's export of the same network; 0 if it cannot be exported.

    For CSR-GAN, those of its three generators alone: PyTorch's way to choose among them is Python, and its antialiased
    cubic resizing has no counterpart in ONNX. For the authors' RIFE, those without their super-resolution network.
    """
    if name == "csr_gan":
        return 3 * exported_nodes(Generator(16, 1.0))
    if name == "rife_released":
        whole = ReleasedNetwork(5, STAGES, 1.0)
        return exported_nodes(whole) - exported_nodes(whole.SRnet)
    reference = reference_of(name, STAGES, 1.0)
    if isinstance(reference, torch.nn.ModuleDict):
        (reference,) = reference.values()
    return exported_nodes(reference)


def exported_nodes(reference: torch.nn.Module) -> int:
    """Operations of PyTorch's export of a network."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            reference.eval(),
            (torch.rand(2, 3, *SIZE),),
            buffer,
            opset_version=17,
            dynamo=False,
            input_names=["image"],
            dynamic_axes={"image": {0: "N"}},
        )
    return counted(onnx.load_from_string(buffer.getvalue()))


def counted(file: onnx.ModelProto) -> int:
    """Nodes that compute something."""
    return sum(node.op_type not in HOLD_ONLY for node in file.graph.node)


def write(rows: Mapping[str, list[str]]) -> None:
    """The page of what has been measured so far."""
    lines = [
        "# Exported files",
        "",
        f"Written by `PYTHONPATH=tests python benchmarks/export.py`, {SIZE[0]}x{SIZE[1]} images. A ratio of nodes is",
        "ours to PyTorch's, a ratio of times is JAX's to onnxruntime's: above 1, the file is faster. A row that is not",
        "complete has not been measured to its end.",
        "",
        *(f"- {name}: {value}" for name, value in machine().items()),
        f"- onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" * len(COLUMNS) + "|",
        *(
            "| " + " | ".join(row + ["-"] * (len(COLUMNS) - len(row))) + " |"
            for row in rows.values()
        ),
        "",
    ]
    PAGE.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
