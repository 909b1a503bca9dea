"""Checkpoints: exact, few, and safe against torn files and full disks."""

import errno
import logging
import shutil
from pathlib import Path

import jax
import pytest
from checkpoint_states import (
    abstract_state,
    assert_same,
    assert_same_variables,
    state_at,
    torn,
)
from orbax.checkpoint import v1 as ocp

from rireid_jax.errors import UserError
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.checkpoint_files import remove_unfinished


@pytest.fixture
def workdir(tmp_path):
    return str(tmp_path)


def save(workdir, *steps, keep=2, metrics=None):
    with Checkpoints(workdir, "rife", keep) as checkpoints:
        for step in steps:
            checkpoints.save(state_at(step), step, metrics and {"rank1": metrics[step]})


def truncate(workdir, step):
    """Cuts every file of a checkpoint's parameters in half, as a power failure might."""
    files = list(Path(workdir, "checkpoints", "rife", str(step)).rglob("d/*"))
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_restores_every_bit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workdir = "runs/one"  # it may be relative
    save(workdir, 3)
    with Checkpoints(workdir, "rife") as checkpoints:
        assert checkpoints.steps == [3]
        assert_same(checkpoints.restore(abstract_state()), state_at(3))
    assert (tmp_path / workdir / "checkpoints" / "rife" / "3").is_dir()
    with Checkpoints(workdir, "joint") as other_stage:
        assert other_stage.restore(abstract_state()) is None


def test_state_may_be_donated_while_it_is_saved(workdir):
    with Checkpoints(workdir, "rife") as checkpoints:
        state = state_at(5)
        checkpoints.save(state, 5)
        jax.jit(lambda s: jax.tree.map(lambda x: x * 0, s), donate_argnums=0)(state)
        checkpoints.wait()
        assert_same(checkpoints.restore(abstract_state()), state_at(5))


def test_keeps_the_latest_and_the_best(workdir):
    save(workdir, 1, 2, 3, 4, 5, metrics={1: 0.2, 2: 0.9, 3: 0.4, 4: 0.5, 5: 0.3})
    with Checkpoints(workdir, "rife", keep=2) as checkpoints:
        assert checkpoints.steps == [2, 4, 5]
        assert checkpoints.best_step() == 2
        assert_same_variables(checkpoints.load_variables(2), 2)
        assert_same(checkpoints.restore(abstract_state()), state_at(5))


def test_best_survives_checkpoints_without_metrics(workdir):
    with Checkpoints(workdir, "rife", keep=1) as checkpoints:
        checkpoints.save(state_at(1), 1, {"rank1": 0.5, "mAP": 0.1})
        for step in (2, 3):
            checkpoints.save(state_at(step), step)
        checkpoints.wait()
        assert checkpoints.steps == [1, 3]
        assert checkpoints.best_step() == 1
    with Checkpoints(workdir, "joint", keep=1) as unscored:
        for step in (2, 3):
            unscored.save(state_at(step), step)
        unscored.wait()
        assert unscored.steps == [3]
        assert unscored.best_step() is None


@torn
def test_torn_checkpoint_is_skipped_and_its_step_saved_again(workdir, caplog):
    save(workdir, 1, 2)
    truncate(workdir, 2)
    with Checkpoints(workdir, "rife", keep=2) as checkpoints:
        with caplog.at_level(logging.WARNING, "rireid_jax"):
            assert_same(checkpoints.restore(abstract_state()), state_at(1))
        assert "rife/2 is damaged and skipped" in caplog.text
        assert checkpoints.steps == [1, 2]  # perhaps only the reading failed
        checkpoints.save(state_at(2), 2)
        checkpoints.wait()
        assert_same(checkpoints.restore(abstract_state()), state_at(2))
        truncate(workdir, 2)
        assert_same(checkpoints.restore(abstract_state()), state_at(1))
        checkpoints.save(state_at(3), 3)  # removes what is damaged
        checkpoints.wait()
        assert checkpoints.steps == [1, 3]


def test_checkpoint_of_another_network_is_refused_and_kept(workdir, caplog):
    save(workdir, 1)
    other = abstract_state()
    kernel = other.params["extractor"]["conv"]["kernel"]
    wider = jax.ShapeDtypeStruct((100, 6), kernel.dtype, sharding=kernel.sharding)
    cases = [
        ({"conv": {"kernel": wider}}, r"conv/kernel of shape \(100, 100\), expected \(100, 6\)"),
        ({"fc": {"kernel": kernel}}, r"conv/kernel of shape \(100, 100\), expected nothing"),
    ]
    with Checkpoints(workdir, "rife") as checkpoints:
        for extractor, message in cases:
            params = {**other.params, "extractor": extractor}
            with pytest.raises(UserError, match=message):
                checkpoints.restore(other.replace(params=params))
        assert_same(checkpoints.restore(abstract_state()), state_at(1))
    assert "damaged" not in caplog.text


@torn
def test_load_variables(workdir, caplog):
    save(workdir, 1, 2)
    with Checkpoints(workdir, "rife", keep=2) as checkpoints:
        latest, variables = checkpoints.load_latest()
        assert latest == 2
        assert_same_variables(variables, 2)
        assert_same_variables(checkpoints.load_variables(1), 1)
        with pytest.raises(UserError, match="rife: found no readable checkpoint of step 7"):
            checkpoints.load_variables(7)
        # Without any variables, as without some of their files (test_damaged_checkpoints.py).
        shutil.rmtree(Path(workdir, "checkpoints", "rife", "2", "variables"))
        latest, variables = checkpoints.load_latest()
        assert latest == 1
        assert_same_variables(variables, 1)
        assert "rife/2 is damaged and skipped" in caplog.text
        truncate(workdir, 1)
        with pytest.raises(UserError, match="rife: found no readable checkpoint, expected one"):
            checkpoints.load_latest()
        assert checkpoints.restore(abstract_state()) is None
        assert checkpoints.steps == [1, 2]  # who only reads removes nothing


def raising(error):
    def broken(*args, **kwargs):
        raise error

    return broken


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_names_the_folder(workdir, monkeypatch, number):
    error = ValueError("could not write")  # libraries wrap it
    error.__cause__ = OSError(number, "strange words", "/somewhere")
    save(workdir, 1)
    with Checkpoints(workdir, "rife") as checkpoints:
        monkeypatch.setattr(ocp.training.Checkpointer, "save_checkpointables_async", raising(error))
        with pytest.raises(UserError, match=f"{workdir}/checkpoints/rife: no space left"):
            checkpoints.save(state_at(2), 2)
        monkeypatch.undo()
        assert_same(checkpoints.restore(abstract_state()), state_at(1))


def test_full_disk_in_the_background_is_told_when_waiting(workdir, monkeypatch):
    error = RuntimeError("RESOURCE_EXHAUSTED: write: No space left on device")
    with Checkpoints(workdir, "rife") as checkpoints:
        monkeypatch.setattr(ocp.training.Checkpointer, "wait", raising(error))
        with pytest.raises(UserError, match="no space left to save a checkpoint"):
            checkpoints.wait()
        monkeypatch.undo()


def test_other_errors_stay_what_they_are(workdir, monkeypatch):
    error = ValueError("something else")
    with Checkpoints(workdir, "rife") as checkpoints:
        monkeypatch.setattr(ocp.training.Checkpointer, "save_checkpointables_async", raising(error))
        with pytest.raises(ValueError, match="something else"):
            checkpoints.save(state_at(1), 1)


def test_error_while_closing_does_not_hide_the_first(workdir, monkeypatch):
    def work():
        with Checkpoints(workdir, "rife"):
            closing = raising(ValueError("while closing"))
            monkeypatch.setattr(ocp.training.Checkpointer, "close", closing)
            raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        work()
    with pytest.raises(ValueError, match="while closing"), Checkpoints(workdir, "rife"):
        pass


def test_only_the_run_removes_what_a_killed_one_had_not_saved(tmp_path):
    remove_unfinished(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    stage = tmp_path / "checkpoints" / "rife"
    for name in ("8", "12.orbax-checkpoint-tmp", "16.orbax-checkpoint-tmp"):
        (stage / name / "variables").mkdir(parents=True)
        (stage / name / "variables" / "data").write_text("")
    before = sorted(stage.rglob("*"))
    # Who only reads may do so while a run saves.
    with Checkpoints(str(tmp_path), "rife"):
        pass
    assert sorted(stage.rglob("*")) == before
    remove_unfinished(str(tmp_path))
    assert [path.name for path in stage.iterdir()] == ["8"]
