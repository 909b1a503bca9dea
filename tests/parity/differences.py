"""Computes the numbers in docs/paper-vs-released-code.md: `make differences`."""

import importlib.util
import re
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from rireid_jax.config import base_config
from rireid_jax.models.complexity import count_macs, count_parameters, image_like
from rireid_jax.models.network import Network, create_network
from rireid_jax.training.masks.gaussian import gaussian_mask
from rireid_jax.training.masks.released import released_mask

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "paper-vs-released-code.md"
IDENTITIES = 751  # of VR-Market1501's training set
_BLOCK = re.compile(r"(<!-- computed -->\n).*?(<!-- end -->)", re.DOTALL)


@cache
def rows() -> list[tuple[str, str, str]]:
    """Quantity, paper, released code."""
    configs = base_config("vr_market1501"), _released_config()
    stages = "joint", "released"
    networks = [
        create_network(config, stage, IDENTITIES)
        for config, stage in zip(configs, stages, strict=True)
    ]
    return [
        *_network_rows(*networks),
        *_stage_rows(configs, stages),
        *_mask_rows(),
        ("r of widths 8 to 31", *map(_resolutions, configs, stages)),
    ]


def _released_config(dataset: str = "vr_market1501") -> ConfigDict:
    spec = importlib.util.spec_from_file_location("released", ROOT / "configs" / "released.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(dataset)


def _network_rows(*networks: Network) -> list[tuple[str, ...]]:
    columns = []
    for network in networks:
        image = image_like(256, 128)
        outputs, variables = jax.eval_shape(partial(_init, network), image)
        params = variables["params"]
        restorer = {"params": params["super_resolution"]}
        heads = [leaf for path, leaf in _leaves(params["extractor"]) if "gate" in str(path)]
        in_use = count_parameters(params)
        unused = 0
        if network.extractor.dual_stem:  # registered for the second stream, and never computed
            unused = 2 * 2048 + 2048 * IDENTITIES + IDENTITIES
        macs = count_macs(network.apply, variables, image)
        # Fully connected layers are computed once an image, whatever its size; the classifier only in training.
        connected = sum(leaf.size for leaf in jax.tree.leaves(params) if leaf.ndim == 2)
        classifier = outputs["feature"].shape[1] * IDENTITIES
        taller = (macs - connected) * 384 // 256 + connected
        restorer_macs = count_macs(network.super_resolution.apply, restorer, image)
        columns.append(
            {
                "FFSR: parameters": f"{count_parameters(restorer):,}",
                "FFSR: GMACs at 256x128": f"{restorer_macs / 1e9:.3f}",
                "FFSR: GMACs at 384x128": f"{restorer_macs * 384 / 256 / 1e9:.3f}",
                "FFSR: convolutions": str(sum(p[-1].key == "kernel" for p, _ in _leaves(restorer))),
                "RIFE: gated parts": str(outputs["gates"].shape[1]),
                "RIFE: parameters of the weight heads": f"{count_parameters(heads):,}",
                "RIFE: dimensions of the feature": f"{outputs['feature'].shape[1]:,}",
                f"all parameters in use, {IDENTITIES} identities": f"{in_use:,}",
                "parameters registered": f"{in_use + unused:,}",
                "GMACs of a feature at 256x128": f"{(macs - classifier) / 1e9:.3f}",
                "GMACs of a feature at 384x128": f"{(taller - classifier) / 1e9:.3f}",
            }
        )
    return [(name, *(column[name] for column in columns)) for name in columns[0]]


def _init(network: Network, image: jax.Array) -> tuple[dict[str, Any], Any]:
    outputs, variables = network.init_with_output(jax.random.key(0), image)
    return vars(outputs), variables


def _leaves(tree: object) -> list:
    return jax.tree_util.tree_leaves_with_path(tree)


def _stage_rows(
    configs: tuple[ConfigDict, ConfigDict], stages: tuple[str, str]
) -> list[tuple[str, ...]]:
    columns = []
    for config, stage in zip(configs, stages, strict=True):
        spec = config.stages[stage]
        own = spec.optimizer.extractor
        weights = [spec.losses[name].weight for name in ("restoration", "identity", "resolution")]
        sr, identity, gates = weights
        columns.append(
            {
                "loss": f"{sr:g} FFSR + {identity:g} (identity + {gates / identity:g} gates)",
                "in units of the FFSR loss": f"1 : {identity / sr:g} : {gates / sr:g}",
                "optimizer of the last stage": f"{own.name}, {own.rate:g}",
                "learning rate divided by 10 after epochs": ", ".join(
                    map(str, spec.schedule.decay_epochs)
                ),
                "epochs of the last stage": str(spec.epochs),
            }
        )
    return [(name, *(column[name] for column in columns)) for name in columns[0]]


def _mask_rows() -> list[tuple[str, ...]]:
    masks = {
        "ours": gaussian_mask(256, 128, (1 / 3, 1 / 3)),
        "published": released_mask(256, 128, index_bug=True),
        "meant": released_mask(256, 128, index_bug=False),
    }

    def row(name: str, of: object) -> tuple[str, ...]:
        values = {key: of(mask) for key, mask in masks.items()}  # type: ignore[operator]
        published = f"{values['published']}; without the bug {values['meant']}"
        return name, values["ours"], published

    def largest(mask: np.ndarray) -> str:
        y, x = np.unravel_index(mask.argmax(), mask.shape)
        return f"{mask.max():.4f} in row {y}" + ("" if np.ptp(mask[y]) == 0 else f", column {x}")

    return [
        row("mask at 256x128: largest", largest),
        row("top and bottom row, in the middle", lambda m: f"{m[0, 64]:.3f} and {m[-1, 64]:.3f}"),
        row("left column, in the middle", lambda m: f"{m[128, 0]:.3f}"),
        row("mean of the squared mask", lambda m: f"{np.square(m, dtype=np.float64).mean():.4f}"),
    ]


def _resolutions(config: ConfigDict, stage: str) -> str:
    recipe = config.data.recipe
    one = config.stages[stage].resolution_width or recipe.max_width
    return f"{recipe.min_width / one:.4g} to {(recipe.max_width - 1) / one:.4g}"


def table() -> str:
    """The rows as Markdown."""
    lines = ["| | paper, as built here | released code |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows()]
    return "\n".join(lines) + "\n"


def current(page: str) -> str:
    """The page with its numbers computed anew."""
    return _BLOCK.sub(lambda match: match[1] + table() + match[2], page)


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text()))
