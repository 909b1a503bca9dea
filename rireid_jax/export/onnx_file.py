"""Writes a network as an ONNX file, opset 17, with what a user must know to feed it."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

import rireid_jax.export.primitives  # noqa: F401  registers what `translated` knows
from rireid_jax.errors import UserError
from rireid_jax.export.checking import refuse_if_different
from rireid_jax.export.graph import BATCH, FLOAT, Op, depends_on_batch, in_order
from rireid_jax.export.inference import OUTPUTS, Model, answering, inputs_of
from rireid_jax.export.simplify import simplified
from rireid_jax.export.translate import Untranslatable, translated
from rireid_jax.models.convolutions import as_one_operation
from rireid_jax.models.pixels import DEVIATION, MEAN

if TYPE_CHECKING:
    import onnx
    import onnxruntime

logger = logging.getLogger(__name__)

OPSET, IR_VERSION = 17, 8  # those of ONNX 1.12, from 2022
_MOST_BYTES = 2**31 - 2**20  # of a file in protobuf
# Inputs of ONNX's operations that are lists of whole numbers, from what an `Op` has as attributes or shape.
_LISTS = {
    "Slice": ("starts", "ends", "axes", "steps"),
    "ReduceSum": ("axes",),
    "Pad": ("pads",),
}


def to_onnx(model: Model, input_kind: str = "uint8") -> bytes:
    """A network as the content of an ONNX file, which onnxruntime has compared with JAX.

    The inputs are `image` and, if the network sees it, `native_width`; the outputs are those of `features`, `gates` and
    `restored` that it has (`inference.answering`). Any number of images is taken at once.

    Raises:
      UserError: onnx or onnxruntime is missing, the network has something that ONNX has not, or the file's answers
        differ from JAX's.
    """
    _, runtime = _packages()
    content = unchecked_file(model, input_kind).SerializeToString()
    session = session_of(content, runtime)
    error = refuse_if_different(model, input_kind, lambda inputs: answers_of(session, inputs))
    logger.info("%s: the file's answers differ from JAX's by %.1e at most", model, error)
    return content


def graph_of(model: Model, input_kind: str) -> dict[str, Op]:
    """The operations that compute each output."""
    inputs = inputs_of(model, input_kind, BATCH)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype), model.variables)
    with as_one_operation():
        traced, outputs = jax.make_jaxpr(answering(model, input_kind), return_shape=True)(
            shapes, *inputs.values()
        )
    arguments = [
        *jax.tree.leaves(jax.device_get(model.variables)),
        *(Op("Input", (), spec.shape, spec.dtype, name=name) for name, spec in inputs.items()),
    ]
    try:
        found = simplified(translated(traced, arguments))
    except Untranslatable as error:
        place = error.place or "the network"
        raise UserError(
            f"{model}: found {error} in {place}, expected what --format onnx can hold"
        ) from error
    return dict(zip(jax.tree.leaves({name: name for name in outputs}), found, strict=True))


def session_of(content: bytes, runtime: Any) -> "onnxruntime.InferenceSession":
    """A file as onnxruntime runs it on the CPU."""
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def answers_of(
    session: "onnxruntime.InferenceSession", inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """A session's outputs by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def metadata_of(model: Model, input_kind: str, outputs: Collection[str]) -> dict[str, str]:
    """What a user must know to feed the file and to compare its features, as it stands in `metadata_props`.

    Args:
      model: what was exported.
      input_kind: one of `inference.INPUTS`.
      outputs: names of the outputs that the file has.
    """
    height, width = model.image_size
    as_bytes = input_kind == "uint8"
    about = {
        "image": f"{'uint8' if as_bytes else 'float32'} [N, {'H, W, 3' if as_bytes else '3, H, W'}]",
        "image_layout": "NHWC" if as_bytes else "NCHW",
        "image_height": str(height),
        "image_width": str(width),
        "colour_order": "RGB",
        "mean": ",".join(map(str, MEAN)),
        "deviation": ",".join(map(str, DEVIATION)),
        "normalise": "in the file: (image / 255 - mean) / deviation"
        if as_bytes
        else "before the file: image = (pixels / 255 - mean) / deviation",
        "resize": "Pillow's BILINEAR (with antialiasing) of the upright RGB image to image_width x image_height",
        "native_width": "int32 [N], pixels of the images before they were resized"
        if model.sees_native_width
        else "not needed",
        "restored": "float32 [N, H, W, 3] in [0, 1]"
        if as_bytes
        else "float32 [N, 3, H, W], normalised as image is",
        "gates": "(wL, wH) of each dual-stream block",
        "features_normalised": str(model.normalised).lower(),
        "distance": "Euclidean",
        "width_max": str(model.width_max),
        "fingerprint": model.fingerprint,
        "stage": model.stage,
        **model.names,
    }
    lacking = {*OUTPUTS} - {*outputs}
    return {f"rireid.{name}": value for name, value in about.items() if name not in lacking}


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"--format onnx: {error}, expected the packages of pip install 'rireid_jax[export]'"
        ) from error
    return onnx, onnxruntime


def unchecked_file(model: Model, input_kind: str) -> "onnx.ModelProto":
    """The file before it has been compared with JAX."""
    import onnx

    outputs = graph_of(model, input_kind)
    writer = _Writer()
    for op in in_order(list(outputs.values())):
        writer.add(op)
    # An output may be an input of other operations, or of two names, and has its own name only by this.
    for name, op in outputs.items():
        writer.rename(op, name)
    if sum(array.nbytes for array in writer.arrays.values()) > _MOST_BYTES:
        raise UserError(
            f"{model}: found more than 2 GiB of weights, expected less for an ONNX file"
        )
    graph = onnx.helper.make_graph(
        writer.nodes,
        "rireid",
        [_described(name, spec) for name, spec in inputs_of(model, input_kind, BATCH).items()],
        [_described(name, op) for name, op in outputs.items()],
        [onnx.numpy_helper.from_array(array, name) for name, array in writer.arrays.items()],
    )
    file = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="rireid_jax",
        producer_version=version("rireid_jax"),
    )
    onnx.helper.set_model_props(file, metadata_of(model, input_kind, outputs))
    onnx.checker.check_model(file, full_check=True)
    return file


def _described(name: str, value: Any) -> "onnx.ValueInfoProto":
    import onnx

    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
    shape = ["N" if depends_on_batch(size) else size for size in value.shape]
    return onnx.helper.make_tensor_value_info(name, kind, shape)


class _Writer:
    """Collects nodes and arrays, and gives them names.

    Attributes:
      nodes: in an order in which each follows its inputs.
      arrays: weights and other constants, by name.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.arrays: dict[str, np.ndarray] = {}
        self._names: dict[Op, str] = {}
        self._counts: Counter[str] = Counter()

    def add(self, op: Op) -> None:
        """Writes an operation, whose inputs must have been written."""
        if op.kind == "Input":
            self._names[op] = op.name
        elif op.value is not None:
            dtype = FLOAT if op.value.dtype.kind == "f" else op.value.dtype
            self._names[op] = self._array(np.asarray(op.value, dtype, order="C"))
        else:
            inputs = [self._names[source] for source in op.inputs]
            self._names[op] = self._node(op, inputs)

    def rename(self, op: Op, name: str) -> None:
        """Gives an output its name."""
        import onnx

        old = self._names[op]
        written = [node for node in self.nodes if old in node.output]
        if not written or old == name or old in OUTPUTS:
            self.nodes.append(onnx.helper.make_node("Identity", [old], [name]))
            return
        for node in self.nodes:
            for names in (node.input, node.output):
                for place, found in enumerate(names):
                    if found == old:
                        names[place] = name
        self._names[op] = name

    def _node(self, op: Op, inputs: list[str]) -> str:
        import onnx

        attributes = dict(op.attributes)
        for name in _LISTS.get(op.kind, ()):
            inputs.append(self._array(np.asarray(attributes.pop(name), np.int64)))
        if op.kind == "Pad":  # which wants the filling last
            inputs[1:] = inputs[:0:-1]
        if op.kind == "Reshape":
            shape = [-1 if depends_on_batch(size) else size for size in op.shape]
            if shape.count(-1) > 1:
                raise UserError(
                    "--format onnx: found an array with two axes of images, expected one"
                )
            inputs.append(self._array(np.asarray(shape, np.int64)))
        if op.kind == "Expand":
            inputs.append(self._sizes(op))
        if op.kind == "Cast":
            attributes["to"] = onnx.helper.np_dtype_to_tensor_dtype(op.dtype)
        output = self._new(op.kind)
        self.nodes.append(onnx.helper.make_node(op.kind, inputs, [output], output, **attributes))
        return output

    def _sizes(self, op: Op) -> str:
        """The shape of an `Expand`, whose batch is that of the input."""
        import onnx

        whole, first, sizes = self._new("Shape"), self._new("Slice"), self._new("Concat")
        self.nodes.append(onnx.helper.make_node("Shape", ["image"], [whole]))
        self.nodes.append(
            onnx.helper.make_node("Slice", [whole, *map(self._list, ((0,), (1,)))], [first])
        )
        parts = [first if depends_on_batch(size) else self._list((size,)) for size in op.shape]
        self.nodes.append(onnx.helper.make_node("Concat", parts, [sizes], axis=0))
        return sizes

    def _list(self, numbers: Sequence[int]) -> str:
        return self._array(np.asarray(numbers, np.int64))

    def _array(self, array: np.ndarray) -> str:
        name = self._new("constant")
        self.arrays[name] = array
        return name

    def _new(self, kind: str) -> str:
        self._counts[kind] += 1
        return f"{kind}_{self._counts[kind]}"
