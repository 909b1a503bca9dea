"""A stage from its start to its end, however often it is interrupted."""

import json
import os
import signal
import time
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_training import IMAGE_SIZE, initial_state, leaves, small_config

from rireid_jax.data.build import Built
from rireid_jax.data.build.dataset import RecordSource
from rireid_jax.data.records import encode_png
from rireid_jax.distributed import StopRequest
from rireid_jax.errors import UserError
from rireid_jax.parallel import Parallel
from rireid_jax.runs.metrics import MetricsWriter
from rireid_jax.training import loop, progress
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.initial import initial_variables
from rireid_jax.training.loop import (
    Stopped,
    finished_variables,
    num_steps,
    train_stage,
)

STAGE = "ffsr"  # the quickest to compile
PIDS = (3, 5, 8, 13)
IMAGES = 26  # three batches of 8 an epoch
EPOCHS, STEPS = 4, 12
SAVED_EVERY, LOGGED_EVERY = 5, 2
KERNEL = "params/super_resolution/enc1/kernel"


def stage_config(dtype="float32"):
    config = small_config(dtype)
    config.batch_size, config.log_every = 8, LOGGED_EVERY
    config.checkpoint.every_steps, config.checkpoint.keep = SAVED_EVERY, 2
    for stage in config.stages.values():
        stage.epochs, stage.schedule.decay_epochs = EPOCHS, (2,)
    config.stages[STAGE].init.super_resolution = ""
    config.stages.baseline.init.extractor = ""
    return config


def example(n):
    rng = np.random.default_rng(n)
    height, width = IMAGE_SIZE
    small = rng.integers(0, 256, (height // 2, width // 2, 3), np.uint8)
    return {
        "image": encode_png(small),
        "target": encode_png(rng.integers(0, 256, (height, width, 3), np.uint8)),
        "mask": b"",
        "pid": PIDS[n % len(PIDS)],
        "camid": n % 2,
        "resolution": 0.5,
        "name": f"{n}.png".encode(),
    }


DATA = Built(
    dataset="pedestrians",
    protocol_hash="0",
    train_pids=PIDS,
    width_max=IMAGE_SIZE[1],
    splits={"train": RecordSource([example(n) for n in range(IMAGES)])},
    path="",
)


class CompiledOnce(Parallel):
    """Stages of one config may share a compiled step."""

    step = None

    def train_step(self, step):
        self.step = self.step or super().train_step(step)
        return self.step


@pytest.fixture(scope="module")
def devices():
    return CompiledOnce("pmap")


def train(workdir, parallel, *, config=None, stage=STAGE, log=MetricsWriter, **options):
    with log(str(workdir)) as log, StopRequest() as stop:
        return train_stage(
            config or stage_config(),
            stage,
            workdir=str(workdir),
            data=DATA,
            num_classes=len(PIDS),
            parallel=parallel,
            log=log,
            stop=stop,
            **options,
        )


def saved(workdir, stage=STAGE, dtype="float32"):
    """Steps of the checkpoints, and everything that the last of them holds."""
    with Checkpoints(str(workdir), stage) as checkpoints:
        return checkpoints.steps, leaves(checkpoints.restore(abstract_state(stage, dtype)))


@cache
def abstract_state(stage, dtype):
    return Parallel("pmap").abstract(initial_state(stage_config(dtype), stage))


def logged(workdir):
    return [json.loads(line) for line in Path(workdir, "metrics.jsonl").read_text().splitlines()]


def logged_steps(workdir):
    return [record["step"] for record in logged(workdir)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, devices):
    """The work directory of a run that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("whole")
    train(workdir, devices)
    return workdir


def assert_same(workdir, other, stage=STAGE):
    (steps, state), (_, expected) = saved(workdir, stage), saved(other, stage)
    assert steps[-1] == STEPS
    assert state.keys() == expected.keys()
    for name in state:
        np.testing.assert_array_equal(state[name], expected[name], err_msg=name)


def test_earlier_stages_come_from_memory_and_stay_as_they_are(whole, tmp_path, devices):
    given = jax.device_get(finished_variables(stage_config(), str(whole), STAGE, IMAGES))
    before = jax.tree.map(np.copy, given)
    config = stage_config()
    # The folder has no checkpoint of that stage.
    config.stages[STAGE].init.super_resolution = "ffsr_pretrain"
    own = initial_variables(config, STAGE, str(tmp_path), len(PIDS), {"ffsr_pretrain": given})
    jax.tree.map(np.testing.assert_array_equal, own["params"], given["params"])
    config.stages[STAGE].epochs = 1
    train(tmp_path, devices, config=config, trained={"ffsr_pretrain": given})
    jax.tree.map(np.testing.assert_array_equal, given, before)  # steps give up buffers, not these


def test_nothing_moves_to_the_devices_unasked(tmp_path, monkeypatch):
    devices = CountingSteps("shard_map")
    monkeypatch.setattr(devices, "split_for_training", lambda batch: batch)
    with pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed host-to-device transfer"):
        train(tmp_path, devices)


@pytest.mark.parametrize("steps", [(2, 3), (12, 99)])
def test_trace_of_some_steps(whole, tmp_path, devices, steps):
    config = stage_config()
    config.profile = steps
    config.seed = 1
    train(tmp_path, devices, config=config)
    assert list((tmp_path / "profile" / STAGE).rglob("*.xplane.pb"))
    assert logged(tmp_path)[0]["loss"] != logged(whole)[0]["loss"]  # another seed


def test_a_whole_stage(whole):
    assert saved(whole)[0] == [10, STEPS]
    assert finished_variables(stage_config(), str(whole), "rife", IMAGES) is None
    records = logged(whole)
    assert [record["step"] for record in records] == [2, 4, 6, 8, 10, 12]
    for record in records:
        assert record["stage"] == STAGE
        assert record["epoch"] == record["step"] / 3
        # The rate of the step itself: it drops behind step 6, when two epochs are complete.
        rate = 0.05 if record["step"] <= 6 else 0.005
        np.testing.assert_allclose(record["learning_rate"], rate, rtol=1e-6)
        assert {"loss", "ffsr_loss", "gradient_norm"} <= set(record)
        assert all(np.isfinite(record[name]) for name in ("loss", "gradient_norm"))


def test_finished_stage_is_left_alone_and_returned(whole, devices):
    before = saved(whole), logged(whole)
    returned = leaves(train(whole, devices))
    after = saved(whole), logged(whole)
    assert before[1] == after[1]
    jax.tree.map(np.testing.assert_array_equal, before[0], after[0])
    read = leaves(finished_variables(stage_config(), str(whole), STAGE, IMAGES))
    jax.tree.map(np.testing.assert_array_equal, returned, read)
    assert all(isinstance(leaf, np.ndarray) for leaf in returned.values())


def test_speed_is_that_of_the_steps(whole, tmp_path, devices, monkeypatch):
    # A batch takes a second to come, compilation and evaluation an hour.
    clock = [0.0]
    config = stage_config()
    config.eval.every_epochs = 2
    batches, step = loop.train_batches, devices.train_step(None)

    def slow_batches(*args, **options):
        for batch in batches(*args, **options):
            clock[0] += 1
            yield batch

    def step_that_compiles(state, batch):
        clock[0] += 3600 * (clock[0] == 1)
        return step(state, batch)

    def slow_evaluation(variables):
        clock[0] += 3600
        return {"rank1": 0.5}

    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(loop, "train_batches", slow_batches)
    monkeypatch.setattr(devices, "step", step_that_compiles)
    timed: list[tuple[float, int]] = []
    told = {"timed": lambda *times: timed.append(times)}
    train(tmp_path, devices, config=config, evaluate=slow_evaluation, **told)
    assert timed == [(1.0, STEPS - 4)]  # the three steps after the first
    # After the checkpoint of step 5 no step but the sixth is left in its period.
    speeds = {record["step"]: record["images_per_second"] for record in logged(tmp_path)}
    assert speeds == {2: 8.0, 4: 8.0, 6: None, 8: 8.0, 10: 8.0, 12: 8.0}


class Crash(Exception):
    """Of the machine, as it were."""


def crash():
    raise Crash


def ask_to_stop():
    os.kill(os.getpid(), signal.SIGTERM)


def interrupting(step, act):
    """A log that acts when it gets the record of a step, while the next logged one runs."""

    class Interrupting(MetricsWriter):
        def write(self, record):
            super().write(record)
            if record["step"] == step:
                act()

    return Interrupting


@pytest.mark.parametrize(
    ("log", "ending", "message", "steps"),
    [
        (interrupting(6, crash), Crash, "^$", [5]),
        (interrupting(4, ask_to_stop), Stopped, "ffsr: stopped at step 6 of 12, saved", [5, 6]),
    ],
)
def test_going_on_is_the_same(whole, tmp_path, devices, log, ending, message, steps):
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ending, match=message):
        train(tmp_path, devices, log=log)
    assert signal.getsignal(signal.SIGTERM) is handler
    assert saved(tmp_path)[0] == steps
    assert logged_steps(tmp_path) == [2, 4, 6]
    assert finished_variables(stage_config(), str(tmp_path), STAGE, IMAGES) is None
    train(tmp_path, devices)
    assert_same(tmp_path, whole)
    assert logged_steps(tmp_path) == [2, 4, 6, 8, 10, 12]


class CountingSteps(Parallel):
    def train_step(self, step):
        return jax.jit(
            lambda state, batch: (
                state.replace(step=state.step + 1),
                {"loss": 0 * batch["resolution"].sum()},
            )
        )


def test_discriminators_go_on_too(tmp_path):
    """Their parameters' shapes depend on the size of the images, from about 128x64 on."""
    from rireid_jax.paper import systems  # registers CSR-GAN

    assert systems
    config = stage_config()
    config.data.image_size = (128, 64)
    config.model.generator_blocks, config.model.generator_width = 1, 0.0625
    config.stages.csr_gan = config.stages[STAGE].copy_and_resolve_references()
    modules = ("super_resolution", "discriminator", "extractor")
    config.stages.csr_gan.update(super_resolution="csr_gan", extractor="resnet50", train=modules)
    config.stages.csr_gan.losses.restoration.weight = 0.0
    config.stages.csr_gan.losses.csr_gan.update(weight=1.0, discriminator_width=0.0625)
    devices = CountingSteps("pmap")
    with pytest.raises(Stopped, match="csr_gan: stopped at step 6 of 12, saved"):
        train(tmp_path, devices, config=config, stage="csr_gan", log=interrupting(4, ask_to_stop))
    train(tmp_path, devices, config=config, stage="csr_gan")
    assert logged_steps(tmp_path) == [2, 4, 6, 8, 10, 12]


def test_stop_request_while_the_last_step_runs(whole, tmp_path, devices):
    config = stage_config()
    config.checkpoint.every_steps = STEPS
    with pytest.raises(Stopped, match="ffsr: stopped at step 12 of 12, saved"):
        train(tmp_path, devices, config=config, log=interrupting(10, ask_to_stop))
    assert_same(tmp_path, whole)


def test_what_takes_minutes_is_told(monkeypatch, caplog):
    monkeypatch.setattr(progress, "_MINUTE", 0.01)
    with (
        caplog.at_level("INFO", "rireid_jax"),
        progress.told_every_minute("ffsr: the first step still compiles"),
    ):
        time.sleep(0.2)
    assert caplog.messages[0] == "ffsr: the first step still compiles, after 0 min"


def test_best_checkpoint(tmp_path, devices):
    config = stage_config()
    config.eval.every_epochs, config.checkpoint.keep = 1, 1
    scores = iter([0.1, 0.7, 0.3, 0.2])
    seen = []

    def evaluate(variables):
        seen.append(leaves(variables)[KERNEL].copy())
        return {"rank1": next(scores), "mAP": 0.0}

    train(tmp_path, devices, config=config, evaluate=evaluate)
    assert len(seen) == EPOCHS
    with Checkpoints(str(tmp_path), STAGE) as checkpoints:
        assert checkpoints.steps == [6, 12]
        assert checkpoints.best_step() == 6
        for step, scored in ((6, seen[1]), (12, seen[3])):
            variables = checkpoints.load_variables(step)
            np.testing.assert_array_equal(leaves(variables)[KERNEL], scored)


@pytest.fixture(scope="module")
def shard_map():
    return CompiledOnce("shard_map")


@pytest.mark.parametrize("logged_every", [2, 100])
def test_loss_that_is_not_finite_keeps_what_was_good(tmp_path, logged_every, shard_map):
    config = stage_config()
    config.stages.ffsr_pretrain.schedule.decay_factor = 1e38
    config.log_every = logged_every
    # The rate rises to infinity in step 7, of which the loss of step 8 knows, before step 10 is saved.
    with pytest.raises(UserError, match=r"config\.stages\.ffsr_pretrain: .* became (nan|inf)"):
        train(tmp_path, shard_map, config=config, stage="ffsr_pretrain")
    steps, state = saved(tmp_path, "ffsr_pretrain")
    assert steps == [5]
    assert all(np.isfinite(leaf).all() for leaf in state.values())


def test_a_stage_starts_from_the_last_checkpoint_of_another(tmp_path):
    stage = "baseline"  # with batch norm
    train(tmp_path, CompiledOnce("pmap"), stage=stage)
    assert all({"identity_loss", "accuracy"} <= record.keys() for record in logged(tmp_path))
    config = stage_config()
    config.stages.rife = config.stages.baseline.copy_and_resolve_references()
    config.stages.rife.init.extractor = stage
    loaded = leaves(initial_variables(config, "rife", str(tmp_path), len(PIDS)))
    assert any(name.startswith("batch_stats") for name in loaded)
    _, state = saved(tmp_path, stage)
    for name, leaf in loaded.items():
        np.testing.assert_array_equal(leaf, state[name], err_msg=name)


def test_number_of_steps():
    # Fewer images than a batch still make an epoch.
    for images, expected in ((26, (3, 12)), (24, (3, 12)), (7, (1, 4))):
        assert num_steps(stage_config(), STAGE, images) == expected
