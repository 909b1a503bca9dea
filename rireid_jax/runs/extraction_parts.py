"""What an extraction has done so far, in a folder next to its file, for the next one to go on from."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from rireid_jax.errors import UserError
from rireid_jax.runs.files import written_whole
from rireid_jax.runs.image_lists import ImageFile

_PART_SECONDS = 10.0  # a killed extraction loses no more, and the batches it had begun
_NAME = re.compile(r"(\d+)-(\d+)\.npz")


@dataclass(frozen=True)
class Described:
    """What a model made of B images that stand next to each other in a list, K of which could be read.

    Attributes:
      kept: which of them could be read.
      features: of these.
      native_widths: of these, in pixels.
      resolutions: of these.
    """

    kept: Bool[np.ndarray, " B"]
    features: Float[np.ndarray, "K D"]
    native_widths: Int[np.ndarray, " K"]
    resolutions: Float[np.ndarray, " K"]


_FIELDS = ("kept", "features", "native_widths", "resolutions")


def joined(parts: Sequence[Described]) -> Described:
    """Parts that follow each other as one."""
    return Described(*(np.concatenate([getattr(p, name) for p in parts]) for name in _FIELDS))


class Parts:
    """The files `FROM-TO.npz` of one list of images, one model and one size of batch."""

    def __init__(self, folder: Path, images: Sequence[ImageFile]):
        """Reads and writes nothing yet.

        Args:
          folder: of these files alone.
          images: the whole list.
        """
        self._folder, self._images = folder, images
        self._stop = 0  # images that are in files
        self._waiting: list[Described] = []
        self._written = time.perf_counter()

    def read(self, skip_bad: bool) -> list[Described]:
        """The files from the first image on, without gaps; none that is older than an image of it, or damaged.

        Args:
          skip_bad: take files that lack images that could not be read.
        """
        found: list[Described] = []
        names = [match for match in map(_NAME.fullmatch, os.listdir(self._folder)) if match]
        for match in sorted(names, key=lambda match: int(match[1])):
            start, stop = int(match[1]), int(match[2])
            path = self._folder / match[0]
            if start != self._stop or newer_than(path, self._images[start:stop]):
                continue
            try:
                with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
                    part = Described(*(file[name] for name in _FIELDS))
            except (
                Exception
            ):  # cut off where a disk was full, for example; its images are described again
                continue
            if skip_bad or part.kept.all():
                found.append(part)
                self._stop = stop
        return found

    def add(self, described: Described) -> None:
        """Adds the images that follow; they are written with others, after some seconds."""
        self._waiting.append(described)
        if time.perf_counter() - self._written > _PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what has been added and not been written."""
        if not self._waiting:
            return
        part, start = joined(self._waiting), self._stop
        stop = start + len(part.kept)
        with (
            written_whole(self._folder / f"{start:09d}-{stop:09d}.npz") as path,
            path.open("wb") as file,
        ):
            np.savez(file, **{name: getattr(part, name) for name in _FIELDS})
        self._waiting, self._stop, self._written = [], stop, time.perf_counter()


def parts_folder(out: Path) -> Path:
    """The folder for the parts of a file."""
    return out.with_name(out.name + ".parts")


@contextmanager
def parts_of(
    out: Path, images: Sequence[ImageFile], fingerprint: str, batch_size: int
) -> Iterator[Parts]:
    """The parts of the file `out`, in `out.parts`, which is removed if nothing is raised or nothing is in it.

    An image's features may differ in their last bits between sizes of batches, so parts are of one size.

    Raises:
      UserError: another process is writing them.
    """
    folder = parts_folder(out)
    identity = [fingerprint, batch_size, [[image.name, str(image.path)] for image in images]]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    (folder / key).mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{out}: another process is writing it, expected a file of this one"
            ) from None
        parts = Parts(folder / key, images)
        try:
            yield parts
        except BaseException:
            parts.flush()
            if not any(folder.glob("*/*.npz")):
                shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


def newer_than(path: Path, images: Iterable[ImageFile]) -> str:
    """The name of the first image that was written after a file; "" for none.

    Images that seem to be of the future, by the clock of a camera, are not.
    """
    written, now = path.stat().st_mtime_ns, time.time_ns()
    for image in images:
        try:
            changed = os.stat(image.path).st_mtime_ns
        except OSError:  # where it is needed, decoding reports it
            continue
        if written < changed <= now:
            return image.name
    return ""
