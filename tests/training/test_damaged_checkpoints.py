"""Damaged checkpoints: whichever file is torn, what is read is what was saved, or the checkpoint before."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoint_states import abstract_state, assert_same, assert_same_variables, state_at, torn

from rireid_jax.errors import UserError
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.checkpoint_files import remove_unfinished

pytestmark = torn


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
    abstract = abstract_state()
    last = Path("checkpoints", "rife", "2")
    files = [path.relative_to(saved) for path in (saved / last).rglob("*") if path.is_file()]
    # Files, by item, without which the last cannot be read.
    before = {"variables": 0, "progress": 0}
    warnings = ""
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
            assert_same(state, state_at(int(state.step)))
            assert_same_variables(variables, step)
            assert (checkpoints.find_variables(2) is not None) == (step == 2), place
            assert checkpoints.find_variables(1)
        # A stage whose variables are whole can be read, and one that can be resumed is whole.
        assert int(state.step) <= step, place
        assert ("is damaged and skipped" in caplog.text) == (state.step == 1), place
        warnings += caplog.text
        for item in before:
            before[item] += int(state.step) == 1 and item in place.parts
    # Of each: the tree, the index, and the values.
    assert before["variables"] >= 3
    assert before["progress"] >= 3
    # Orbax reads values that have changed without a word.
    changed = "the values of its variables are not what was saved"
    assert (changed in warnings) == (damage == "flipped")


@pytest.fixture
def scores(saved, tmp_path) -> Path:
    """The file with the scores of the last checkpoint, in a copy."""
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    return tmp_path / "checkpoints" / "rife" / "2" / "metrics" / "metrics"


@pytest.mark.parametrize("text", ["", '{"rank1": 0.', '{"rbnk1": 0.5}'])
def test_torn_scores_are_dropped_by_the_run(tmp_path, caplog, scores, text):
    scores.write_text(text)
    remove_unfinished(str(tmp_path))
    assert f"{scores} is damaged" in caplog.text
    with Checkpoints(str(tmp_path), "rife", keep=2) as checkpoints:
        assert checkpoints.steps == [1, 2]
        assert checkpoints.best_step() == 1
        checkpoints.save(state_at(3), 3)  # which compares the scores
        checkpoints.wait()
        assert checkpoints.find_variables(2)


def test_torn_scores_are_named_to_who_only_reads(tmp_path, scores):
    scores.write_text("{")
    with pytest.raises(UserError, match=r"2/metrics/metrics: found damaged.* delete the folder"):
        Checkpoints(str(tmp_path), "rife")
    assert scores.exists()
