"""SE-ResNet50 (Hu et al. 2018), as timm's `seresnet50` builds it: on the v1.5 network."""

from rireid_jax.components import EXTRACTORS
from rireid_jax.models.resnet50 import ResNet


@EXTRACTORS.register("se_resnet50")
class SEResNet(ResNet):
    """A ResNet50 whose bottlenecks weigh their channels before the shortcut is added.

    The network of the publication, and of pretrained-models.pytorch and torchreid after it, has a stage's stride on the
    first 1x1 convolution, and pools after the stem without padding.

    Attributes: as `ResNet`'s.
    """

    squeeze_excitation: bool = True
