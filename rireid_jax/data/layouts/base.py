"""What every reader of an original download has in common."""

import abc
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rireid_jax.data.dataset import Advice, Count, Origin, RawImage
from rireid_jax.data.files import Ignored, counted, image_width, read_bytes
from rireid_jax.errors import UserError


class Layout(abc.ABC):
    """A download in one of the layouts that other libraries expect too.

    Class attributes:
      title: as publications name it.
      tree: the expected files, a line each, for people to read.
      published: by role, how many images and identities its authors count.
      cameras: how many there are.
      size: (width, height) of all images in pixels; None where they vary.

    Attributes:
      root: the folder of the download, which may lie below `raw_dir`.
      ignored: what `images` found and did not take.
    """

    root: Path

    title: ClassVar[str]
    tree: ClassVar[str]
    published: ClassVar[Mapping[str, Count]]
    cameras: ClassVar[int]
    size: ClassVar[tuple[int, int] | None] = None

    def __init__(self, raw_dir: Path, recipe: Mapping[str, Any]):
        """Finds the root of the download in `raw_dir` or below; reads no image.

        Args:
          raw_dir: an existing file or folder.
          recipe: values of the data set's recipe, which may have options of the reader.

        Raises:
          UserError: the download is not there, or parts of it are missing.
        """
        self.raw_dir = raw_dir
        self.recipe = recipe
        self.ignored = Ignored()

    @abc.abstractmethod
    def images(self) -> list[RawImage]:
        """All images that belong to the benchmark, in any order.

        Raises:
          UserError: a list, a name or a container is not as expected; a line names it.
        """

    @classmethod
    def counts(cls, recipe: Mapping[str, Any]) -> Mapping[str, Count]:
        """The published counts of what the recipe takes, by role."""
        return cls.published

    @classmethod
    def advice(cls, path: Path, recipe: Mapping[str, Any]) -> Iterator[Advice]:
        """What is nearly right about a file or folder that cannot be read as it is."""
        yield from ()

    def notes(self, images: Sequence[RawImage]) -> Iterator[str]:
        """What else to know of the images."""
        yield from ()

    def sources(self) -> Sequence[Path]:
        """Files other than images that the result depends on."""
        return ()

    def official_trials(self) -> Sequence[Collection[int]]:
        """The test identities of every trial that comes with the download.

        Raises:
          UserError: none come with it.
        """
        raise UserError(
            f"config.data.recipe.trial_source: found 'official', but {self.title} comes without "
            "trials, expected 'random' or a trial file"
        )

    def read(self, origin: Origin) -> bytes:
        """The encoded image at an origin of `images`.

        Raises:
          UserError: it cannot be read.
        """
        assert isinstance(origin, Path)
        return read_bytes(origin)

    def close(self) -> None:  # noqa: B027
        """Closes the download, so that it may be replaced; `read` opens it again."""

    def width(self, origin: Origin) -> int:
        """Width of an image in pixels by its header; 0 where it cannot be read, which `read` reports."""
        assert isinstance(origin, Path)
        return image_width(origin)

    def mismatches(self, images: Sequence[RawImage]) -> Iterator[str]:
        """In words, where the numbers of images, identities and cameras are not the published ones."""
        for role, published in self.counts(self.recipe).items():
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


def check_divided(labels: Iterable[tuple[str | None, int, Path]], hint: str = "") -> None:
    """No identity may be both in training and in test.

    Args:
      labels: split or role, identity and file of every image.
      hint: for the end of the error.

    Raises:
      UserError: one is.
    """
    labels = list(labels)
    trained = {pid: path for split, pid, path in labels if split == "train"}
    both = [(split, pid, path) for split, pid, path in labels if _tests(split) and pid in trained]
    if both:
        split, pid, path = both[0]
        number = counted(len({pid for _, pid, _ in both}), "identity")
        raise UserError(
            f"{path}: found the identity of {trained[pid]} in {split} too, expected every identity in training or "
            f"in test, {number} in both{hint}"
        )


def _tests(split: str | None) -> bool:
    return split in ("query", "gallery")


def find_root(
    raw_dir: Path, parents: Sequence[str], required: Sequence[str], expected: str
) -> Path:
    """The first of `raw_dir/parent` that holds all of `required`.

    Args:
      raw_dir: what the user gave.
      parents: where below it other libraries put the download; "" is `raw_dir` itself.
      required: files or folders relative to the root.
      expected: what should be there, for the end of the message.

    Raises:
      UserError: there is none. If one holds some of `required`, the message names the others.
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
