"""Validation identities: who is held out of training, and who never is."""

import contextlib
import itertools

import numpy as np
import pytest

from rireid_jax.config import base_config
from rireid_jax.data.augmentation import Augmentation
from rireid_jax.data.build import Built, hold_out
from rireid_jax.data.build.dataset import RecordSource
from rireid_jax.data.loader import train_batches
from rireid_jax.data.records import encode_png
from rireid_jax.errors import UserError
from rireid_jax.runs.trial import build_dataset


def built(pids, cameras=2, dataset="vr_market1501"):
    """Three images of each identity, one after another; the image's grey is its position."""
    examples = [
        {
            "image": encode_png(np.full((4, 4, 3), n, np.uint8)),
            "target": b"",
            "mask": b"",
            "pid": pid,
            "camid": shot % cameras,
            "resolution": 1.0,
            "name": f"{n}.png".encode(),
        }
        for n, (pid, shot) in enumerate(itertools.product(pids, range(3)))
    ]
    return Built(
        dataset=dataset,
        protocol_hash="0",
        train_pids=tuple(sorted(set(pids))),
        width_max=4,
        splits={"train": RecordSource(examples), "query": RecordSource([])},
        path="",
    )


def people(split):
    return {record.pid for record in split}


def test_everybody_is_on_one_side_and_batches_have_the_rest_alone():
    data = built(range(1, 21))
    view = hold_out(data, 0.2, 0)
    held_out, rest = set(view.validation_pids), set(view.train_pids)
    assert (len(held_out), len(rest)) == (4, 16)
    assert held_out | rest == set(data.train_pids)
    assert people(view.splits["validation"]) == held_out
    assert people(view.splits["train"]) == rest
    assert (len(view.splits["train"]), len(view.splits["validation"])) == (48, 12)
    assert view.splits["query"] is data.splits["query"]
    assert view.protocol_hash == data.protocol_hash
    assert hold_out(data, 0.0, 0) is data

    expected = {n for n in range(len(data.splits["train"])) if data.splits["train"][n].pid in rest}
    for images_per_identity in (0, 2):
        batches = train_batches(
            view.splits["train"],
            labels={pid: label for label, pid in enumerate(view.train_pids)},
            image_size=(4, 4),
            batch_size=8,
            seed=0,
            images_per_identity=images_per_identity,
            augmentation=Augmentation(flip=0.0, crop=0.0),
        )
        with contextlib.closing(batches):
            seen = list(itertools.islice(batches, 16))
        pixels = np.concatenate([batch["image"][:, 0, 0, 0] for batch in seen])
        labels = np.concatenate([batch["label"] for batch in seen])
        assert set(pixels.tolist()) == expected
        pids = [view.train_pids[label] for label in labels]
        assert pids == [data.splits["train"][pixel].pid for pixel in pixels.tolist()]


def test_who_is_a_matter_of_seed_and_names_alone():
    first = hold_out(built(range(1, 21)), 0.2, 0).validation_pids
    assert hold_out(built(range(20, 0, -1)), 0.2, 0).validation_pids == first
    assert hold_out(built(range(1, 21)), 0.2, 1).validation_pids != first
    assert set(first) < set(hold_out(built(range(1, 21)), 0.4, 0).validation_pids)
    with pytest.raises(IndexError, match="expected 0 to 11"):
        hold_out(built(range(1, 21)), 0.2, 0).splits["validation"][-1]


def test_distractors_are_never_held_out():
    view = hold_out(built([-1, 0, 1, 2, 3, 4]), 0.5, 0)
    assert {-1, 0} < set(view.train_pids)
    assert len(view.validation_pids) == 2


@pytest.mark.parametrize(
    ("pids", "cameras", "share", "message"),
    [
        (range(1, 4), 2, 0.1, r"0\.1, which holds out 2 of 3 .*, expected at least 2 on either"),
        (range(1, 9), 2, 0.9, r"0\.9, which holds out 7 of 8 .*, expected at least 2 on either"),
        (range(1, 9), 1, 0.5, r"0\.5, which holds out 4 of 8 .* none in two cameras"),
    ],
)
def test_shares_that_cannot_be(pids, cameras, share, message):
    with pytest.raises(UserError, match=rf"config\.data\.validation: found {message}"):
        hold_out(built(pids, cameras), share, 0)


def test_seeds_of_training_hold_out_the_same_and_recipes_do_not(tmp_path):
    config = base_config("pedestrians")
    config.data.dir = str(tmp_path)
    config.data.recipe.update(
        train_identities=24, test_identities=2, cameras=2, train_shots=1, height=32, width=16
    )
    config.data.validation = 0.25
    views = []
    for training, recipe in ((0, 0), (1, 0), (0, 1)):
        config.seed, config.data.recipe.seed = training, recipe
        views.append(build_dataset(config, "pedestrians"))
    first, again, other = (view.validation_pids for view in views)
    assert len(first) == 6
    assert first == again != other
    config.data.validation = 0.0
    assert build_dataset(config, "pedestrians").protocol_hash == views[2].protocol_hash
