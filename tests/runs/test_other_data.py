"""A run that has ended is scored on other data, and starts a run on other data with other people."""

import jax
import numpy as np
import pytest
from tiny_pedestrians import tiny_config

from rireid_jax.cli.stored_config import get_config
from rireid_jax.errors import UserError
from rireid_jax.runs.extractor import Extractor
from rireid_jax.runs.run import run
from rireid_jax.runs.workdir import read_results
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.initial import initial_variables


def test_scored_on_other_data_and_begun_from(tmp_path, caplog, capsys):
    config = tiny_config(tmp_path, 8, 2, 1, 1)
    config.data.validation = 0.0
    first = tmp_path / "first"
    run(config, str(first), "train")
    with Checkpoints(str(first), "baseline") as checkpoints:
        learned = checkpoints.load_latest()[1]

    # Six other people: the networks of the first run, and its classifier of eight.
    stored = get_config(f"{first}::pedestrians")
    assert (stored.data.validation, stored.data.trials) == (0.0, ())
    stored.data.recipe = config.data.recipe.copy_and_resolve_references()
    stored.data.recipe.seed, stored.data.recipe.train_identities = 5, 6
    elsewhere = first / "on" / "pedestrians"
    run(stored, str(elsewhere), "evaluate")
    results = read_results(str(elsewhere), stored)
    own = read_results(str(first), config)
    assert results
    assert own
    assert results["protocol_hash"] != own["protocol_hash"]
    assert not (elsewhere / "checkpoints").exists()
    assert read_results(str(first), config) == own
    assert Extractor.from_workdir(first).width_max == config.data.recipe.width

    # Training goes on from them, and learns a classifier of its own.
    config.data.recipe = stored.data.recipe
    config.init.workdir = str(first)
    with caplog.at_level("INFO"):
        run(config, str(tmp_path / "second"), "train")
    assert f"baseline: begins with what {first} has trained on other data" in caplog.messages
    begun = initial_variables(config, "baseline", str(tmp_path), 6, begin=learned)
    own_classifier = begun["params"]["extractor"]["head"].pop("classifier")
    assert own_classifier["kernel"].shape[1] == 6
    their_classifier = learned["params"]["extractor"]["head"].pop("classifier")
    jax.tree.map(np.testing.assert_array_equal, begun, learned)
    learned["params"]["extractor"]["head"]["classifier"] = their_classifier

    config.model.width = 0.25
    with pytest.raises(UserError, match=r"^config\.init\.workdir: found .*, as config\.model says"):
        initial_variables(config, "baseline", str(tmp_path), 6, begin=learned)
    with pytest.raises(UserError, match=r"nosuch"):
        get_config(f"{first}::nosuch")
    with pytest.raises(UserError, match=r"found no config\.json"):
        get_config(str(tmp_path / "nosuch"))
