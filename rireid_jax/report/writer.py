"""A run's metrics, as JSON lines and as TensorBoard events."""

import json
import math
from typing import Any

from etils import epath
from tensorboardX import SummaryWriter


class MetricsWriter:
    """Appends to `WORKDIR/metrics.jsonl` and `WORKDIR/tensorboard`. A context manager."""

    def __init__(self, workdir: str):
        self._path = epath.Path(workdir) / "metrics.jsonl"
        self._board = SummaryWriter(str(epath.Path(workdir) / "tensorboard"))

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._board.close()

    def write(self, record: dict[str, Any]) -> None:
        """Adds one JSON object; its numbers go to TensorBoard as `STAGE/NAME` at `step`."""
        with self._path.open("a") as file:
            file.write(json.dumps(jsonable(record)) + "\n")
        for name, value in record.items():
            if isinstance(value, float):
                self._board.add_scalar(f"{record['stage']}/{name}", value, record["step"])

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


def write_whole(path: epath.Path, text: str) -> None:
    """Replaces a file in one go, so that a killed process leaves the old one or the new one."""
    temporary = path.parent / (path.name + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def jsonable(value: Any) -> Any:
    """The value as strict JSON can hold it: what is not finite becomes null."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
