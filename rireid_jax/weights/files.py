"""Reads and writes files of PyTorch weights, `.pth` and `.safetensors`, without running any code in them."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors.numpy

from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

StateDict = Mapping[str, np.ndarray]

# Training scripts save weights inside a dictionary (torchreid {"state_dict", "rank1", "epoch"}, fast-reid {"model"}).
_WRAPPERS = ("state_dict", "model")


class _Inert:
    """An object without content that replaces a NumPy scalar in a checkpoint, such as torchreid's Rank-1."""

    def __init__(self, *args: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


_INERT_NAMES = (
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
)


def read_state_dict(path: str | Path) -> StateDict:
    """Reads a `state_dict`, alone or inside a training checkpoint.

    Args:
      path: a `.safetensors` file, or any file of `torch.save`, which needs PyTorch.

    Returns:
      Arrays by key, as stored; the prefix "module." of PyTorch's data parallelism is removed.

    Raises:
      UserError: there is no such file, it is damaged, or it contains more than data.
    """
    path = Path(expanded(path, "path"))
    if not path.is_file():
        raise UserError(f"{path}: found no such file, expected PyTorch weights")
    arrays = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    state = {key.removeprefix("module."): value for key, value in arrays.items()}
    if len(state) != len(arrays):
        raise UserError(f"{path}: found keys with and without 'module.', expected either")
    return state


def write_state_dict(path: str | Path, state: StateDict) -> None:
    """Writes a `state_dict` that PyTorch can load, as `.safetensors` or with `torch.save`.

    Raises:
      UserError: the file cannot be written, or PyTorch is needed but not installed.
    """
    path = Path(expanded(path, "path"))
    try:
        if path.suffix == ".safetensors":
            safetensors.numpy.save_file(dict(state), path)
            return
        torch = _torch(path)
        # Keys that share an array get one tensor, which `torch.save` stores once.
        tensors = {id(array): torch.from_numpy(array.copy()) for array in state.values()}
        torch.save({key: tensors[id(array)] for key, array in state.items()}, path)
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: {error}, expected a file that can be written") from error


def _read_safetensors(path: Path) -> StateDict:
    try:
        return safetensors.numpy.load_file(path)
    except Exception as error:  # a damaged header can raise almost any exception
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> StateDict:
    torch = _torch(path)
    inert: list[Any] = [(_Inert, name) for name in _INERT_NAMES]
    try:
        with torch.serialization.safe_globals(inert):
            payload = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        if wanted is None:
            raise _damaged(path, error) from error
        raise UserError(
            f"{path}: found a pickle that calls {wanted[1]}, which was not done, expected tensors only"
        ) from error
    except Exception as error:  # torch.load also raises many kinds for a damaged file
        raise _damaged(path, error) from error
    for name in _WRAPPERS:
        if isinstance(payload, dict) and isinstance(payload.get(name), dict):
            payload = payload[name]
    payload = _only_weights(path, payload, torch)
    if not isinstance(payload, dict):
        raise UserError(f"{path}: found {type(payload).__name__}, expected a state_dict")
    state = {}
    for key, value in payload.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise UserError(
                f"{path}: found {type(value).__name__} under {key!r}, expected tensors by name"
            )
        state[key] = _array(path, key, value)
    return state


def _only_weights(path: Path, payload: Any, torch: Any) -> Any:
    """The dictionary of tensors inside a checkpoint that has one under any other name."""
    if not isinstance(payload, dict) or any(isinstance(v, torch.Tensor) for v in payload.values()):
        return payload
    found = [
        name
        for name, value in payload.items()
        if isinstance(value, dict) and any(isinstance(v, torch.Tensor) for v in value.values())
    ]
    if len(found) > 1:
        names = ", ".join(map(repr, found))
        raise UserError(f"{path}: found weights under {names}, expected those of one network")
    return payload[found[0]] if found else payload


def _array(path: Path, key: str, tensor: Any) -> np.ndarray:
    """Returns an array on the tensor's own memory, so that a tensor of absurd shape in a bad file is never copied."""
    torch = _torch(path)
    try:
        tensor = tensor.detach()
        if tensor.dtype == torch.bfloat16:
            return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return tensor.numpy()
    except Exception as error:  # sparse, quantized or meta tensors
        raise UserError(
            f"{path}: {key} is {tensor.layout} {tensor.dtype} on {tensor.device}, expected numbers"
        ) from error


def _torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path}: PyTorch is not installed, which all but .safetensors files need; "
            "pip install 'rireid_jax[torch]'"
        ) from error
    return torch


def _damaged(path: Path, error: Exception) -> UserError:
    reason = str(error).partition("\n")[0].partition(". ")[0]
    return UserError(
        f"{path}: damaged ({type(error).__name__}: {reason}), expected PyTorch weights"
    )
