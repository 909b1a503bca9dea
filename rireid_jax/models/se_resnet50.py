"""SE-ResNet50 (Hu et al. 2018), built on the v1.5 network as timm's `seresnet50` is."""

from rireid_jax.components import EXTRACTORS
from rireid_jax.models.resnet50 import ResNet


@EXTRACTORS.register("se_resnet50")
class SEResNet(ResNet):
    """A ResNet50 whose bottlenecks scale their channels before they add the shortcut.

    The original network, which pretrained-models.pytorch and torchreid follow, has the stride of a stage on the first
    1x1 convolution and pools after the stem without padding.

    Attributes: those of `ResNet`.
    """

    squeeze_excitation: bool = True
