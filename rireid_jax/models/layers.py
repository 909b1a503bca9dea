"""Convolutions, batch normalisation and pooling that compute what PyTorch's do.

Every padding is explicit. Where a convolution is a matrix product in disguise (1x1, and kernel equal to
stride), it is written as one: XLA's CPU gradient of such convolutions is up to four times slower, and on GPU
and TPU the two are the same. What else is done for CPU's sake is measured in benchmarks/notes.md.
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

Initializer = Callable[..., jax.Array]


def normal(deviation: Callable[[tuple[int, ...]], float]) -> Initializer:
    """An initialiser that draws normal numbers on the host.

    XLA takes longer to compile a hundred random draws than to train the embedded system for a minute, and
    a host draw is the same on every back-end. With a key at hand, and not a tracer, nothing at all is compiled: a
    program that calls the host back could not be kept for the next start, and to look up a program for every shape
    takes a second.

    Args:
      deviation: the standard deviation as a function of the parameter's shape.
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
    """An initialiser that fills with a value, on the host too; it needs no key."""

    def initialise(
        key: jax.Array | None, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
    ) -> jax.Array:
        return jax.device_put(np.full(shape, value, dtype))

    return initialise


zeros, ones = constant(0.0), constant(1.0)


# Kernels are [..., in, out]. He et al. 2015: fan_out as torchvision's ResNet has it, fan_in for networks
# without normalisation; one_pixel where an output pixel sees one input pixel; linear has the
# deviation of torch.nn.Linear's uniform draw.
he_fan_out = normal(lambda s: math.sqrt(2 / (math.prod(s[:-2]) * s[-1])))
he_fan_in = normal(lambda s: math.sqrt(2 / math.prod(s[:-1])))
he_one_pixel = normal(lambda s: math.sqrt(2 / s[-2]))
linear = normal(lambda s: math.sqrt(1 / (3 * s[-2])))
# Of identity classifiers, as re-identification libraries have it: large logits of a new classifier push
# the features towards zero, and from scratch RIFE's gates close for good within twenty steps.
nearly_zero = normal(lambda s: 0.001)


def accurate(dtype: DTypeLike) -> DTypeLike:
    """The dtype of parameters, statistics, heads and losses: `dtype`, but never less than float32."""
    return jnp.promote_types(dtype, jnp.float32)


# Output pixels up to which a general convolution is a product over patches: XLA's CPU convolutions are
# 3 to 30 times slower on such small maps, which only narrow settings have.
_FEW = 16


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
        if k == 1 and self.padding == 0:
            y = _pixelwise(x[:, ::s, ::s], kernel[0, 0])
        elif k == s and self.padding == 0:
            b, h, w, c = x.shape
            x = x[:, : h // k * k, : w // k * k].reshape(b, h // k, k, w // k, k, c)
            x = x.swapaxes(2, 3).reshape(b, h // k, w // k, k * k * c)
            y = _pixelwise(x, kernel.reshape(k * k * c, -1))
        elif _out(x.shape[1], k, s, self.padding) * _out(x.shape[2], k, s, self.padding) <= _FEW:
            y = _conv_by_patches(x, kernel, s, self.padding)
        else:
            thins_out = self.features < x.shape[-1] and s == 1 and 2 * self.padding == k - 1
            convolve = _thinning_conv if thins_out else _conv
            y = convolve(x, kernel, s, self.padding)
        if self.use_bias:
            bias = self.param("bias", zeros, (self.features,), accurate(self.dtype))
            y = y + bias.astype(self.dtype)
        return y


def _out(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


def _pixelwise(x: Float[Array, "B H W C"], matrix: Float[Array, "C D"]) -> Float[Array, "B H W D"]:
    """Every pixel times a matrix.

    As a product of two matrices, not of tensors, whose gradient transposes all activations on CPU.
    """
    return (x.reshape(-1, x.shape[-1]) @ matrix).reshape(*x.shape[:-1], -1)


def _conv(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C D"], stride: int, padding: int
) -> Float[Array, "B h w D"]:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=((padding, padding),) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _thinning_conv(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C D"], stride: int, padding: int
) -> Float[Array, "B H W D"]:
    """`_conv` from many channels to few, of stride 1 and as large as its input.

    XLA makes patches of x for the gradient by the kernel. Here they are made of the output's gradient, which has fewer
    channels: it slides over x, and what comes out is turned round.
    """
    return _conv(x, kernel, stride, padding)


def _thinning_forward(
    x: jax.Array, kernel: jax.Array, stride: int, padding: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _conv(x, kernel, stride, padding), (x, kernel)


def _thinning_backward(
    stride: int, padding: int, saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    (for_x,) = jax.vjp(lambda x: _conv(x, kernel, stride, padding), x)[1](gradient)
    turned = jnp.zeros_like(kernel.swapaxes(2, 3))
    (for_turned,) = jax.vjp(lambda k: _conv(gradient, k, stride, padding), turned)[1](x)
    return for_x, for_turned[::-1, ::-1].swapaxes(2, 3)


_thinning_conv.defvjp(_thinning_forward, _thinning_backward)


def _conv_by_patches(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C D"], stride: int, padding: int
) -> Float[Array, "B h w D"]:
    """A convolution as one matrix product over all patches."""
    k, s = kernel.shape[0], stride
    h, w = (_out(size, k, s, padding) for size in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    patches = [
        x[:, i : i + s * (h - 1) + 1 : s, j : j + s * (w - 1) + 1 : s]
        for i in range(k)
        for j in range(k)
    ]
    columns = jnp.concatenate(patches, axis=-1)
    return _pixelwise(columns, kernel.reshape(-1, kernel.shape[-1]))


class UpConv(nn.Module):
    """`torch.nn.ConvTranspose2d(in, features, kernel, stride=kernel)`: every pixel becomes a tile.

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
        b, h, w, _ = x.shape
        kernel = jnp.asarray(kernel, self.dtype).transpose(2, 0, 1, 3)  # to [in, kH, kW, out]
        y = _pixelwise(jnp.asarray(x, self.dtype), kernel.reshape(kernel.shape[0], -1))
        y = y.reshape(b, h, w, k, k, self.features)
        y = y.swapaxes(2, 3).reshape(b, h * k, w * k, self.features)
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

    With `axis_name`, statistics are those of the whole batch over all devices (PyTorch's SyncBatchNorm).
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
        # One multiply-add per element: the affine map is folded per channel first.
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

    As maxima of three columns, then of three rows: the gradient of such maxima is many times faster on CPU than that
    of a window reduction. Equal maxima share the gradient; after a ReLU only zeros, which pass none, are equal.
    """
    h, w = (_out(size, 3, 2, 1) for size in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-jnp.inf)
    x = functools.reduce(jnp.maximum, [x[:, :, j : j + 2 * w - 1 : 2] for j in range(3)])
    return functools.reduce(jnp.maximum, [x[:, i : i + 2 * h - 1 : 2] for i in range(3)])


def global_average_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B C"]:
    """GAP, in at least float32."""
    return x.astype(accurate(x.dtype)).mean((1, 2))


def scaled(width: float, channels: int) -> int:
    """`channels` times a width multiplier, at least one."""
    return max(1, round(width * channels))
