"""configs/released.py: the authors' recipe, its masks, and its definition of r."""

import contextlib

import numpy as np
import pytest
from PIL import Image

from rireid_jax.config import base_config, validate
from rireid_jax.data.augmentation import Augmentation
from rireid_jax.data.loader import train_batches
from rireid_jax.data.records import Record, encode_png
from rireid_jax.models.network import create_network
from rireid_jax.training.masks.released import released_mask

from .differences import _released_config


def test_recipe():
    config = _released_config()
    validate(config)
    stage = config.stages.released
    assert config.run == ("released",)
    for own in (stage.optimizer.super_resolution, stage.optimizer.extractor):
        assert (own.name, own.rate, own.weight_decay) == ("adam", 3e-4, 5e-4)
    assert (stage.epochs, stage.schedule.decay_epochs, config.batch_size) == (60, (20, 40), 32)
    weights = {name: own.weight for name, own in stage.losses.items() if own.weight}
    assert weights == {"restoration": 0.1, "identity": 1.0, "resolution": 0.01}
    assert stage.losses.restoration.mask.name == "released"
    assert stage.resolution_width == 128
    paper = base_config("vr_market1501")  # does not change with it
    for whole, name, expected in (
        (config, "released", ("batch_norm", 16, 1, True)),
        (paper, "joint", ("fc", 64, 2, False)),
    ):
        extractor = create_network(whole, name, 751).extractor
        found = extractor.neck, extractor.gating.hidden, extractor.last_stride, extractor.dual_stem
        assert found == expected


@pytest.mark.parametrize("size", ["small", "paper"])
def test_gates_are_the_authors_at_both_sizes(size):
    config = _released_config(f"vr_market1501,{size}")
    gating = create_network(config, "released", 5).extractor.gating
    assert (gating.input, gating.losses) == ("maps", "all")
    assert not config.eval.normalise


def test_mask_by_hand():
    # 4 x 2: the centre is row 1.5, column 0.5. Exponents over rows: 1.5/4, 0.5/4, 0.5/4, 1.5/4.
    rows = np.exp2([-0.375, -0.125, -0.125, -0.375])
    meant = released_mask(4, 2, index_bug=False)
    np.testing.assert_allclose(meant, np.outer(rows, np.exp2([-0.25, -0.25])), rtol=1e-6)
    # With the bug the second factor is of |row - 0.5| / 2.
    published = released_mask(4, 2, index_bug=True)
    factor = np.exp2([-0.25, -0.25, -0.75, -1.25])
    np.testing.assert_allclose(published, np.outer(rows * factor, [1, 1]), rtol=1e-6)


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 0.75), (0.25, 0.1875), (2.0, 1.0)])
def test_another_width_of_r(scale, expected):
    image = encode_png(Image.new("RGB", (6, 12)))
    record = Record(image=image, target=b"", mask=b"", pid=1, camid=0, resolution=0.75, name="a")
    options = dict(image_size=(8, 4), batch_size=2, seed=0, augmentation=Augmentation())
    with contextlib.closing(train_batches([record], resolution_scale=scale, **options)) as batches:
        assert next(batches)["resolution"].tolist() == [expected] * 2
