"""`config.init.workdir`: more epochs, or another rate, for a run that has ended."""

import json

import jax
import numpy as np
import pytest
from tiny_pedestrians import tiny_config

from rireid_jax.errors import UserError
from rireid_jax.runs.run import run
from rireid_jax.training.checkpoint import Checkpoints


def short_config(folder, backbone=1, baseline=1):
    config = tiny_config(folder, 8, 2, backbone, baseline)
    config.data.validation = 0.0
    config.stages.baseline.optimizer.extractor.rate = 0.01
    return config


def last(workdir, stage="baseline"):
    with Checkpoints(str(workdir), stage) as checkpoints:
        return checkpoints.load_latest()


def losses(workdir):
    """(stage, step) of what was trained in a folder."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return {(line["stage"], line["step"]) for line in map(json.loads, lines)}


def test_more_epochs_end_as_if_trained_at_once(tmp_path, caplog):
    run(short_config(tmp_path), str(tmp_path / "short"), "train")
    config = short_config(tmp_path, baseline=2)
    run(config, str(tmp_path / "whole"), "train")
    config.init.workdir = str(tmp_path / "short")
    with caplog.at_level("INFO"):
        run(config, str(tmp_path / "more"), "train")
    assert f"baseline: step 2 taken from {tmp_path / 'short'}" in caplog.messages
    (whole_step, whole), (more_step, more) = last(tmp_path / "whole"), last(tmp_path / "more")
    assert whole_step == more_step == 4
    jax.tree.map(np.testing.assert_array_equal, whole, more)
    assert losses(tmp_path / "more") <= {("baseline", 3), ("baseline", 4)}
    run(config, str(tmp_path / "more"), "train")  # goes on in its own folder

    # A rate alone: from the last step on, so there must be more epochs.
    config.stages.baseline.optimizer.extractor.rate = 0.001
    run(config, str(tmp_path / "slower"), "train")
    slower = last(tmp_path / "slower")[1]["params"]
    assert not np.array_equal(jax.tree.leaves(slower)[0], jax.tree.leaves(more["params"])[0])
    config.stages.baseline.epochs = 1
    message = (
        r"config\.stages\.baseline\.epochs: found 1, or 2 steps, expected more than the 2 steps"
    )
    with pytest.raises(UserError, match=message):
        run(config, str(tmp_path / "none"), "train")

    # What else differs is trained anew, and so is what starts from it.
    config = short_config(tmp_path, backbone=2)
    config.init.workdir = str(tmp_path / "short")
    with caplog.at_level("INFO"):
        run(config, str(tmp_path / "anew"), "train")
    assert f"backbone: step 2 taken from {tmp_path / 'short'}" in caplog.messages
    why = (
        f"baseline: trained anew, as config.stages.backbone.epochs differs in {tmp_path / 'short'}"
    )
    assert why in caplog.messages
    assert last(tmp_path / "anew", "backbone")[0] == 4

    config.init.workdir = str(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"config\.init\.workdir: .*found no config\.json"):
        run(config, str(tmp_path / "other"), "train")
