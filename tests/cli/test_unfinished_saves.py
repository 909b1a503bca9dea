"""What a killed run had not saved to the end."""

from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.checkpoint_files import remove_unfinished


def write(workdir, *names):
    for name in names:
        folder = workdir / "checkpoints" / "rife" / name
        (folder / "variables").mkdir(parents=True)
        (folder / "variables" / "data").write_text("")


def test_only_the_run_removes_it(tmp_path):
    write(tmp_path, "12.orbax-checkpoint-tmp")
    stage = tmp_path / "checkpoints" / "rife"
    before = sorted(stage.rglob("*"))
    # Who only reads may do so while a run saves.
    with Checkpoints(str(tmp_path), "rife") as checkpoints:
        assert checkpoints.steps == []
    assert sorted(stage.rglob("*")) == before
    remove_unfinished(str(tmp_path))
    assert list(stage.iterdir()) == []


def test_what_is_saved_stays(tmp_path):
    write(tmp_path, "8", "12.orbax-checkpoint-tmp", "16.orbax-checkpoint-tmp")
    remove_unfinished(str(tmp_path))
    assert [path.name for path in (tmp_path / "checkpoints" / "rife").iterdir()] == ["8"]


def test_nothing_saved_yet(tmp_path):
    remove_unfinished(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
