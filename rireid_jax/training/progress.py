"""What a stage logs while it trains: metrics of every period, and lines of progress."""

import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from ml_collections import ConfigDict

from rireid_jax.errors import UserError
from rireid_jax.progress_bar import ProgressBar
from rireid_jax.training.step import Metrics
from rireid_jax.training.terms import mean_over_steps

logger = logging.getLogger(__name__)

Timed = Callable[[float, int], None]
Rest = Callable[[float, int], str]
# What is timed to tell how long training takes. Less says little: batches have queued up while the first step compiled.
_TIMED_STEPS, _TIMED_SECONDS = 3, 1.0
# A stop waits for the steps that the devices still have to finish: for two, or a second of shorter ones. To wait for
# every short step would cost time.
_IN_FLIGHT, _IN_FLIGHT_SECONDS = 2, 1.0
_MINUTE = 60.0  # between two lines about what takes long
_LINE_SECONDS = 30.0  # without a line of progress


@contextlib.contextmanager
def told_every_minute(what: str) -> Iterator[None]:
    """Logs what is being done, and for how long, a line a minute. Compilers would say so in their own words."""
    done, begun = threading.Event(), time.monotonic()

    def tell() -> None:
        while not done.wait(_MINUTE):
            logger.info("%s, after %d min", what, round((time.monotonic() - begun) / 60))

    thread = threading.Thread(target=tell, name="rireid_jax minutes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@runtime_checkable
class MetricsLog(Protocol):
    """The log of a run's metrics (`runs.metrics`)."""

    def write(self, record: dict[str, Any]) -> None:
        """Adds the metrics of one log period."""

    def rewind(self, stage: str, step: int) -> None:
        """Removes what a stage logged after `step`, from which it resumes."""


class Progress:
    """Collects the metrics of the steps and logs them one period late, so that the device never waits.

    Where a period takes long, lines in between say how far it is.
    """

    def __init__(
        self,
        config: ConfigDict,
        stage: str,
        schedules: Mapping[str, Callable[[int], Any]],
        total: int,
        steps_per_epoch: int,
        log: MetricsLog,
        timed: Timed | None,
        rest: Rest | None,
    ):
        """Logs nothing yet.

        Args:
          config: the whole config.
          stage: key of `config.stages`.
          schedules: learning rate of a step, by module.
          total: number of steps of the stage.
          steps_per_epoch: number of steps of an epoch.
          log: log that gets one record per period of `config.log_every` steps.
          timed: as `train_stage` takes it.
          rest: as `train_stage` takes it.
        """
        self._bar = ProgressBar(total, stage, "step")
        self._config, self._stage, self._log = config, stage, log
        # One rate is logged: the extractor's where it learns.
        self._schedule = schedules.get("extractor") or next(iter(schedules.values()))
        self._total, self._steps_per_epoch = total, steps_per_epoch
        self._running: list[Metrics] = []
        # (last step, metrics, seconds per step) of the period that is still to be logged.
        self._waiting: tuple[int, list[Metrics], float] | None = None
        self._measured_from: tuple[float, int] | None = None  # (time, step)
        self._timed, self._timed_from = timed, (0.0, 0)  # (time, step)
        self._rest = rest
        self._last_step = 0
        self._in_flight: deque[tuple[float, Metrics]] = deque()  # when each was begun
        self._last_line = math.inf  # when it was printed, on the performance counter

    def __enter__(self) -> "Progress":
        self._bar.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.__exit__(kind, error, trace)

    def add(self, step: int, metrics: Metrics) -> None:
        """Adds the metrics of a step, which may still be running."""
        self._bar.reach(step)
        self._running.append(metrics)
        self._bound(metrics)
        # The first step is not timed because it compiles, nor one after a pause because it waits.
        if self._measured_from is None:
            jax.block_until_ready(metrics)
            self._measured_from = self._timed_from = (time.perf_counter(), step)
            self._last_line = time.perf_counter()
        self._last_step = step
        self._tell(metrics, _TIMED_SECONDS)
        if step % self._config.log_every == 0 or step == self._total:
            self._report()
            self._waiting = (step, self._running, self._seconds_a_step(step))
            self._running = []
        elif time.perf_counter() - self._last_line > _LINE_SECONDS:
            self._report_early(step)

    def flush(self) -> None:
        """Waits for all steps so far, before a pause in training.

        Raises:
          UserError: a metric of a step is not finite.
        """
        self._report()
        _averages(self._stage, self._running)
        self._tell(self._running, 0.0)  # no step follows without a pause
        self._measured_from = None

    def _bound(self, metrics: Metrics) -> None:
        """Waits for the oldest steps where too many are in flight."""
        now, flight = time.perf_counter(), self._in_flight
        flight.append((now, metrics))
        while len(flight) > _IN_FLIGHT and now - flight[0][0] > _IN_FLIGHT_SECONDS:
            jax.block_until_ready(flight.popleft()[1])

    def _tell(self, metrics: Any, at_least: float) -> None:
        """Calls `timed` once, after steps without a pause that took at least so many seconds."""
        then, first = self._timed_from
        steps = self._last_step - first
        if self._timed is None or steps < _TIMED_STEPS or time.perf_counter() - then < at_least:
            return
        jax.block_until_ready(metrics)
        self._timed((time.perf_counter() - then) / steps, self._total - self._last_step)
        self._timed = None

    def _seconds_a_step(self, step: int) -> float:
        """Returns the mean over the period that ends with `step`; NaN if no step before it was timed."""
        # It only waits for the previous step, so that the device still has this one to work on.
        jax.block_until_ready(self._running[-2:-1])
        now = time.perf_counter()
        assert self._measured_from is not None
        then, first = self._measured_from
        self._measured_from = (now, step)
        return (now - then) / (step - first) if step > first else math.nan

    def _report_early(self, step: int) -> None:
        """Prints what waits to be logged or, where nothing does, the steps of this period so far."""
        finished = self._running[:-_IN_FLIGHT]
        if self._waiting is None and finished and self._measured_from is not None:
            then, first = self._measured_from
            averages = _averages(self._stage, finished)
            seconds = (time.perf_counter() - then) / (step - first) if step > first else math.nan
            self._print({"stage": self._stage, "step": step - _IN_FLIGHT, **averages}, seconds)
        self._report()

    def _report(self) -> None:
        if self._waiting is None:
            return
        step, steps, seconds_a_step = self._waiting
        self._waiting = None
        averages = _averages(self._stage, steps)
        with jax.transfer_guard("allow"):  # the step number goes to the device
            learning_rate = float(self._schedule(step - 1))
        record = {
            "stage": self._stage,
            "step": step,
            "epoch": step / self._steps_per_epoch,
            **averages,
            "learning_rate": learning_rate,
            "images_per_second": None
            if math.isnan(seconds_a_step)
            else self._config.batch_size / seconds_a_step,
        }
        self._log.write(record)
        self._print(record, seconds_a_step)

    def _print(self, record: dict[str, Any], seconds_a_step: float) -> None:
        self._last_line = time.perf_counter()
        parts = [f"{record['stage']:<13} step {record['step']:>6}/{self._total}"]
        parts += [
            f"{name} {record[key]:.4g}"
            for name, key in (
                ("loss", "loss"),
                ("sr", "ffsr_loss"),
                ("id", "identity_loss"),
                ("triplet", "triplet_loss"),
                ("acc", "accuracy"),
            )
            if key in record
        ]
        if not math.isnan(seconds_a_step):
            steps = self._total - record["step"]
            left = round(steps * seconds_a_step)
            parts.append(f"{self._config.batch_size / seconds_a_step:.0f} images/s")
            parts.append(f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")
            if self._rest:
                parts[-1] += f", {self._rest(seconds_a_step, steps)} in the whole run"
        logger.info("%s", "  ".join(parts))


def _averages(stage: str, steps: list[Metrics]) -> dict[str, float | None]:
    """Returns the means of a period's metrics, which are fetched in one transfer; None if no example had a metric.

    Raises:
      UserError: a metric is not finite.
    """
    values = jax.device_get(steps)
    for metrics in values:
        broken = [name for name, value in metrics.items() if not np.isfinite(value).all()]
        if broken:
            raise UserError(
                f"config.stages.{stage}: {' and '.join(broken)} became {metrics[broken[0]]}, expected finite "
                "values; the checkpoints before it are kept. Try a smaller optimizer.MODULE.rate"
            )
    names = values[0] if values else ()
    return {name: mean_over_steps([metrics[name] for metrics in values]) for name in names}
