"""Damaged checkpoints: whichever file is torn, what is read is what was saved, or the checkpoint before."""

import gc
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rireid_jax.errors import UserError
from rireid_jax.parallel import Parallel
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.checkpoint_files import remove_unfinished
from rireid_jax.training.state import TrainState, create_state

PARALLEL = Parallel("shard_map")
# Orbax leaves the tasks behind that were to read the rest of a torn checkpoint.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* was never awaited"
)


@pytest.fixture(autouse=True)
def no_tasks_are_left_to_the_next_test():
    yield
    gc.collect()


def state_at(step: int) -> TrainState:
    # Large enough to lie in files of values, which Orbax has no checksum of.
    values = np.random.default_rng(step).standard_normal((2, 100, 100)).astype(np.float32)
    variables = {
        "params": {"extractor": {"kernel": jnp.asarray(values[0])}},
        "batch_stats": {"extractor": {"mean": jnp.asarray([step], jnp.float32)}},
    }
    optimizer = optax.sgd(0.1, momentum=0.9)
    state = create_state(variables, optimizer, ("extractor",))
    _, opt_state = optimizer.update(
        {"extractor": {"kernel": jnp.asarray(values[1])}}, state.opt_state
    )
    return PARALLEL.replicate(state.replace(step=jnp.int32(step), opt_state=opt_state))


def same(found: object, expected: object) -> bool:
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A work directory with the checkpoints of two steps, both scored."""
    folder = tmp_path_factory.mktemp("saved")
    with Checkpoints(str(folder), "rife", keep=2) as checkpoints:
        for step in (1, 2):
            checkpoints.save(state_at(step), step, {"rank1": step / 10})
    return folder


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "halved": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": Path.unlink,
    "flipped": flip,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_file(saved, tmp_path, caplog, damage):
    abstract = PARALLEL.abstract(state_at(0))
    last = Path("checkpoints", "rife", "2")
    files = [path.relative_to(saved) for path in (saved / last).rglob("*") if path.is_file()]
    # Files, by item, without which the last cannot be read.
    before = {"variables": 0, "progress": 0}
    for place in files:
        workdir = tmp_path / place.as_posix().replace("/", "-")
        shutil.copytree(saved, workdir)
        DAMAGES[damage](workdir / place)
        remove_unfinished(str(workdir))  # as a run does before it reads
        caplog.clear()
        with (
            Checkpoints(str(workdir), "rife", keep=2) as checkpoints,
            caplog.at_level(logging.WARNING, "rireid_jax"),
        ):
            state = checkpoints.restore(abstract)
            step, variables = checkpoints.load_latest()
            assert state is not None
            assert same(state, state_at(int(state.step))), place
            expected = state_at(step)
            assert same(variables, {"params": expected.params, "batch_stats": expected.batch_stats})
            assert (checkpoints.find_variables(2) is not None) == (step == 2), place
            assert checkpoints.find_variables(1)
        # A stage whose variables are whole can be read, and one that can be resumed is whole.
        assert int(state.step) <= step, place
        assert ("is damaged and skipped" in caplog.text) == (state.step == 1), place
        for item in before:
            before[item] += int(state.step) == 1 and item in place.parts
    # Of each: the tree, the index, and the values.
    assert before["variables"] >= 3
    assert before["progress"] >= 3


def test_values_that_have_changed(saved, tmp_path, caplog):
    """What Orbax reads without a word."""
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    files = (tmp_path / "checkpoints" / "rife" / "2" / "variables").rglob("d/*")
    (values,) = (path for path in files if path.stat().st_size > 30_000)
    flip(values)
    with Checkpoints(str(tmp_path), "rife", keep=2) as checkpoints:
        assert checkpoints.find_variables(2) is None
        assert "the values of its variables are not what was saved" in caplog.text
        with pytest.raises(UserError, match="found no readable checkpoint of step 2"):
            checkpoints.load_variables(2)


@pytest.mark.parametrize("scores", ["", '{"rank1": 0.', '{"rbnk1": 0.5}'])
def test_torn_scores_are_dropped_by_the_run(saved, tmp_path, caplog, scores):
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "checkpoints" / "rife" / "2" / "metrics" / "metrics"
    path.write_text(scores)
    remove_unfinished(str(tmp_path))
    assert f"{path} is damaged" in caplog.text
    with Checkpoints(str(tmp_path), "rife", keep=2) as checkpoints:
        assert checkpoints.steps == [1, 2]
        assert checkpoints.best_step() == 1
        checkpoints.save(state_at(3), 3)  # which compares the scores
        checkpoints.wait()
        assert checkpoints.find_variables(2)


def test_torn_scores_are_named_to_who_only_reads(saved, tmp_path):
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "checkpoints" / "rife" / "2" / "metrics" / "metrics"
    path.write_text("{")
    with pytest.raises(UserError, match=r"2/metrics/metrics: found damaged.* delete the folder"):
        Checkpoints(str(tmp_path), "rife")
    assert path.exists()
