"""Stages whose loss no image can change are refused before they start."""

import pytest

from rireid_jax.config import base_config
from rireid_jax.data.records import Record
from rireid_jax.errors import UserError
from rireid_jax.training.idle_terms import check_terms


def record(image: bytes, target: bytes) -> Record:
    return Record(image, target, b"", pid=1, camid=0, resolution=1.0, name="a.png")


LOW, ITS_OWN, ALONE = record(b"low", b"high"), record(b"same", b"same"), record(b"crop", b"")


@pytest.mark.parametrize(
    ("images", "degrade", "idle"),
    [
        ([ALONE, LOW], 0.0, False),
        ([ALONE, ITS_OWN], 0.5, False),
        ([ALONE, ITS_OWN], 0.0, True),
        ([ALONE, ALONE], 0.5, True),  # only an image that is its own original is degraded
    ],
)
def test_stages_that_restore(images, degrade, idle, caplog):
    config = base_config("folder")
    for stage in ("ffsr", "joint"):
        config.stages[stage].augmentation.degrade = degrade
    message = (
        "config.stages.{}: found no image of folder with a higher original than itself, so that nothing can be learned "
        "from the loss restoration, expected some, or config.stages.{}.augmentation.degrade above 0"
    )
    if idle:
        with pytest.raises(UserError) as raised:
            check_terms(config, "ffsr", images)
        assert str(raised.value) == message.format("ffsr", "ffsr")
    else:
        check_terms(config, "ffsr", images)
    check_terms(config, "joint", images)  # learns from its other losses
    check_terms(config, "rife", [])
    assert caplog.messages == [message.format("joint", "joint")] * idle


def test_images_are_read_up_to_the_first_that_helps():
    def images():
        yield LOW
        raise AssertionError

    check_terms(base_config("vr_market1501"), "ffsr", images())
