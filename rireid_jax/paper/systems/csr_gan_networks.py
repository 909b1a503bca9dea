"""The networks of CSR-GAN (Wang et al., IJCAI 2018): generators in series, each of which doubles an image's size.

The text of the publication was not at hand; layers, thresholds and units are those of its authors' code
(github.com/wangzwhu/CSR-GAN). Ours: images enter bilinearly enlarged to the network's size, as they do everywhere
here, and are reduced from there to the size at which they enter the series.
"""

import functools
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from rireid_jax.components import POSITIVE, SUPER_RESOLUTION, Field
from rireid_jax.models.interfaces import Context, SuperResolution
from rireid_jax.models.layers import BatchNorm, Conv, Dense, accurate, normal, scaled
from rireid_jax.models.pixels import DEVIATION, MEAN
from rireid_jax.models.torch_names import Tensor, batch_norm, layer

# Each generator reads images whose sides are 1/8, 1/4 and 1/2 of the network's.
FACTORS = (8, 4, 2)
_gaussian = normal(lambda shape: 0.02)


class Generator(nn.Module):
    """SRGAN's residual generator (Ledig et al. 2017) with one sub-pixel convolution: twice the size, tanh.

    Attributes:
      blocks: residual blocks; the publication has 16.
      width: multiplies every hidden width; 1 is the publication's 64 channels.
      dtype: of activations; the output is at least float32.
      axis_name: mapped axis over which batch norm is synchronised.
    """

    blocks: int = 16
    width: float = 1.0
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.nowrap
    def torch_names(self, name: str, place: str) -> list[Tensor]:
        """Our own names of the layers under a prefix.

        Args:
          name: the prefix.
          place: name of this module in the cascade.
        """
        with_norm = [f"block{i}_{part}" for i in range(self.blocks) for part in ("in", "out")]
        rows: list[Tensor] = []
        for conv in ("first", "upscale", "out"):
            rows += layer("conv", f"{name}.{conv}", (place, conv))
        for conv_bn in (*with_norm, "last"):
            conv, bn = f"{conv_bn}_conv", f"{conv_bn}_bn"
            rows += layer("conv", f"{name}.{conv}", (place, conv), bias=False)
            rows += batch_norm(f"{name}.{bn}", (place, bn))
        return rows

    @nn.compact
    def __call__(
        self, image: Float[Array, "B h w 3"], train: bool = False
    ) -> Float[Array, "B H W 3"]:
        """Doubles height and width of images in [-1, 1]."""
        features = scaled(self.width, 64)

        def conv(name: str, x: jax.Array, features: int, kernel: int, bias: bool) -> jax.Array:
            layer = Conv(features, kernel, 1, kernel // 2, bias, _gaussian, self.dtype, name=name)
            return layer(x)

        def conv_bn(name: str, x: jax.Array) -> jax.Array:
            x = conv(f"{name}_conv", x, features, 3, bias=False)
            return BatchNorm(self.axis_name, dtype=self.dtype, name=f"{name}_bn")(x, train)

        first = nn.relu(conv("first", image, features, 3, bias=True))
        x = first
        for i in range(self.blocks):
            y = nn.relu(conv_bn(f"block{i}_in", x))
            x = x + conv_bn(f"block{i}_out", y)
        x = first + conv_bn("last", x)
        x = nn.relu(pixel_shuffle(conv("upscale", x, 4 * features, 3, bias=True)))
        return jnp.tanh(conv("out", x, 3, 1, bias=True).astype(accurate(self.dtype)))


@SUPER_RESOLUTION.register("csr_gan")
class CSRGAN(SuperResolution):
    """Three generators in series; how many of them an image passes depends on how narrow it was.

    An image with a native width of up to 1/8 of the network's passes all three, one of up to 1/4 two, one of up to 1/2
    the last, and a wider one stays as it is. No gradient passes through: as in the authors' code, generators learn
    from the pairs of `levels`, and not from the re-identification that follows them.

    Attributes: as `Generator`'s.
    """

    OPTIONS: ClassVar = {
        "generator_blocks": Field(
            16, "residual blocks of each of CSR-GAN's generators; 16 is SRGAN's", POSITIVE, small=2
        ),
        "generator_width": Field(
            1.0, "times the hidden widths of CSR-GAN's generators", POSITIVE, small=0.125
        ),
    }
    size_multiple: ClassVar[int] = 8

    blocks: int = 16
    width: float = 1.0
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @classmethod
    def create(cls, context: Context) -> "CSRGAN":
        """The network of a stage."""
        model = context.model
        return cls(model.generator_blocks, model.generator_width, context.dtype, context.axis_name)

    @property
    def adapts_to_width(self) -> bool:
        """See `Part`."""
        return True

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Our own names of the layers, under `csr_gan.generator8.`, `...4.` and `...2.`."""
        generator = Generator(self.blocks)
        names = [f"generator{factor}" for factor in FACTORS]
        return [row for name in names for row in generator.torch_names(f"csr_gan.{name}", name)]

    def setup(self) -> None:
        generator = functools.partial(
            Generator, self.blocks, self.width, self.dtype, self.axis_name
        )
        self.generator8, self.generator4, self.generator2 = generator(), generator(), generator()

    def __call__(
        self, image: Float[Array, "B H W 3"], native_width: Int[Array, " B"] | None = None
    ) -> Float[Array, "B H W 3"]:
        """Restores normalised images whose height and width are multiples of 8, by running statistics.

        Args:
          image: enlarged to the network's size.
          native_width: width before that, in pixels; None takes every image for one of the narrowest.
        """
        if native_width is None:
            native_width = jnp.zeros(len(image), jnp.int32)
        part = native_width[:, None, None, None] / image.shape[2]
        pixels = to_signed(image)
        restored = shrink(pixels, FACTORS[0])
        for factor, generator in zip(FACTORS, self._generators(), strict=True):
            enlarged = generator(restored, False)
            restored = jnp.where(part > 1 / factor, shrink(pixels, factor // 2), enlarged)
        return jax.lax.stop_gradient(to_normalised(restored))

    def levels(
        self, original: Float[Array, "B H W 3"]
    ) -> list[tuple[Float[Array, "B _h _w 3"], Float[Array, "B _h _w 3"]]]:
        """The pairs of images that generators learn from, by the batch's statistics.

        Args:
          original: of high resolution, normalised, of the network's size.

        Returns:
          For every generator its output for the original reduced to its input's size, and the original reduced to its
          output's size; both in [-1, 1].
        """
        real = [to_signed(original)]
        for _ in FACTORS:
            real.append(shrink(real[-1], 2))
        low, high = real[:0:-1], real[-2::-1]
        return [
            (generator(below, True), above)
            for generator, below, above in zip(self._generators(), low, high, strict=True)
        ]

    def _generators(self) -> tuple[Generator, Generator, Generator]:
        return self.generator8, self.generator4, self.generator2


class Discriminator(nn.Module):
    """Whether an image is an original: six 4x4 convolutions of stride 2, a residual block, one logit.

    It is used in training alone, with the batch's statistics.

    Attributes: as `Generator`'s, with a width of its own.
    """

    width: float = 1.0
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, image: Float[Array, "B H W 3"]) -> Float[Array, " B"]:
        """Logits of images in [-1, 1]."""
        leaky = functools.partial(nn.leaky_relu, negative_slope=0.2)

        def conv(name: str, x: jax.Array, features: int, kernel: int, bias: bool) -> jax.Array:
            features, stride = scaled(self.width, features), 2 if kernel == 4 else 1
            if stride == 2:  # an odd side is rounded up
                x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
            padding = 0 if kernel == 1 else 1
            layer = Conv(features, kernel, stride, padding, bias, _gaussian, self.dtype, name=name)
            return layer(x)

        def conv_bn(name: str, x: jax.Array, features: int, kernel: int) -> jax.Array:
            x = conv(f"{name}_conv", x, features, kernel, bias=False)
            return BatchNorm(self.axis_name, dtype=self.dtype, name=f"{name}_bn")(x, True)

        x = leaky(conv("halve0_conv", image, 64, 4, bias=True))
        for i in range(1, 6):
            x = leaky(conv_bn(f"halve{i}", x, 64 * 2**i, 4))
        x = leaky(conv_bn("reduce0", x, 1024, 1))
        x = conv_bn("reduce1", x, 512, 1)
        y = leaky(conv_bn("residual0", x, 128, 1))
        y = leaky(conv_bn("residual1", y, 128, 3))
        x = leaky(x + conv_bn("residual2", y, 512, 3))
        x = x.reshape(len(x), -1)
        return Dense(1, _gaussian, accurate(self.dtype), name="logit")(x)[:, 0]


class Discriminators(nn.Module):
    """A discriminator for each level of `CSRGAN`.

    Attributes: as `Discriminator`'s.
    """

    width: float = 1.0
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, levels: list[Float[Array, "B _h _w 3"]]) -> Float[Array, "B L"]:
        """Logits of the images of each level, in [-1, 1]."""
        one = functools.partial(Discriminator, self.width, self.dtype, self.axis_name)
        logits = [
            one(name=f"discriminator{factor}")(image)
            for factor, image in zip(FACTORS, levels, strict=True)
        ]
        return jnp.stack(logits, axis=-1)


def pixel_shuffle(x: Float[Array, "B h w C"]) -> Float[Array, "B H W D"]:
    """`torch.nn.PixelShuffle(2)`: every four channels become a square of 2x2 pixels."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, c // 4, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(b, 2 * h, 2 * w, c // 4)


def shrink(image: Float[Array, "B H W 3"], factor: int) -> Float[Array, "B h w 3"]:
    """Makes an image smaller by a whole factor: bicubic with antialiasing, as in the authors' code."""
    if factor == 1:
        return image
    b, h, w, c = image.shape
    return jax.image.resize(image, (b, h // factor, w // factor, c), "cubic")


def to_signed(image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
    """Normalised pixels to [-1, 1]."""
    return 2 * (image * DEVIATION + MEAN) - 1


def to_normalised(image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
    """Pixels in [-1, 1] to normalised ones."""
    return ((image + 1) / 2 - MEAN) / DEVIATION
