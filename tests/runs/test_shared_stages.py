"""What trials share, and a copy that is killed."""

import gc
from types import SimpleNamespace

import numpy as np
import optax
import pytest
from etils import epath

from rireid_jax.config import base_config
from rireid_jax.data.build import Built
from rireid_jax.data.build.dataset import RecordSource
from rireid_jax.parallel import Parallel
from rireid_jax.runs.shared_stages import shared_stages, take_over
from rireid_jax.runs.workdir import claim_data
from rireid_jax.training import checkpoint_files
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.checkpoint_files import copy_checkpoint
from rireid_jax.training.loop import num_steps
from rireid_jax.training.state import create_state


def test_shared_stages():
    config = base_config("mlr_viper")
    config.run = ("ffsr_pretrain", "ffsr", "rife", "joint", "baseline")
    assert shared_stages(config) == ("ffsr_pretrain",)
    config.stages.ffsr.dataset = "natural_images"
    assert shared_stages(config) == ("ffsr_pretrain", "ffsr")
    config.stages.ffsr_pretrain.dataset = ""
    assert shared_stages(config) == ()
    # A classifier has as many classes as the trial has identities.
    config.stages.baseline.dataset = "natural_images"
    assert shared_stages(config) == ()


@pytest.fixture
def checkpoint(tmp_path):
    """The files of a checkpoint of step 7, in two folders."""
    folder = tmp_path / "source" / "checkpoints" / "ffsr" / "7"
    for name in ("a", "commit_success.txt", "variables/b", "variables/c/d"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def files(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()
    }


def test_copied_checkpoint(checkpoint, tmp_path):
    copy_checkpoint(str(tmp_path / "source"), str(tmp_path / "target"), "ffsr", 7)
    target = tmp_path / "target" / "checkpoints" / "ffsr"
    assert files(target / "7") == files(checkpoint)
    assert [path.name for path in target.iterdir()] == ["7"]


@pytest.fixture
def killed_copy(tmp_path, monkeypatch):
    """Kills a copy before the file that makes it complete; names of the files copied before."""
    copied = []
    copy = type(epath.Path(tmp_path)).copy

    def killed(path, *arguments, **options):
        if path.name == "commit_success.txt":
            raise KeyboardInterrupt
        copied.append(path.name)
        return copy(path, *arguments, **options)

    monkeypatch.setattr(type(epath.Path(tmp_path)), "copy", killed)
    return copied


def test_killed_copy_is_no_checkpoint(checkpoint, tmp_path, killed_copy):
    with pytest.raises(KeyboardInterrupt):
        copy_checkpoint(str(tmp_path / "source"), str(tmp_path / "target"), "ffsr", 7)
    target = tmp_path / "target" / "checkpoints" / "ffsr"
    assert [path.name for path in target.iterdir()] == ["7.orbax-checkpoint-tmp"]


def test_killed_copy_in_an_object_store_is_not_committed(
    checkpoint, tmp_path, killed_copy, monkeypatch
):
    bucket = SimpleNamespace(
        Path=lambda path: epath.Path(path.replace("gs://bucket", str(tmp_path)))
    )
    monkeypatch.setattr(checkpoint_files, "epath", bucket)
    with pytest.raises(KeyboardInterrupt):
        copy_checkpoint("gs://bucket/source", "gs://bucket/target", "ffsr", 7)
    target = tmp_path / "target" / "checkpoints" / "ffsr"
    assert [path.name for path in target.iterdir()] == ["7"]
    assert sorted(killed_copy) == ["a", "b", "d"]
    assert not (target / "7" / "commit_success.txt").exists()


# Orbax leaves the tasks behind that were to read the rest of a torn checkpoint.
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* was never awaited"
)
def test_stages_are_taken_over_from_the_same_data_alone(tmp_path):
    """A folder of other data of the same name and size is passed over, and so are damaged files."""
    config = base_config("pedestrians")
    splits = {"train": RecordSource([{}] * 1500)}
    data = {key: Built("natural_images", key, (), 32, splits, "") for key in ("a", "b")}
    last = num_steps(config, "ffsr_pretrain", 1500)[1]
    weights = {"super_resolution": {"bias": np.arange(3, dtype=np.float32)}}
    state = create_state({"params": weights, "batch_stats": {}}, optax.sgd(0.1), ())
    for name in ("damaged", "other"):
        with Checkpoints(str(tmp_path / name), "ffsr_pretrain") as checkpoints:
            checkpoints.save(Parallel("pmap").replicate(state), last)
        claim_data(str(tmp_path / name), {"natural_images": "a"})
    for path in (tmp_path / "damaged").rglob("manifest.ocdbt"):
        path.write_bytes(b"")
    claim_data(str(tmp_path / "torn"), {"natural_images": "a"})
    (tmp_path / "torn" / "data.json").write_text("{")
    others = [str(tmp_path / name) for name in ("nobody", "torn", "damaged", "other")]

    def taken(name, protocol):
        target = str(tmp_path / name)
        return take_over(config, "ffsr_pretrain", target, others, data[protocol])

    assert taken("mine", "b") is None
    assert not (tmp_path / "mine").exists()
    source, variables = taken("mine", "a")
    assert source == str(tmp_path / "other")
    with Checkpoints(str(tmp_path / "mine"), "ffsr_pretrain") as checkpoints:
        copied = checkpoints.load_variables(last)["params"]["super_resolution"]["bias"]
    for bias in (copied, variables["params"]["super_resolution"]["bias"]):
        np.testing.assert_array_equal(bias, [0, 1, 2])
    gc.collect()
