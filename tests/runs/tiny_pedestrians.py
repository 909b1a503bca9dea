"""A config of two short stages on a few small pedestrians."""

from ml_collections import ConfigDict

from rireid_jax.config import base_config


def tiny_config(folder, train_identities, test_identities, backbone=1, baseline=1) -> ConfigDict:
    """The stages `backbone` and `baseline` on images of 32x16, for so many epochs, with data in `folder`."""
    config = base_config("pedestrians")
    config.data.dir = str(folder / "data")
    config.data.image_size = config.natural_images.size = (32, 16)
    recipe = dict(train_identities=train_identities, test_identities=test_identities, cameras=2)
    config.data.recipe.update(recipe, train_shots=1, height=32, width=16, min_width=4)
    config.model.width = 0.125
    config.model.stage_sizes = (1, 1, 1, 1)
    config.batch_size = config.eval.batch_size = 8
    config.stages.backbone.epochs, config.stages.baseline.epochs = backbone, baseline
    config.run = ("backbone", "baseline")
    return config
