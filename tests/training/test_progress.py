"""Lines of progress come by time, however long a period of steps takes."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from tiny_training import small_config

from rireid_jax import progress_bar
from rireid_jax.training import progress


class Log:
    def __init__(self):
        self.records = []

    def write(self, record):
        self.records.append(record)

    def rewind(self, stage, step):
        raise AssertionError


@pytest.fixture
def clock(monkeypatch):
    """Seconds, which the test sets; and the number of the last step that was waited for."""
    now = {"seconds": 0.0, "waited": 0}

    def wait(metrics):
        for each in metrics if isinstance(metrics, list) else [metrics]:
            now["waited"] = max(now["waited"], int(each["loss"]))

    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: now["seconds"]))
    monkeypatch.setattr(jax, "block_until_ready", wait)
    return now


def test_a_line_within_a_minute_and_few_steps_in_flight(clock, caplog):
    config, log = small_config(), Log()
    config.batch_size, config.log_every = 32, 50
    caplog.set_level("INFO")
    rest = "3 days"
    own = progress.Progress(
        config,
        "ffsr",
        {"super_resolution": lambda step: 0.5},
        100,
        50,
        log,
        None,
        lambda seconds, left: rest,
    )
    lines = {}
    for step in range(1, 51):
        clock["seconds"] += 16.0
        own.add(step, {"loss": jnp.float32(step)})
        assert step - clock["waited"] <= 2
        for message in caplog.messages:
            lines[step] = message
        caplog.clear()
    # After 32 seconds, of the steps that had ended: the first one took its time to compile.
    assert list(lines)[:3] == [3, 5, 7]
    assert lines[3] == (
        "ffsr          step      1/100  loss 1  2 images/s  0:26:24 left, 3 days in the whole run"
    )
    assert lines[49].startswith("ffsr          step     47/100  loss 24 ")
    assert not log.records  # the period is logged whole, and late
    own.flush()
    [record] = log.records
    assert (record["step"], record["loss"], record["images_per_second"]) == (50, 25.5, 2.0)


def test_no_other_line_where_periods_are_short(clock, caplog):
    config, log = small_config(), Log()
    config.log_every = 2
    caplog.set_level("INFO")
    own = progress.Progress(config, "ffsr", {"extractor": lambda step: 0.5}, 8, 4, log, None, None)
    for step in range(1, 9):
        clock["seconds"] += 1.0
        own.add(step, {"loss": jnp.float32(step)})
    own.flush()
    assert [record["step"] for record in log.records] == [2, 4, 6, 8]
    assert len(caplog.messages) == 4


def test_a_counter_that_has_counted_nothing(monkeypatch, caplog):
    clock = iter([0.0, 40.0, 50.0, 90.0])
    monkeypatch.setattr(progress_bar, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    caplog.set_level("INFO")
    with progress_bar.ProgressBar(10, "add", "image", 2, 30.0) as bar:
        bar.add(0)
        bar.add(4)
        bar.add(1)
    assert caplog.messages == [
        "add: 6 of 10 images, about 50 s left",
        "add: 7 of 10 images, about 54 s left",
    ]
