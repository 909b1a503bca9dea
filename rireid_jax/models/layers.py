"""Convolutions, batch normalisation and pooling with the same results as in PyTorch.

Every padding is explicit. `models.convolutions` computes the convolutions.
"""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from rireid_jax.models.convolutions import convolve, enlarge, is_one_operation, output_size

Initializer = Callable[..., jax.Array]


def normal(deviation: Callable[[tuple[int, ...]], float]) -> Initializer:
    """Returns an initialiser that draws normally distributed numbers on the host.

    Compiling a hundred random draws takes XLA over a minute, and a draw on the host is the same on every back-end.
    If the key is concrete and not a tracer, nothing is compiled at all: the compilation cache cannot keep a program
    with a host callback, and looking up one program per shape takes a second.

    Args:
      deviation: function from the shape of a parameter to its standard deviation.
    """

    def initialise(
        key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
    ) -> jax.Array:
        def draw(words: ArrayLike) -> np.ndarray:
            rng = np.random.default_rng(np.asarray(words))
            return (deviation(shape) * rng.standard_normal(shape)).astype(dtype)

        words = jax.random.key_data(key)
        if not isinstance(words, jax.core.Tracer):
            return jax.device_put(draw(words))
        return jax.pure_callback(draw, jax.ShapeDtypeStruct(shape, dtype), words)

    return initialise


def constant(value: float) -> Initializer:
    """Returns an initialiser that fills with a value, also on the host; it needs no key."""

    def initialise(
        key: jax.Array | None, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
    ) -> jax.Array:
        return jax.device_put(np.full(shape, value, dtype))

    return initialise


zeros, ones = constant(0.0), constant(1.0)


# Kernels are [..., in, out]. The first three are of He et al. 2015: fan_out as in torchvision's ResNet, fan_in for
# networks without normalisation, one_pixel for layers whose output pixels each see one input pixel. `linear` has the
# standard deviation of torch.nn.Linear's uniform draw.
he_fan_out = normal(lambda s: math.sqrt(2 / (math.prod(s[:-2]) * s[-1])))
he_fan_in = normal(lambda s: math.sqrt(2 / math.prod(s[:-1])))
he_one_pixel = normal(lambda s: math.sqrt(2 / s[-2]))
linear = normal(lambda s: math.sqrt(1 / (3 * s[-2])))
# Identity classifiers start near zero, as in re-identification libraries: the large logits of a new classifier would
# push the features towards zero, and RIFE's gates, trained from scratch, would close for good within twenty steps.
nearly_zero = normal(lambda s: 0.001)


def accurate(dtype: DTypeLike) -> DTypeLike:
    """Returns the dtype of parameters, statistics, heads and losses: `dtype`, but at least float32."""
    return jnp.promote_types(dtype, jnp.float32)


class Conv(nn.Module):
    """`torch.nn.Conv2d(in, features, kernel, stride, padding)`; the kernel is stored as [kH, kW, in, out]."""

    features: int
    kernel: int
    stride: int = 1
    padding: int = 0
    use_bias: bool = True
    kernel_init: Initializer = he_fan_in
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        k, s = self.kernel, self.stride
        shape = (k, k, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, accurate(self.dtype))
        kernel = jnp.asarray(kernel, self.dtype)
        x = jnp.asarray(x, self.dtype)
        y = convolve(x, kernel, s, self.padding)
        if self.use_bias:
            bias = self.param("bias", zeros, (self.features,), accurate(self.dtype))
            y = y + bias.astype(self.dtype)
        return y


class UpConv(nn.Module):
    """`torch.nn.ConvTranspose2d(in, features, kernel, stride=kernel)`, which turns every pixel into a tile.

    The kernel is stored as [kH, kW, in, out], not flipped.
    """

    features: int
    kernel: int = 2
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B h w C"]) -> Float[Array, "B H W D"]:
        k = self.kernel
        shape = (k, k, x.shape[-1], self.features)
        kernel = self.param("kernel", he_one_pixel, shape, accurate(self.dtype))
        bias = self.param("bias", zeros, (self.features,), accurate(self.dtype))
        y = enlarge(jnp.asarray(x, self.dtype), jnp.asarray(kernel, self.dtype))
        return y + bias.astype(self.dtype)


class Dense(nn.Module):
    """`torch.nn.Linear(in, features)`; the kernel is stored as [in, out]."""

    features: int
    kernel_init: Initializer = linear
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B C"]) -> Float[Array, "B D"]:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, accurate(self.dtype))
        bias = self.param("bias", zeros, (self.features,), accurate(self.dtype))
        return x.astype(self.dtype) @ kernel.astype(self.dtype) + bias.astype(self.dtype)


class BatchNorm(nn.Module):
    """`torch.nn.BatchNorm2d`: two-pass variance, unbiased running variance, momentum 0.1, epsilon 1e-5.

    With `axis_name`, the statistics are those of the whole batch over all devices (PyTorch's SyncBatchNorm).
    Statistics are at least float32; the output has `dtype`.
    """

    axis_name: str | None = None
    momentum: float = 0.1
    epsilon: float = 1e-5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*B C"], train: bool) -> Float[Array, "*B C"]:
        channels = x.shape[-1:]
        dtype = accurate(self.dtype)
        scale = self.param("scale", ones, channels, dtype)
        bias = self.param("bias", zeros, channels, dtype)
        running_mean = self.variable("batch_stats", "mean", zeros, None, channels, dtype)
        running_var = self.variable("batch_stats", "var", ones, None, channels, dtype)

        x = x.astype(dtype)
        if train:
            axes = tuple(range(x.ndim - 1))
            mean = self._over_devices(x.mean(axes))
            var = self._over_devices(jnp.square(x - mean).mean(axes))
            if not self.is_initializing():
                n = x.size // x.shape[-1] * self._devices()
                m = self.momentum
                unbiased = var * (n / max(n - 1, 1))
                running_mean.value = (1 - m) * running_mean.value + m * mean
                running_var.value = (1 - m) * running_var.value + m * unbiased
        else:
            mean, var = running_mean.value, running_var.value
        # The affine map is folded per channel first, which leaves one multiply-add per element.
        factor = scale * jax.lax.rsqrt(var + self.epsilon)
        return (x * factor + (bias - mean * factor)).astype(self.dtype)

    def _over_devices(self, value: jax.Array) -> jax.Array:
        if self.axis_name is None or self.is_initializing():
            return value
        return jax.lax.pmean(value, self.axis_name)

    def _devices(self) -> int:
        return 1 if self.axis_name is None else jax.lax.axis_size(self.axis_name)


def max_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """`torch.nn.MaxPool2d(kernel_size=3, stride=2, padding=1)`.

    It takes maxima of three columns, then of three rows, because their gradient is many times faster on CPU than that
    of a window reduction. Equal maxima share the gradient; after a ReLU only zeros are equal, and they pass none.
    """
    if is_one_operation():
        return nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
    h, w = (output_size(size, 3, 2, 1) for size in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-jnp.inf)
    x = functools.reduce(jnp.maximum, [x[:, :, j : j + 2 * w - 1 : 2] for j in range(3)])
    return functools.reduce(jnp.maximum, [x[:, i : i + 2 * h - 1 : 2] for i in range(3)])


def global_average_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B C"]:
    """Averages over all pixels (GAP) in at least float32."""
    return x.astype(accurate(x.dtype)).mean((1, 2))


def scaled(width: float, channels: int) -> int:
    """Returns `channels` times a width multiplier, rounded and at least 1."""
    return max(1, round(width * channels))
