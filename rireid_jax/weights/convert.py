"""Converts strictly between a PyTorch `state_dict` and our variables."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from rireid_jax.errors import UserError
from rireid_jax.models.ffsr_released import ReleasedFFSR
from rireid_jax.models.interfaces import Part
from rireid_jax.models.network import Network, zero_variables
from rireid_jax.models.resnet50 import ResNet
from rireid_jax.models.rife import Gating
from rireid_jax.models.rife_released import ReleasedRIFE
from rireid_jax.models.torch_names import AXES, COUNTER, Place, Tensor
from rireid_jax.weights.files import StateDict, read_state_dict
from rireid_jax.weights.prefixes import with_names

Variables = dict[str, dict[str, Any]]

_ANYTHING = re.compile(r".*")
_COUNTERS = re.compile(rf"(.*\.)?{COUNTER}")  # our batch norms have none
# Keys that follow the last stage of a backbone: classifiers and necks of ImageNet models, torchreid and fast-reid.
# fast-reid also stores the mean and deviation by which it normalises pixels, which are ImageNet's.
_AFTER_BACKBONE = re.compile(r"(fc|classifier|last_linear|heads)\..*|pixel_(mean|std)")
# Other spellings of a backbone's keys, and ours: those of fast-reid, of the SE-ResNet50 of pretrained-models.pytorch
# (also used by torchreid), and of the DenseNet121 file that torchvision downloads.
_SPELLINGS = (
    (re.compile(r"^backbone\."), ""),
    (re.compile(r"(^|\.)layer0\."), r"\1"),
    (re.compile(r"\.se_module\."), ".se."),
    (re.compile(r"(\.denselayer\d+\.(norm|conv))\.([12])\."), r"\1\3."),
)


@dataclass(frozen=True)
class Loaded:
    """Says for every key of a `state_dict` whether it was loaded.

    Attributes:
      loaded: keys whose values are now in our variables.
      skipped: known keys that have no use here.
      unexpected: unknown keys.
      prefix: how the keys of the file differ from those looked for, in words; "" if they do not.
    """

    loaded: tuple[str, ...]
    skipped: tuple[str, ...]
    unexpected: tuple[str, ...]
    prefix: str = ""

    def __str__(self) -> str:
        text = f"{len(self.loaded)} keys loaded, {len(self.skipped)} skipped"
        if self.prefix:
            text += f", {self.prefix}"
        if self.unexpected:
            text += f", {len(self.unexpected)} unexpected: {_some(self.unexpected)}"
        return text


def load_released(path: str | Path) -> tuple[Network, Variables, Loaded]:
    """Loads a checkpoint of the authors' released code.

    Returns:
      The network with the checkpoint's number of identities, its variables, and what was loaded.

    Raises:
      UserError: the file cannot be read, or lacks a tensor.
    """
    state = read_state_dict(path)
    state, prefix = with_names(state, _released(identities=1).torch_names(), str(path))
    network = _released(state.get("model1.fc.weight", np.zeros((0, 0))).shape[0])
    variables, report = from_state_dict(state, network, str(path))
    return network, variables, replace(report, prefix=prefix)


def _released(identities: int) -> Network:
    extractor = ReleasedRIFE(identities, gating=Gating(16), last_stride=1)
    return Network(ReleasedFFSR(), extractor)


def load_resnet50(path: str | Path) -> tuple[Network, Variables, Loaded]:
    """Loads a ResNet50 of torchvision, torchreid or fast-reid; its feature is the pooled map, 2048-D.

    This is torchreid's feature. fast-reid's networks have a last stride of 1, which is set if the keys are fast-reid's.
    They also have another padding in the pooling of the stem and a batch norm after the last pooling, which are not
    reproduced, so their features here are close to the original ones but not equal.

    Returns:
      The network, without super-resolution and without identities, its variables, and what was loaded.

    Raises:
      UserError: the file cannot be read, or lacks a tensor.
    """
    state = read_state_dict(path)
    last_stride = 1 if any(re.match(r"(.*\.)?backbone\.", key) for key in state) else 2
    extractor = ResNet(num_classes=0, neck="none", last_stride=last_stride)
    network = Network(None, extractor)
    variables = zero_variables(network)
    report = _load_backbone(state, str(path), network, variables)
    return network, variables, report


def load_backbone(path: str | Path, network: Network, variables: Variables) -> Loaded:
    """Loads the stem and stages of an extractor from a backbone file, into both streams if it has two.

    Args:
      path: file of a `state_dict`: of the same extractor as `Extractor.to_torch` writes it, whose head counts where it
        has the same shape; or, usually trained on ImageNet, a ResNet50 of torchvision, torchreid or fast-reid; for
        "densenet121" a DenseNet121 of torchvision or torchreid; for "se_resnet50" an SE-ResNet50 of timm
        (`seresnet50`), pretrained-models.pytorch or torchreid. The latter two were trained with the stride of a stage
        one convolution earlier.
      network: network with an extractor.
      variables: variables of the network, {"params": {"extractor": ...}, "batch_stats": ...}; changed in place.

    Raises:
      UserError: the file cannot be read, lacks a tensor, or has another width or depth.
    """
    state = read_state_dict(path)
    rows = _own_rows(state, network, variables)
    if rows:
        return _fill(variables, state, rows, [_ANYTHING], str(path))
    return _load_backbone(state, str(path), network, variables)


def _own_rows(state: StateDict, network: Network, variables: Variables) -> list[Tensor]:
    """The rows of an extractor that a file holds under the extractor's own names, with a part of its head at least."""
    assert network.extractor is not None
    if type(network.extractor).torch_names is Part.torch_names:  # it has none
        return []
    rows = [row.inside("extractor") for row in network.extractor.torch_names()]
    body = [row for row in rows if "head" not in row.places[0]]
    if not all(any(name in state for name in row.names) for row in body):
        return []
    head = [row for row in rows if "head" in row.places[0]]
    fitting = [
        row
        for row in head
        if row.names[0] in state and _fault(state[row.names[0]], row, variables) is None
    ]
    return body + fitting if fitting else []


def from_state_dict(
    state: StateDict, network: Network, source: str = "state_dict"
) -> tuple[Variables, Loaded]:
    """Reads all variables of a network from a `state_dict` with the names of its `torch_names`.

    Args:
      state: arrays by key.
      network: network that determines names and shapes.
      source: name of the source of `state` in error messages.

    Raises:
      UserError: a module of the network has no names; a tensor is missing, has a wrong shape, or is not finite; or a
        tensor that is stored under two keys has different values there.
    """
    rows = network.torch_names()
    variables = zero_variables(network)
    unused = [part.unused_names for part in network.modules().values() if part.unused_names]
    return variables, _fill(variables, state, rows, unused, source)


def to_state_dict(variables: Variables, network: Network) -> StateDict:
    """Returns the `state_dict` of the same network in PyTorch, for `load_state_dict(strict=True)`.

    Keys of the same tensor share one array. Tensors that the network in PyTorch does not use are included.

    Raises:
      UserError: a module of the network has no names.
    """
    state: dict[str, np.ndarray] = {}
    for row in network.torch_names():
        array = np.asarray(_get(variables, row.places[0]))
        array = np.ascontiguousarray(array.transpose(np.argsort(AXES[row.kind])))
        counter = np.zeros((), np.int64)
        for name in row.names:
            state[name] = array
            module, _, end = name.rpartition(".")
            if end == "running_var":
                state[f"{module}.{COUNTER}"] = counter
    for part in network.modules().values():
        state |= part.unused_tensors(state)
    return state


def _load_backbone(state: StateDict, source: str, network: Network, variables: Variables) -> Loaded:
    assert network.extractor is not None
    state = {_respelled(key): value for key, value in state.items()}
    rows = [row.inside("extractor") for row in network.extractor.backbone_names()]
    return _fill(variables, state, rows, [_AFTER_BACKBONE], source)


def _respelled(key: str) -> str:
    for spelling, ours in _SPELLINGS:
        key = spelling.sub(ours, key)
    return key


def _fill(
    variables: Variables,
    state: StateDict,
    rows: Sequence[Tensor],
    unused: Sequence[re.Pattern[str]],
    source: str,
) -> Loaded:
    """Puts the tensor of every row in its places; `unused` matches keys that have no counterpart here."""
    state, prefix = with_names(state, rows, source)
    known = (_COUNTERS, *unused)
    problems = []
    missing = [row.names[0] for row in rows if not any(name in state for name in row.names)]
    if missing:
        expected = {name for row in rows for name in row.names}
        others = [
            key
            for key in sorted(state.keys() - expected)
            if not any(p.fullmatch(key) for p in known)
        ]
        found = f" (found {len(others)} others: {_some(others)})" if others else ""
        problems.append(
            f"{len(missing)} of {len(rows)} tensors are missing: {_some(missing)}{found}"
        )
    loaded: list[str] = []
    for row in rows:
        names = [name for name in row.names if name in state]
        for name in names:
            problem = _fault(state[name], row, variables)
            if problem is None and not np.array_equal(state[name], state[names[0]]):
                problem = f"differs from {names[0]}, which is the same tensor"
            if problem is not None:
                problems.append(f"{name} {problem}")
        loaded += names
        if names and not problems:
            for place in row.places:
                like = _get(variables, place)
                array = state[names[0]].transpose(AXES[row.kind])
                # A copy in our order of axes, because the memory of the file may be shared and read-only.
                _get(variables, place[:-1])[place[-1]] = np.array(array, like.dtype, order="C")
    if problems:
        raise UserError(f"{source}: {_some(problems, '; ')}")
    rest = sorted(state.keys() - set(loaded))
    skipped = {key for key in rest if any(p.fullmatch(key) for p in known)}
    unexpected = tuple(key for key in rest if key not in skipped)
    return Loaded(tuple(loaded), tuple(sorted(skipped)), unexpected, prefix)


def _fault(array: np.ndarray, row: Tensor, variables: Variables) -> str | None:
    shape = _get(variables, row.places[0]).shape
    expected = [shape[axis] for axis in np.argsort(AXES[row.kind])]
    if list(array.shape) != expected:
        return f"is {list(array.shape)}, expected {expected}"
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return f"is {array.dtype}, expected floating point numbers"
    if not np.isfinite(array).all():
        return "is not finite"
    return None


def _get(tree: Any, place: Place) -> Any:
    for name in place:
        tree = tree[name]
    return tree


def _some(items: Iterable[str], separator: str = ", ") -> str:
    items = list(items)
    if separator == ", ":  # names, which may be of any length in somebody's file
        items = [f"{item[:57]}..." if len(item) > 60 else item for item in items]
    more = f"{separator}and {len(items) - 4} more" if len(items) > 4 else ""
    return separator.join(items[:4]) + more
