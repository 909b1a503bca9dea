"""Checkpoints: exact, few, and safe against torn files and full disks."""

import errno
import gc
import logging
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from orbax.checkpoint import v1 as ocp

from rireid_jax.errors import UserError
from rireid_jax.parallel import Parallel
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.checkpoint_files import remove_unfinished
from rireid_jax.training.state import create_state

PARALLEL = Parallel("shard_map")


@pytest.fixture
def workdir(tmp_path):
    return str(tmp_path)


# Orbax leaves the tasks behind that were to read the rest of a torn checkpoint.
torn = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* was never awaited"
)


@pytest.fixture(autouse=True)
def no_tasks_are_left_to_the_next_test(request):
    yield
    if request.node.get_closest_marker("filterwarnings"):
        gc.collect()


def state_at(step):
    """A state that has made `step` updates of momentum, and running statistics of an own."""
    rng = np.random.default_rng(step)
    optimizer = optax.adam(optax.piecewise_constant_schedule(0.1, {2: 0.1}))
    variables = {
        "params": {
            "extractor": {
                "conv": {"kernel": jnp.asarray(rng.standard_normal((3, 5)), jnp.float32)}
            },
            "super_resolution": {"bias": jnp.asarray(rng.standard_normal(7), jnp.float32)},
        },
        "batch_stats": {"extractor": {"bn": {"mean": jnp.asarray([np.pi, step], jnp.float32)}}},
    }
    state = create_state(variables, optimizer, ("extractor",))
    learning = {"extractor": state.params["extractor"]}
    _, opt_state = optimizer.update(learning, state.opt_state, learning)
    return PARALLEL.replicate(state.replace(step=jnp.int32(step), opt_state=opt_state))


def abstract():
    return PARALLEL.abstract(state_at(0))


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (a.dtype, a.sharding) == (b.dtype, b.sharding)
        np.testing.assert_array_equal(a, b)


def save(workdir, *steps, keep=2, metrics=None):
    with Checkpoints(workdir, "rife", keep) as checkpoints:
        for step in steps:
            checkpoints.save(state_at(step), step, metrics and {"rank1": metrics[step]})


def truncate(workdir, step):
    """Cuts every file of a checkpoint's parameters in half, as a power failure might."""
    files = [
        path
        for path in Path(workdir, "checkpoints", "rife", str(step)).rglob("*")
        if path.is_file() and "/d/" in str(path)
    ]
    assert files
    for path in files:
        with path.open("rb+") as file:
            file.truncate(path.stat().st_size // 2)


def test_restores_every_bit(workdir):
    save(workdir, 3)
    with Checkpoints(workdir, "rife") as checkpoints:
        assert checkpoints.steps == [3]
        assert_same(checkpoints.restore(abstract()), state_at(3))
    with Checkpoints(workdir, "joint") as other_stage:
        assert other_stage.restore(abstract()) is None


def test_work_directory_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("runs/one", 3)
    with Checkpoints("runs/one", "rife") as checkpoints:
        assert_same(checkpoints.restore(abstract()), state_at(3))
    assert (tmp_path / "runs" / "one" / "checkpoints" / "rife" / "3").is_dir()


def test_state_may_be_donated_while_it_is_saved(workdir):
    with Checkpoints(workdir, "rife") as checkpoints:
        state = state_at(5)
        checkpoints.save(state, 5)
        jax.jit(lambda s: jax.tree.map(lambda x: x * 0, s), donate_argnums=0)(state)
        checkpoints.wait()
        assert_same(checkpoints.restore(abstract()), state_at(5))


def test_keeps_the_latest_and_the_best(workdir):
    save(workdir, 1, 2, 3, 4, 5, metrics={1: 0.2, 2: 0.9, 3: 0.4, 4: 0.5, 5: 0.3})
    with Checkpoints(workdir, "rife", keep=2) as checkpoints:
        assert checkpoints.steps == [2, 4, 5]
        assert checkpoints.best_step() == 2
        np.testing.assert_array_equal(
            checkpoints.load_variables(checkpoints.best_step())["batch_stats"]["extractor"]["bn"][
                "mean"
            ],
            np.float32([np.pi, 2]),
        )
        assert_same(checkpoints.restore(abstract()), state_at(5))


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
            assert_same(checkpoints.restore(abstract()), state_at(1))
        assert "rife/2 is damaged and skipped" in caplog.text
        assert checkpoints.steps == [1, 2]  # perhaps only the reading failed
        checkpoints.save(state_at(2), 2)
        checkpoints.wait()
        assert_same(checkpoints.restore(abstract()), state_at(2))
        truncate(workdir, 2)
        assert_same(checkpoints.restore(abstract()), state_at(1))
        checkpoints.save(state_at(3), 3)  # removes what is damaged
        checkpoints.wait()
        assert checkpoints.steps == [1, 3]


def test_checkpoint_of_another_network_is_refused_and_kept(workdir, caplog):
    save(workdir, 1)
    other = abstract()
    kernel = other.params["extractor"]["conv"]["kernel"]
    wider = jax.ShapeDtypeStruct((3, 6), kernel.dtype, sharding=kernel.sharding)
    cases = [
        ({"conv": {"kernel": wider}}, r"conv/kernel of shape \(3, 5\), expected \(3, 6\)"),
        ({"fc": {"kernel": kernel}}, r"conv/kernel of shape \(3, 5\), expected nothing"),
    ]
    with Checkpoints(workdir, "rife") as checkpoints:
        for extractor, message in cases:
            params = {**other.params, "extractor": extractor}
            with pytest.raises(UserError, match=message):
                checkpoints.restore(other.replace(params=params))
        assert_same(checkpoints.restore(abstract()), state_at(1))
    assert "damaged" not in caplog.text


@torn
def test_load_variables(workdir, caplog):
    save(workdir, 1, 2)
    with Checkpoints(workdir, "rife", keep=2) as checkpoints:
        latest, variables = checkpoints.load_latest()
        assert latest == 2
        for expected, loaded in ((2, variables), (1, checkpoints.load_variables(1))):
            assert set(loaded) == {"params", "batch_stats"}
            for kind in loaded:
                wanted = getattr(state_at(expected), kind)
                assert jax.tree.structure(loaded[kind]) == jax.tree.structure(wanted)
                jax.tree.map(np.testing.assert_array_equal, loaded[kind], wanted)
        with pytest.raises(UserError, match="rife: found no readable checkpoint of step 7"):
            checkpoints.load_variables(7)
        truncate(workdir, 2)
        latest, variables = checkpoints.load_latest()
        assert latest == 1
        mean = variables["batch_stats"]["extractor"]["bn"]["mean"]
        np.testing.assert_array_equal(mean, np.float32([np.pi, 1]))
        assert "rife/2 is damaged and skipped" in caplog.text
        truncate(workdir, 1)
        with pytest.raises(UserError, match="rife: found no readable checkpoint, expected one"):
            checkpoints.load_latest()
        assert checkpoints.restore(abstract()) is None
        assert checkpoints.steps == [1, 2]  # who only reads removes nothing


@torn
def test_load_variables_goes_past_a_checkpoint_without_any(workdir):
    save(workdir, 1, 2)
    shutil.rmtree(Path(workdir, "checkpoints", "rife", "2", "variables"))
    with Checkpoints(workdir, "rife") as checkpoints:
        mean = checkpoints.load_latest()[1]["batch_stats"]["extractor"]["bn"]["mean"]
    np.testing.assert_array_equal(mean, np.float32([np.pi, 1]))


def test_load_variables_of_a_network_without_batch_norm(workdir):
    state = state_at(1).replace(batch_stats={})
    with Checkpoints(workdir, "ffsr") as checkpoints:
        checkpoints.save(state, 1)
        checkpoints.wait()
        assert checkpoints.load_latest()[1]["batch_stats"] == {}


def test_load_variables_where_nothing_was_trained(workdir):
    with (
        Checkpoints(workdir, "rife") as checkpoints,
        pytest.raises(UserError, match="train first"),
    ):
        checkpoints.load_latest()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_names_the_folder(workdir, monkeypatch, number):
    def full(*args, **kwargs):
        try:
            raise OSError(number, "strange words", "/somewhere")
        except OSError as error:
            raise ValueError("could not write") from error  # libraries wrap it

    save(workdir, 1)
    with Checkpoints(workdir, "rife") as checkpoints:
        monkeypatch.setattr(ocp.training.Checkpointer, "save_checkpointables_async", full)
        with pytest.raises(UserError, match=f"{workdir}/checkpoints/rife: no space left"):
            checkpoints.save(state_at(2), 2)
        monkeypatch.undo()
        assert_same(checkpoints.restore(abstract()), state_at(1))


def test_full_disk_in_the_background_is_told_when_waiting(workdir, monkeypatch):
    def full(*args, **kwargs):
        raise RuntimeError("RESOURCE_EXHAUSTED: write: No space left on device")

    with Checkpoints(workdir, "rife") as checkpoints:
        monkeypatch.setattr(ocp.training.Checkpointer, "wait", full)
        with pytest.raises(UserError, match="no space left to save a checkpoint"):
            checkpoints.wait()
        monkeypatch.undo()


def test_other_errors_stay_what_they_are(workdir, monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("something else")

    with Checkpoints(workdir, "rife") as checkpoints:
        monkeypatch.setattr(ocp.training.Checkpointer, "save_checkpointables_async", broken)
        with pytest.raises(ValueError, match="something else"):
            checkpoints.save(state_at(1), 1)


def test_error_while_closing_does_not_hide_the_first(workdir, monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("while closing")

    def work():
        with Checkpoints(workdir, "rife"):
            monkeypatch.setattr(ocp.training.Checkpointer, "close", broken)
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
