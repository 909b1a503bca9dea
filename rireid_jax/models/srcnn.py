"""SRCNN of Table 1.

It is fully convolutional and keeps the size: it reads the low-resolution image after it has been enlarged, as FFSR
does. The publication restores luminance in [0, 1]; this network has FFSR's interface, three normalised channels in and
out, and pads every convolution with zeros. FFSR's stages train it; the publication's schedule is not reproduced.
"""

import flax.linen as nn
from jaxtyping import Array, Float

from rireid_jax.components import SUPER_RESOLUTION
from rireid_jax.models.interfaces import Restorer
from rireid_jax.models.layers import Conv, accurate, scaled
from rireid_jax.models.torch_names import Tensor, plain_layers


@SUPER_RESOLUTION.register("srcnn")
class SRCNN(Restorer):
    """Patches, a non-linear mapping, reconstruction (Dong et al. 2014): kernels 9-1-5, 64 and 32 channels.

    Of the publication: the layers, their ReLUs, and that there is no residual, so that it starts far from the bilinear
    image. Ours: colours, and He's initial weights, from which SGD at FFSR's learning rate gets in a quarter of
    the steps as far as from the published ones of deviation 0.001. 0.98 GMACs at 384x128; Table 1 prints 2.53,
    which neither this nor the kernels 9-3-5 and 9-5-5 have.

    Attributes: as `Restorer`'s.
    """

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Under `srcnn.` and our own names of the layers."""
        return plain_layers("srcnn", ("extract", "map", "reconstruct"))

    @nn.compact
    def __call__(self, image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """Restores normalised images of any size."""

        def conv(name: str, features: int, kernel: int) -> Conv:
            return Conv(features, kernel, 1, kernel // 2, dtype=self.dtype, name=name)

        x = nn.relu(conv("extract", scaled(self.width, 64), 9)(image))
        x = nn.relu(conv("map", scaled(self.width, 32), 1)(x))
        return conv("reconstruct", 3, 5)(x).astype(accurate(self.dtype))
