"""Convolutions in the forms that are fastest on CPUs; on GPU and TPU the forms are equivalent.

A convolution that is a matrix product in disguise (1x1, or kernel equal to stride) is written as one, because XLA's
CPU gradient of such convolutions is up to four times slower. benchmarks/notes.md has the measurements.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# A general convolution with at most this many output pixels is computed as a product over patches: XLA's CPU
# convolutions are 3 to 30 times slower on such small maps, which only the narrow settings have.
_FEW = 16
_AS_ONE = contextvars.ContextVar("as_one", default=False)


@contextlib.contextmanager
def as_one_operation() -> Iterator[None]:
    """Within it, what is traced has one operation for each convolution and pool, in any size, for translators.

    The numbers are the same; the forms for CPUs below would leave a translator with dozens of slices to recognise.
    """
    token = _AS_ONE.set(True)
    try:
        yield
    finally:
        _AS_ONE.reset(token)


def is_one_operation() -> bool:
    """Returns whether a convolution or a pool should be one operation."""
    return _AS_ONE.get()


def convolve(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C D"], stride: int, padding: int
) -> Float[Array, "B h w D"]:
    """Computes `torch.nn.functional.conv2d` with the same padding on all sides, in the form that is fastest on CPUs.

    Args:
      x: input maps.
      kernel: square kernel.
      stride: stride along both axes, in pixels.
      padding: zeros added on each side, in pixels.
    """
    k, s = kernel.shape[0], stride
    h, w = (output_size(size, k, s, padding) for size in x.shape[1:3])
    if is_one_operation():
        return _conv(x, kernel, s, padding)
    if k == 1 and padding == 0:
        return pixelwise(x[:, ::s, ::s], kernel[0, 0])
    if k == s and padding == 0:
        b, c = x.shape[0], x.shape[-1]
        x = x[:, : h * k, : w * k].reshape(b, h, k, w, k, c)
        x = x.swapaxes(2, 3).reshape(b, h, w, k * k * c)
        return pixelwise(x, kernel.reshape(k * k * c, -1))
    if h * w <= _FEW:
        return _conv_by_patches(x, kernel, s, padding)
    thins_out = kernel.shape[-1] < x.shape[-1] and s == 1 and 2 * padding == k - 1
    return (_thinning_conv if thins_out else _conv)(x, kernel, s, padding)


def enlarge(x: Float[Array, "B h w C"], kernel: Float[Array, "k k C D"]) -> Float[Array, "B H W D"]:
    """Computes `torch.nn.functional.conv_transpose2d` with a stride of the kernel's size: every pixel gives a tile."""
    k = kernel.shape[0]
    if is_one_operation():
        return jax.lax.conv_general_dilated(
            x,
            kernel[::-1, ::-1],
            window_strides=(1, 1),
            padding=((k - 1, k - 1),) * 2,
            lhs_dilation=(k, k),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    b, h, w, _ = x.shape
    matrix = kernel.transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)  # to [in, kH * kW * out]
    y = pixelwise(x, matrix).reshape(b, h, w, k, k, -1)
    return y.swapaxes(2, 3).reshape(b, h * k, w * k, -1)


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Returns the side length of a convolution's output in pixels, as PyTorch computes it."""
    return (size + 2 * padding - kernel) // stride + 1


def pixelwise(x: Float[Array, "B H W C"], matrix: Float[Array, "C D"]) -> Float[Array, "B H W D"]:
    """Multiplies every pixel by a matrix.

    It is written as a product of two matrices, because on CPU the gradient of a tensor product transposes all
    activations.
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
    """Computes `_conv` from many channels to few, with stride 1 and an output as large as the input.

    For the gradient by the kernel, XLA makes patches of x. Here they are made of the output's gradient instead, which
    has fewer channels: the gradient slides over x, and the result is rotated by 180 degrees.
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
    """Computes a convolution as one matrix product over all patches."""
    k, s = kernel.shape[0], stride
    h, w = (output_size(size, k, s, padding) for size in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    patches = [
        x[:, i : i + s * (h - 1) + 1 : s, j : j + s * (w - 1) + 1 : s]
        for i in range(k)
        for j in range(k)
    ]
    columns = jnp.concatenate(patches, axis=-1)
    return pixelwise(columns, kernel.reshape(-1, kernel.shape[-1]))
