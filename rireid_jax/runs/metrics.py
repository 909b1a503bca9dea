"""A run's metrics, as JSON lines and as TensorBoard events."""

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from etils import epath

from rireid_jax.runs.files import jsonable, write_whole

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter

_FLUSH_SECONDS = 30  # at most, between what is measured and what TensorBoard can see


class MetricsWriter:
    """Appends to `WORKDIR/metrics.jsonl` and `WORKDIR/tensorboard`. A context manager.

    Events are written in the caller's thread: tensorboardX's SummaryWriter has a thread of its own, and waits for ever
    when that ends on a full disk. tensorboardX is imported with the first record, because it imports PyTorch where
    that is installed, and the first step need not wait for it.
    """

    def __init__(self, workdir: str):
        self._path = epath.Path(workdir) / "metrics.jsonl"
        self._folder = str(epath.Path(workdir) / "tensorboard")
        self._events: EventsWriter | None = None
        self._flushed = time.monotonic()

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # An error under way says more than one that follows from it.
        with contextlib.suppress(*(() if kind is None else (OSError,))):
            if self._events is not None:
                self._events.close()

    def write(self, record: dict[str, Any]) -> None:
        """Adds one JSON object; its numbers go to TensorBoard as `STAGE/NAME` at `step`.

        Raises:
          OSError: the disk is full.
        """
        with self._path.open("a") as file:
            file.write(json.dumps(jsonable(record)) + "\n")
        self._write_events(record)

    def _write_events(self, record: dict[str, Any]) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import directory_check
        from tensorboardX.summary import scalar

        if self._events is None:
            directory_check(self._folder)  # creates it
            self._events = EventsWriter(f"{self._folder}/events")
        for name, value in record.items():
            if isinstance(value, float):
                summary = scalar(f"{record['stage']}/{name}", value)
                event = Event(wall_time=time.time(), step=record["step"], summary=summary)
                self._events.write_event(event)
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._events.flush()
            self._flushed = time.monotonic()

    def rewind(self, stage: str, step: int) -> None:
        """Drops what the stage logged after `step`: a resumed run logs it again.

        A line that a killed run left half written goes too.
        """
        if not self._path.exists():
            return
        kept = []
        for line in self._path.read_text().splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            if record["stage"] != stage or record["step"] <= step:
                kept.append(line + "\n")
        write_whole(self._path, "".join(kept))


class NoMetrics:
    """Stands in for `MetricsWriter` where another process writes."""

    def __enter__(self) -> "NoMetrics":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, record: dict[str, Any]) -> None:
        """Does nothing."""

    def rewind(self, stage: str, step: int) -> None:
        """Does nothing."""
