"""The stages at a size that compiles in seconds, and batches for them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from rireid_jax.config import base_config
from rireid_jax.models.interfaces import Extractor
from rireid_jax.models.layers import BatchNorm
from rireid_jax.models.network import Network, create_network, variable_shapes
from rireid_jax.models.resnet50 import Head
from rireid_jax.parallel import Parallel
from rireid_jax.training.optimizer import create_optimizer
from rireid_jax.training.state import TrainState, create_state
from rireid_jax.training.step import StepFunction, make_train_step

IMAGE_SIZE = (32, 16)
IDENTITIES = 4
STEPS_PER_EPOCH = 2


def small_config(dtype: str = "float32") -> ConfigDict:
    """All stages, with the same learning rate of SGD, divided by ten after the first epoch."""
    config = base_config("pedestrians")
    config.dtype = dtype
    config.data.image_size = IMAGE_SIZE
    config.data.validation = 0.0
    config.model.width = config.model.ffsr_width = 0.0625
    config.model.stage_sizes = (1, 1, 1, 1)
    config.model.feature_dim, config.model.gate_dim = 6, 5
    for stage in config.stages.values():
        stage.schedule.decay_epochs = (1,)
        for optimizer in stage.optimizer.values():
            optimizer.update(name="sgd", rate=0.05, weight_decay=5e-4, momentum=0.9)
    return config


def random_batch(seed: int, size: int = 16) -> dict[str, np.ndarray]:
    """A global batch of noise. Targets fall on some eighths of it and not on others."""
    rng = np.random.default_rng(seed)
    has_target = np.arange(size) * 8 // size % 3 == seed % 3
    return {
        "image": rng.integers(0, 256, (size, *IMAGE_SIZE, 3), np.uint8),
        "target": rng.integers(0, 256, (size, *IMAGE_SIZE, 3), np.uint8),
        "mask": rng.integers(0, 256, (size, *IMAGE_SIZE), np.uint8),
        "has_target": has_target.astype(np.float32),
        "resolution": rng.uniform(0.1, 1, size).astype(np.float32),
        "label": rng.integers(0, IDENTITIES, size, np.int32),
    }


def random_variables(network: Network) -> dict[str, Any]:
    """Variables without a zero, so that a gradient gets past FFSR's last layer too."""
    rng = np.random.default_rng(0)

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        deviation = np.sqrt(2 / np.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 0.1
        one = path[-1].key in ("scale", "var")
        values = np.maximum(one + deviation * rng.standard_normal(leaf.shape), -1 + 1.5 * one)
        return jnp.asarray(values, leaf.dtype)

    return jax.tree.map_with_path(draw, variable_shapes(network, IMAGE_SIZE))


def initial_state(config: ConfigDict, stage: str, network: Network | None = None) -> TrainState:
    variables = random_variables(network or create_network(config, stage, IDENTITIES))
    optimizer, _ = create_optimizer(config, stage, STEPS_PER_EPOCH)
    return create_state(variables, optimizer, tuple(config.stages[stage].train))


def step_function(config: ConfigDict, stage: str, axis_name: str | None = None) -> StepFunction:
    network = create_network(config, stage, IDENTITIES, axis_name)
    optimizer, _ = create_optimizer(config, stage, STEPS_PER_EPOCH)
    return make_train_step(config, stage, network, optimizer, axis_name)


class SmallExtractor(Extractor):
    """The least that tells images apart and has maps, running statistics and all outputs."""

    neck: str = "fc"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, image, train):
        x = nn.Conv(6, (8, 8), (8, 8), use_bias=False, param_dtype=jnp.float64, name="conv")(image)
        x = BatchNorm(self.axis_name, dtype=jnp.float64, name="stage3")(x, train)
        head = Head(IDENTITIES, self.neck, 3, jnp.float64, self.axis_name, name="head")
        feature, logits = head(nn.relu(x), train)
        return feature, logits, jnp.zeros((len(image), 0, 2))


@dataclass(frozen=True)
class Step:
    """A step on one device: the state before and after it, and its metrics."""

    before: TrainState
    after: TrainState
    metrics: dict[str, Any]


def one_step(config: ConfigDict, stage: str) -> Step:
    before = initial_state(config, stage)
    after, metrics = one_device_step(config, stage)(before, random_batch(0))
    return Step(before, after, jax.tree.map(float, metrics))


_compiled: dict[tuple[str, str], Any] = {}


def one_device_step(config: ConfigDict, stage: str) -> Any:
    """The compiled step of a stage, once for all tests."""
    key = (stage, config.to_json())
    if key not in _compiled:
        _compiled[key] = jax.jit(step_function(config, stage))
    return _compiled[key]


def leaves(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a tree by their paths."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def history_of(
    step: Callable[[Any, Any], Any], state: Any, batches: Iterable[Any]
) -> list[dict[str, np.ndarray]]:
    """The leaves of the state after each step, with its metrics as "metrics/NAME"."""
    history = []
    for batch in batches:
        state, metrics = step(state, batch)
        # Of a copy: an array that NumPy looks into cannot be donated.
        found = leaves(jax.tree.map(jnp.copy, state))
        history.append(found | {f"metrics/{name}": x for name, x in leaves(metrics).items()})
    return history


def history_on_eight_devices(
    kind: str, step: StepFunction, state: TrainState, batches: Iterable[dict[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    """As `history_of`, by a kind of parallelism, of a step with `AXIS`."""
    parallel = Parallel(kind)
    assert parallel.num_devices == 8
    split = map(parallel.split_for_training, batches)
    return history_of(parallel.train_step(step), parallel.replicate(state), split)


def assert_near(
    found: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]], rtol: float, atol: float
) -> None:
    """Compares two histories."""
    for number, (ours, wanted) in enumerate(zip(found, expected, strict=True)):
        assert ours.keys() == wanted.keys()
        for name, value in wanted.items():
            message = f"{number}: {name}"
            np.testing.assert_allclose(ours[name], value, rtol, atol, err_msg=message)
