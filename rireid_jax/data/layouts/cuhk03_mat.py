"""The file cuhk-03.mat of CUHK03: a MATLAB 7.3 file, which is HDF5 with arrays transposed."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import UInt8

from rireid_jax.errors import UserError

PAIRS = 5  # of cameras
SHOTS = 10  # cells a person; the first five are of the pair's first camera
TRIALS = 20
_MAX_VALUES = 10**8  # of an image; the header of a damaged one may say anything
_EXPECTED = "cuhk-03.mat as it is distributed, a MATLAB 7.3 (HDF5) file"


class CUHK03Mat:
    """Images and trials, by pair of cameras, person and image, each numbered from 1.

    Any number of threads and processes may read. A process opens the file when it first needs it;
    pickles hold the path alone.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file: h5py.File | None = None
        self._process = 0  # that opened it: HDF5 does not survive a fork
        self._references: dict[str, list[np.ndarray]] = {}  # what `_pairs` found in it
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["CUHK03Mat"], tuple[Path]]:
        return CUHK03Mat, (self.path,)

    def list_images(self, boxes: str) -> list[tuple[int, int, int]]:
        """(pair, person, image) of every cell that is not empty, in order.

        Args:
          boxes: "detected" or "labeled".

        Raises:
          UserError: the file is damaged, or another.
        """
        found = []
        with self._reading() as file:
            for pair, cells in enumerate(self._pairs(file, boxes), 1):
                for (image, person), reference in np.ndenumerate(cells):
                    place = (pair, person + 1, image + 1)
                    if self._is_image(file[reference], boxes, place):
                        found.append(place)
        return sorted(found)

    def read(self, boxes: str, pair: int, person: int, image: int) -> UInt8[np.ndarray, "H W 3"]:
        """The pixels of an image that `list_images` found.

        Raises:
          UserError: the file is damaged.
        """
        with self._reading() as file:
            return self._image(file, boxes, pair, person, image)[()].T

    def width(self, boxes: str, pair: int, person: int, image: int) -> int:
        """Width in pixels of an image that `list_images` found; 0 where it cannot be read."""
        try:
            with self._reading() as file:
                return self._image(file, boxes, pair, person, image).shape[1]
        except UserError:
            return 0

    def testsets(self, boxes: str) -> list[set[tuple[int, int]]]:
        """(pair, person) of the test identities of every trial.

        Raises:
          UserError: the file is damaged, or a trial names people who are not in it.
        """
        found = []
        with self._reading() as file:
            people = {
                (pair, person + 1)
                for pair, cells in enumerate(self._pairs(file, boxes), 1)
                for person in range(cells.shape[1])
            }
            for number, testset in enumerate(self._cells(file, "testsets", TRIALS), 1):
                rows = testset[()].T
                if rows.ndim != 2 or rows.shape[1] != 2 or not {*map(tuple, rows)} <= people:
                    raise UserError(
                        f"{self.path}: found {testset.dtype} {testset.shape} as trial {number} of "
                        "testsets, expected rows of a pair of cameras and a person in it"
                    )
                found.append({(int(pair), int(person)) for pair, person in rows})
        return found

    def close(self) -> None:
        """Closes the file, of which HDF5 would keep parts in memory though it has been replaced."""
        with self._lock:
            if self._file is not None and self._process == os.getpid():
                self._file.close()
            self._file = None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[h5py.File]:
        """The open file; what HDF5 raises of a damaged one becomes the user's error."""
        try:
            with self._lock:
                if self._file is None or self._process != os.getpid():
                    # Locks fail on network file systems, and nobody writes.
                    self._file = h5py.File(self.path, "r", locking=False)
                    self._process, self._references = os.getpid(), {}
            yield self._file
        except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{self.path}: found {error}, expected {_EXPECTED}") from error

    def _pairs(self, file: h5py.File, boxes: str) -> list[np.ndarray]:
        """References to the images of every pair of cameras, [SHOTS, persons]."""
        if boxes not in self._references:
            pairs = self._cells(file, boxes, PAIRS)
            for pair, cells in enumerate(pairs, 1):
                if not _has_references(cells) or cells.ndim != 2 or cells.shape[0] != SHOTS:
                    raise UserError(
                        f"{self.path}: found {cells.dtype} {cells.shape} as pair {pair} of {boxes}, "
                        f"expected a cell array of persons x {SHOTS} images"
                    )
            self._references[boxes] = [cells[()] for cells in pairs]
        return self._references[boxes]

    def _cells(self, file: h5py.File, field: str, size: int) -> list[h5py.Dataset]:
        """What a cell array of `size` x 1 refers to."""
        cells = file.get(field)
        if cells is None:
            raise UserError(f"{self.path}: found no field {field}, expected {_EXPECTED}")
        if not _has_references(cells) or cells.size != size:
            raise UserError(f"{self.path}: found {cells}, expected {field} as {size} x 1 cells")
        return [file[reference] for reference in cells[()].flat]

    def _image(
        self, file: h5py.File, boxes: str, pair: int, person: int, image: int
    ) -> h5py.Dataset:
        return file[self._pairs(file, boxes)[pair - 1][image - 1, person - 1]]

    def _is_image(self, cell: h5py.Dataset, boxes: str, place: tuple[int, int, int]) -> bool:
        # MATLAB stores an empty array as the list of its sizes.
        if cell.ndim == 1 and 2 <= cell.size <= 3 and 0 in cell[()]:
            return False
        if (
            cell.dtype != np.uint8
            or cell.ndim != 3
            or cell.shape[0] != 3
            or not 0 < cell.size <= _MAX_VALUES
        ):
            pair, person, image = place
            raise UserError(
                f"{self.path}: found {cell.dtype} {cell.shape} as image {image} of person {person} "
                f"of pair {pair} of {boxes}, expected uint8 (3, width, height)"
            )
        return True


def _has_references(cells: h5py.Dataset | h5py.Group) -> bool:
    return isinstance(cells, h5py.Dataset) and h5py.check_ref_dtype(cells.dtype) is h5py.Reference
