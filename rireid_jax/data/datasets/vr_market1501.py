"""VR-Market1501: every image of Market-1501 at a random width (section 5.1 of the paper)."""

from collections.abc import Mapping
from typing import ClassVar

from rireid_jax.components import DATASETS, POSITIVE, Field
from rireid_jax.data.kinds.varying import VARYING, VaryingResolution
from rireid_jax.data.layouts.market1501 import DISTRACTOR, Market1501


@DATASETS.register("vr_market1501")
class VRMarket1501(VaryingResolution):
    """Market-1501 down-sampled; junk (-1) is left out, distractors (0) stay in the gallery."""

    name = "vr_market1501"
    layout = Market1501
    image_size = (256, 128)  # paper, section 5.2
    distractor = DISTRACTOR
    raw = "the folder Market-1501-v15.09.15 with bounding_box_train, query and bounding_box_test"
    recipe: ClassVar[Mapping[str, Field]] = {
        "min_width": Field(
            8,
            "pixels; the width is uniform in [`min_width`, `max_width`), whole numbers; paper, section 5.1",
            POSITIVE,
        ),
        "max_width": Field(32, "pixels, exclusive; r = width / `max_width`", POSITIVE),
        **VARYING,
    }
    example = "/data/Market-1501-v15.09.15"
    page = """\
## VR-Market1501 (`vr_market1501`)

The paper's own: every image of Market-1501 (see above) at a random width, in training, query and gallery alike. The
authors' images are no longer offered for download; this makes others by the same description.

The download is that of [MLR-Market1501](#mlr-market1501-mlr_market1501). Junk is left out and distractors stay in the
gallery, which gives the paper's total. The paper speaks of 710 test identities; Market-1501 has 750, so we take that
for a slip.

<!-- recipe -->

There are no presets: nobody else has published results on VR data. The authors' released code mentions two versions,
`vr_market1501` and `vr12_market1501`, and says nothing of their making.

<!-- commands -->
"""
