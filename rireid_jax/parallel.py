"""Devices: the only module that knows how many there are and how work is spread over them.

State is replicated, and batches are split along their first axis. `pmap` and `shard_map` run the same per-device step
and give the same numbers.
"""

import difflib
import functools
import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rireid_jax.errors import UserError

AXIS = "batch"
logger = logging.getLogger(__name__)

_GPUS = ("cuda", "gpu")
_PLATFORMS = ("cpu", *_GPUS, "tpu")  # for which the package has an extra
_OTHER_PLATFORMS = ("rocm", "oneapi", "METAL", "mps")
_NVIDIA_DRIVER = "/proc/driver/nvidia/version"
_VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")  # from which JAX takes its backend


def find_devices(alone: bool = False) -> list[jax.Device]:
    """Returns the devices of all processes, or of this process alone.

    Raises:
      UserError: the backend that JAX was told to use is not there.
    """
    try:
        devices = jax.local_devices() if alone else jax.devices()
    except (RuntimeError, AssertionError) as error:  # it only asserts that there is some backend
        raise UserError(_missing_backend(str(error).partition("\n")[0])) from error
    return devices


def _missing_backend(reason: str) -> str:
    """Says which backend is not there, which variable asked for it, and what to install.

    Args:
      reason: JAX's own words; "" where it has none.
    """
    asked = {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)}
    told = ("jax_platforms", _told())
    variable, value = next(iter(asked.items()), told)
    names = [name.strip() for name in value.split(",")]
    unknown = [name for name in names if name not in (*_PLATFORMS, *_OTHER_PLATFORMS)]
    if value and unknown:
        close = difflib.get_close_matches(unknown[0], _PLATFORMS, 1)
        return f"{variable}: found {value!r}, expected {close[0] if close else 'cpu, cuda or tpu'}"
    # The first one that is not there is at fault; the processor always is.
    name = next((name for name in names if name != "cpu"), "cpu")
    if name in _GPUS:
        if _installed("jax_cuda12_plugin", "jax_cuda13_plugin"):
            expected = "a GPU and its driver, as nvidia-smi lists it; in a container, docker run --gpus all"
        else:
            expected = "JAX with CUDA, pip install 'rireid_jax[cuda13]', or 'rireid_jax[cuda12]'"
    elif name == "tpu":
        expected = "a TPU and its library, pip install 'rireid_jax[tpu]'"
    else:
        expected = f"JAX's plugin for {name}"
    because = f" ({reason})" if reason else ""
    return (
        f"{variable}: found {value!r}, which JAX cannot start{because}, expected {expected}; or cpu"
    )


def _unused_gpu(device: jax.Device) -> bool:
    """Whether JAX took the processor by itself though there is a GPU."""
    chosen = any(os.environ.get(name) for name in _VARIABLES) or _told()
    return device.platform == "cpu" and not chosen and os.path.exists(_NVIDIA_DRIVER)


def _told() -> str:
    """The backends that a program asked JAX for by `jax.config.update`."""
    return getattr(jax.config, "jax_platforms", None) or ""


def _installed(*modules: str) -> bool:
    return any(importlib.util.find_spec(module) for module in modules)


class Parallel:
    """The devices of all processes, or of this process alone, as one axis.

    Attributes:
      kind: "pmap" or "shard_map"; always the latter if this version of JAX has no `pmap`.
      num_devices: number of devices on the axis.
      device_kind: what they are, such as "cpu" or "NVIDIA H100 80GB HBM3".
      process_index: number of this process among those that share the work.
      process_count: number of processes that share the work.
    """

    def __init__(self, kind: str, alone: bool = False):
        """Finds the devices.

        Args:
          kind: "pmap" or "shard_map".
          alone: whether this process works by itself, whatever the others do meanwhile.

        Raises:
          UserError: the backend that JAX was told to use is not there.
        """
        if kind == "pmap" and not hasattr(jax, "pmap"):
            logger.info(
                "jax %s has no pmap: shard_map is taken, with the same results", jax.__version__
            )
            kind = "shard_map"
        self.kind = kind
        devices = find_devices(alone)
        if _unused_gpu(devices[0]):
            logger.warning(
                "JAX does not use this machine's NVIDIA GPU: pip install 'rireid_jax[cuda13]', or "
                "'rireid_jax[cuda12]'; JAX_PLATFORMS=cpu if that is meant"
            )
        self.num_devices = len(devices)
        self.device_kind: str = devices[0].device_kind
        self.process_index = 0 if alone else jax.process_index()
        self.process_count = 1 if alone else jax.process_count()
        self._mesh = Mesh(np.array(devices), (AXIS,))
        self._replicated = NamedSharding(self._mesh, PartitionSpec())
        self._split = NamedSharding(self._mesh, PartitionSpec(AXIS))
        self._local = NamedSharding(
            Mesh(np.array(jax.local_devices()), (AXIS,)), PartitionSpec(AXIS)
        )
        self._compiler_options = _compiler_options()

    def check_batch_size(self, field: str, size: int) -> None:
        """Raises UserError unless a global batch splits evenly over the devices."""
        if size % self.num_devices:
            raise UserError(
                f"config.{field}: found {size}, expected a multiple of the {self.num_devices} devices"
            )

    def train_step(
        self, step: Callable[[Any, Any], tuple[Any, Any]]
    ) -> Callable[[Any, Any], tuple[Any, Any]]:
        """Compiles a per-device step for all devices. The state's buffers are donated.

        Args:
          step: step function from `make_train_step(..., axis_name=AXIS)`.

        Returns:
          A function from (`replicate`d state, `split` batch) to (state, metrics), both replicated.
        """
        if self.kind == "pmap":
            mapped = jax.pmap(
                step, AXIS, in_axes=(None, 0), out_axes=(None, None), donate_argnums=(0,)
            )
            if not self._compiler_options or jax.process_count() > 1:
                return mapped
            # pmap itself takes no options; over several processes it cannot be wrapped in jit.
            return jax.jit(mapped, donate_argnums=(0,), compiler_options=self._compiler_options)
        replicated, split = PartitionSpec(), PartitionSpec(AXIS)
        return jax.jit(
            jax.shard_map(
                step,
                mesh=self._mesh,
                in_specs=(replicated, split),
                out_specs=(replicated, replicated),
            ),
            donate_argnums=(0,),
            compiler_options=self._compiler_options,
        )

    def evaluation_step(self, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Compiles `function(variables, batch)`, whose outputs are gathered on every device."""
        return jax.jit(
            function,
            in_shardings=(self._replicated, self._split),
            out_shardings=self._replicated,
            compiler_options=self._compiler_options,
        )

    def replicate(self, tree: Any) -> Any:
        """Turns host or device values, the same in all processes, into arrays that every device holds whole."""
        if self.process_count == 1:
            return jax.device_put(tree, self._replicated)
        return jax.tree.map(self._replicate_over_processes, tree)

    def _replicate_over_processes(self, value: Any) -> jax.Array:
        if isinstance(value, jax.Array):
            if not value.is_fully_addressable:
                return value
            if value.sharding.device_set == set(jax.local_devices()) and value.is_fully_replicated:
                # `pmap` returns arrays that are whole on every device of this process. Nothing is copied.
                shards = [shard.data for shard in value.addressable_shards]
                return jax.make_array_from_single_device_arrays(
                    value.shape, self._replicated, shards
                )
        whole = np.asarray(value)
        return jax.make_array_from_callback(
            whole.shape, self._replicated, lambda place: whole[place]
        )

    def abstract(self, tree: Any) -> Any:
        """Returns the shapes of a tree with the sharding that `replicate` gives to arrays."""
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._replicated), tree
        )

    def split(self, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        """Turns this process's part of a global batch into arrays split over all devices."""
        with jax.transfer_guard("allow"):  # over several processes JAX takes it for implicit
            return {
                name: jax.make_array_from_process_local_data(self._split, value)
                for name, value in batch.items()
            }

    def split_for_training(self, batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Does what `split` does, in the form that `train_step` expects."""
        if self.kind == "pmap":
            local = jax.local_device_count()
            shaped = {
                name: value.reshape(local, value.shape[0] // local, *value.shape[1:])
                for name, value in batch.items()
            }
            return jax.device_put(shaped, self._local)
        return self.split(batch)


@functools.cache  # asking XLA takes a compilation, and every Extractor has a Parallel
def _compiler_options() -> dict[str, str] | None:
    """XLA's options on CPU: YNNPACK computes products and sums, as by default in jaxlib 0.10, but no convolutions.

    Its gradients of convolutions by their kernels take up to four times as long as Eigen's, which does the rest.
    None on other devices, and where XLA does not know the option.
    """
    if jax.default_backend() != "cpu":
        return None
    kinds = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    options = {"xla_cpu_experimental_ynn_fusion_type": kinds}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return None
    return options
