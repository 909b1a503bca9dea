"""metrics.jsonl and TensorBoard's events, and files that are written whole."""

import errno
import json
import math
import struct

import numpy as np
import pytest
from etils import epath
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter

from rireid_jax.runs.files import jsonable, write_whole
from rireid_jax.runs.metrics import MetricsWriter


def record(stage, step, **values):
    return {"stage": stage, "step": step, **values}


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def events(workdir):
    """TFRecords: length, its checksum, the event, its checksum."""
    (path,) = (workdir / "tensorboard").iterdir()
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        yield Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]


def test_records(tmp_path):
    with MetricsWriter(str(tmp_path)) as log:
        log.write(record("rife", 20, loss=0.5, images_per_second=None))
        log.write(record("rife", 40, loss=math.nan, learning_rate=0.125))
    assert lines(tmp_path) == [
        {"stage": "rife", "step": 20, "loss": 0.5, "images_per_second": None},
        {"stage": "rife", "step": 40, "loss": None, "learning_rate": 0.125},
    ]
    header, *scalars = events(tmp_path)
    assert header.file_version == "brain.Event:2"
    values = [(e.step, e.summary.value[0].tag, e.summary.value[0].simple_value) for e in scalars]
    assert values[0] == (20, "rife/loss", 0.5)
    assert values[1][:2] == (40, "rife/loss")
    assert math.isnan(values[1][2])
    assert values[2] == (40, "rife/learning_rate", 0.125)
    assert len(values) == 3


def test_lines_are_there_before_the_end(tmp_path):
    with MetricsWriter(str(tmp_path)) as log:
        log.write(record("rife", 20, loss=0.5))
        assert len(lines(tmp_path)) == 1


def test_a_second_run_appends(tmp_path):
    for step in (20, 40):
        with MetricsWriter(str(tmp_path)) as log:
            log.write(record("rife", step))
    assert [row["step"] for row in lines(tmp_path)] == [20, 40]


def test_rewind_drops_what_a_stage_will_log_again(tmp_path):
    with MetricsWriter(str(tmp_path)) as log:
        for stage, step in (("ffsr", 10), ("ffsr", 20), ("rife", 10), ("rife", 20), ("rife", 30)):
            log.write(record(stage, step))
        log.rewind("rife", 20)
        assert [(row["stage"], row["step"]) for row in lines(tmp_path)] == [
            *(("ffsr", 10), ("ffsr", 20)),
            *(("rife", 10), ("rife", 20)),
        ]
        log.write(record("rife", 30))
        log.rewind("ffsr", 0)
        assert [(row["stage"], row["step"]) for row in lines(tmp_path)] == [
            ("rife", 10),
            ("rife", 20),
            ("rife", 30),
        ]


@pytest.mark.parametrize("torn", ['{"stage": "rife", "st', '{"stage": "rife"', "\x00\x00\x00"])
def test_rewind_drops_a_torn_last_line(tmp_path, torn):
    with MetricsWriter(str(tmp_path)) as log:
        log.write(record("rife", 20))
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write(torn)
        log.rewind("rife", 20)
        log.write(record("rife", 40))
    assert [row["step"] for row in lines(tmp_path)] == [20, 40]


def test_rewind_without_a_file(tmp_path):
    with MetricsWriter(str(tmp_path)) as log:
        log.rewind("rife", 0)
    assert not (tmp_path / "metrics.jsonl").exists()


def fail(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_is_raised_for_metrics(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with (
        MetricsWriter(str(tmp_path)) as log,
        pytest.raises(OSError, match="No space left") as raised,
    ):
        log.write(record("rife", 20, loss=0.5))
    assert raised.value.errno == errno.ENOSPC


def test_full_disk_is_raised_for_events(tmp_path, monkeypatch):
    """And not left to another thread, whose queue would fill up and block."""
    with MetricsWriter(str(tmp_path)) as log:
        log.write(record("rife", 20, loss=0.5))
        monkeypatch.setattr(RecordWriter, "write", fail)
        with pytest.raises(OSError, match="No space left"):
            log.write(record("rife", 40, loss=0.5))


@pytest.mark.parametrize(("first", "raised"), [(None, OSError), (KeyError("first"), KeyError)])
def test_an_error_is_not_hidden_by_what_follows_from_it(tmp_path, monkeypatch, first, raised):
    def train():
        with MetricsWriter(str(tmp_path)) as log:
            log.write(record("rife", 20, loss=0.5))
            log._events._py_recordio_writer.close()
            monkeypatch.setattr(RecordWriter, "flush", fail)
            if first:
                raise first

    with pytest.raises(raised):
        train()


def test_write_whole(tmp_path):
    path = epath.Path(tmp_path / "file.json")
    write_whole(path, "old")
    write_whole(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]
    assert path.read_text() == "new"


def test_write_whole_keeps_the_old_file_where_it_fails(tmp_path):
    path = epath.Path(tmp_path / "file.json")
    write_whole(path, "old")
    (tmp_path / "file.json.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"


def test_jsonable():
    value = {"a": math.nan, 1: (1.5, -math.inf), "b": [np.float64("nan"), {"c": "nan"}], "d": None}
    expected = {"a": None, "1": [1.5, None], "b": [None, {"c": "nan"}], "d": None}
    assert jsonable(value) == expected
    json.dumps(jsonable(value), allow_nan=False)
