"""ResNet50, RIFE, FFSR and FFSR+RIFE with today's tricks, each with images as they are and with degraded copies.

A stage `..._plain` learns from the images as they are, and the stage without the ending gets a new resolution for half
of them every time they are read, so that resolution varies within an identity. All eight have the same start of the
extractor and the same schedule (`rireid_jax/config/strong.py`). `make strong` trains them for docs/strong.md.

At the small size they learn for half as many epochs as in configs/strong.py, because there are eight of them.
"""

from ml_collections import ConfigDict

from rireid_jax.config import STRONG, base_config, shorten, stages_to, use_tricks


def get_config(dataset: str = "pedestrians") -> ConfigDict:
    config = base_config(dataset)
    use_tricks(config)
    if config.size == "small":
        shorten(config.stages, STRONG, 0.5)
    for name in ("ffsr", *STRONG):
        plain = config.stages[name].copy_and_resolve_references()
        as_they_are = config.stages.baseline.augmentation
        plain.augmentation.update(degrade=as_they_are.degrade, degrade_targets=0.0)
        if plain.init.super_resolution == "ffsr":
            plain.init.super_resolution = "ffsr_plain"
        config.stages[f"{name}_plain"] = plain
    finals = [f"{name}{ending}" for ending in ("", "_plain") for name in STRONG]
    config.others = tuple(name for name in finals if name not in ("strong_joint", "strong"))
    config.run = stages_to(config, *config.others, "strong_joint", "strong")
    config.baseline = "strong"
    return config
