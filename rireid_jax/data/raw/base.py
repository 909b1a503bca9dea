"""What every reader of an original download has in common."""

import abc
import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from rireid_jax.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")

Origin = Path | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RawImage:
    """An image of a download.

    Attributes:
      name: path relative to the download, with slashes: unique, and the same on every machine; all
        that is random about the image is drawn from it.
      pid: identity; no two people of a download have the same, whatever their roles.
      camid: 0-based camera.
      origin: its file, or its place in a container that the reader knows.
      role: "train", "val", "query" or "gallery" where the benchmark comes divided, else "".
    """

    name: str
    pid: int
    camid: int
    origin: Origin
    role: str = ""


@dataclass(frozen=True)
class Count:
    """How many images and identities there are; None where that is not published."""

    images: int
    identities: int | None = None


class RawDataset(abc.ABC):
    """A download in one of the layouts that other libraries expect too.

    Class attributes:
      title: as publications name it.
      tree: the expected files, a line each, for people to read.
      published: by role, how many images and identities its authors count.
      cameras: how many there are.
      size: (width, height) of all images in pixels; None where they vary.

    Attributes:
      root: the folder of the download, which may lie below ``raw_dir``.
    """

    root: Path

    title: ClassVar[str]
    tree: ClassVar[str]
    published: ClassVar[Mapping[str, Count]]
    cameras: ClassVar[int]
    size: ClassVar[tuple[int, int] | None] = None

    def __init__(self, raw_dir: Path, recipe: Mapping[str, Any]):
        """Finds the root of the download in ``raw_dir`` or below; reads no image.

        Args:
          raw_dir: an existing file or folder.
          recipe: of the data set; a reader may have options in it.

        Raises:
          UserError: the download is not there, or parts of it are missing.
        """
        self.raw_dir = raw_dir
        self.recipe = recipe

    @abc.abstractmethod
    def images(self) -> list[RawImage]:
        """All images that belong to the benchmark, in any order.

        Raises:
          UserError: a list, a name or a container is not as expected; a line names it.
        """

    def sources(self) -> Sequence[Path]:
        """Files other than those of the images themselves that the result depends on."""
        return ()

    def official_splits(self) -> Sequence[Collection[int]]:
        """Test identities of every split that the download comes with.

        Raises:
          UserError: it comes without.
        """
        raise UserError(
            f"config.data.recipe.split_source: found 'official', but {self.title} comes without "
            "splits, expected 'random' or a split file"
        )

    def read(self, origin: Origin) -> bytes:
        """The encoded image at an ``origin`` of ``images()``.

        Raises:
          UserError: it cannot be read.
        """
        assert isinstance(origin, Path)
        return read_bytes(origin)

    def close(self) -> None:  # noqa: B027
        """Closes what is open of the download, so that it may be replaced; `read` opens it again."""

    def width(self, origin: Origin) -> int:
        """Width of an image in pixels, by its header; 0 where it cannot be read, which `read` tells of."""
        assert isinstance(origin, Path)
        return image_width(origin)

    def mismatches(self, images: Sequence[RawImage]) -> Iterator[str]:
        """In words, where the numbers of images, identities and cameras are not the published ones."""
        for role, published in self.published.items():
            found = [image for image in images if not role or image.role == role]
            identities = len({image.pid for image in found})
            if len(found) == published.images and identities == (
                published.identities or identities
            ):
                continue
            of = "" if published.identities is None else f" of {published.identities:,} identities"
            yield (
                f"{role + ' has' if role else 'found'} {len(found):,} images of {identities:,} "
                f"identities, the full {self.title} has {published.images:,} images{of}"
            )
        cameras = len({image.camid for image in images})
        if cameras != self.cameras:
            yield f"found {cameras} cameras, the full {self.title} has {self.cameras}"


def image_files(folder: Path) -> list[Path]:
    """The images directly in a folder, by name; hidden files and other suffixes do not count.

    Raises:
      UserError: the folder is a file, or cannot be read.
    """
    return [path for path in visible(folder) if path.suffix.lower() in IMAGE_SUFFIXES]


def visible(folder: Path) -> list[Path]:
    """What is directly in a folder and not hidden, by name.

    Raises:
      UserError: as for ``image_files``.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}, expected a folder of images") from error


def image_width(path: Path) -> int:
    """Width in pixels by the file's header; 0 where there is none, which decoding complains of."""
    try:
        with Image.open(path) as image:
            return image.width
    except Exception:  # a broken file makes a decoder raise almost anything
        return 0


def file_size(path: Path) -> int:
    """Bytes of a file; 0 where there is none, as behind a broken link."""
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def check_divided(labels: Iterable[tuple[str | None, int, Path]]) -> None:
    """No identity may be both in training and in test.

    Args:
      labels: split or role, identity and file of every image.

    Raises:
      UserError: one is.
    """
    labels = list(labels)
    trained = {pid: path for split, pid, path in labels if split == "train"}
    for split, pid, path in labels:
        if split in ("query", "gallery") and pid in trained:
            raise UserError(
                f"{path}: found the identity of {trained[pid]} in {split} too, expected every "
                "identity in training or in test"
            )


def read_bytes(path: Path) -> bytes:
    """Reads a raw file.

    Raises:
      UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}, expected a readable image") from error


def find_root(
    raw_dir: Path, parents: Sequence[str], required: Sequence[str], expected: str
) -> Path:
    """The first of ``raw_dir/parent`` that holds all of ``required``.

    Args:
      raw_dir: what the user gave.
      parents: where below it the download may lie, by other libraries' habits; "" is itself.
      required: files or folders relative to the root.
      expected: the end of the message, what should be there.

    Raises:
      UserError: there is none. If one holds some of ``required``, the others are named.
    """
    for parent in parents:
        root = raw_dir / parent
        missing = [name for name in required if not (root / name).exists()]
        if not missing:
            return root
        if len(missing) < len(required):
            break
    else:
        root, missing = raw_dir, list(required)
    raise UserError(
        f"--config.data.raw_dir: {root} has no {' and no '.join(missing)}, expected {expected}"
    )


def existing_path(raw_dir: str, expected: str) -> Path:
    """The folder or file ``config.data.raw_dir``.

    Raises:
      UserError: it is not given or not there; the message says what is expected.
    """
    if not raw_dir:
        raise UserError(f"--config.data.raw_dir: not given, expected {expected}")
    # pathlib's own would raise where there is no such user, and where a name is too long.
    path = Path(os.path.expanduser(raw_dir))
    if not os.path.exists(path):
        raise UserError(f"--config.data.raw_dir: {raw_dir} is not there, expected {expected}")
    return path
