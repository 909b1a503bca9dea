"""What a data set is: the class that every file in `data/datasets/` derives from."""

import abc
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from rireid_jax.components import PROTOCOLS, Field
from rireid_jax.data.files import file_size, image_width, read_bytes
from rireid_jax.data.records import FORMAT_VERSION, Record

T = TypeVar("T")
R = TypeVar("R")

Origin = Path | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RawImage:
    """An image as it lies on the disk.

    Attributes:
      name: path relative to the download, with slashes. It is unique and the same on every machine, and
        all that is random about the image is drawn from it.
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


@dataclass(frozen=True, slots=True)
class Item:
    """An image that is to become a record.

    Attributes:
      name: of the record.
      pid: identity.
      camid: camera.
      origin: the raw file, or the numbers by which the image is found or drawn.
      ratio: n, where the image is to be down-sampled by 1/n; 0 where the image is low by nature and
        nobody knows its original.
    """

    name: str
    pid: int
    camid: int
    origin: Origin
    ratio: int = 1


Splits = Mapping[str, Sequence[Item]]


@dataclass(frozen=True)
class Count:
    """How many images and identities there are; None where that is not published."""

    images: int | None
    identities: int | None = None


@dataclass(frozen=True)
class Advice:
    """What the doctor found, and what to do about it.

    Attributes:
      text: a sentence.
      command: a command to run for it; "" if there is none.
      flags: flags to give in place of the user's of those names.
    """

    text: str
    command: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)


class Dataset(abc.ABC):
    """A data set.

    The class says what is known before there are files. An instance is what one recipe makes of the
    files in one folder, and knows how to make each record; `data.build` writes them to disk.

    A new data set is a subclass in one file, registered under its name:

        @DATASETS.register("corridor")
        class Corridor(Dataset):
            name = "corridor"
            image_size = (128, 64)
            recipe = {"seed": Field(0, "all that is random in the build", AT_LEAST_ZERO)}
            raw = "a folder of photographs of the corridor"

            def list_items(self): ...
            def greatest_width(self): ...
            def make(self, item): ...

    `name`, `image_size`, `recipe` (with the field `seed`) and the three methods have no default. Where there
    are raw files, `raw_images` lists them for the doctor. `data/kinds/` holds bases for what several data
    sets share, such as a download with published counts, or identities that are divided into trials.

    Class attributes:
      name: as it is registered.
      image_size: the network's input, (height, width) in pixels.
      recipe: every choice in the making, by name; becomes `config.data.recipe`.
      presets: recipes found in later work, by name: the values that they change.
      protocol: of evaluation, as `evaluation.rank` names it, unless the recipe has a field `protocol`.
      trials: how many random or official trials are usual; 0: the identities are divided in one way.
      degrade: probability of degrading a training image that is its own original, on the fly.
      default_size: the size of a config that names none: "small" for two CPU cores, or "paper".
      has_identities: False for images of anything, which a stage can train on but nobody can evaluate on.
      raw: what `config.data.raw_dir` must hold, in words; "" if nothing is needed.
      layout: the reader of its download (a `layouts.base.Layout`); None if it is no download.
      distractor: the identity of images that show nobody, or somebody who is no query; None: there are none.
      draws: records are drawn instead of read, so that threads would not help.
      hashes_images: whether the protocol hash covers the images' bytes, not only names, sizes and labels: needed where
        nobody else's names say what the images are.
      version: of the built data; raise its first number when the same recipe gives other records.
      page: its section of docs/benchmarks.md, in Markdown.
      example: a folder for the commands on the page.

    Attributes:
      values: the values of the recipe's fields.
      raw_dir: where the original files lie; "" where there are none.
      threads: that read and make images.
    """

    name: ClassVar[str]
    image_size: ClassVar[tuple[int, int]]
    recipe: ClassVar[Mapping[str, Field]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    protocol: ClassVar[str] = "market"
    trials: ClassVar[int] = 0
    degrade: ClassVar[float] = 0.0
    default_size: ClassVar[str] = "paper"
    has_identities: ClassVar[bool] = True
    raw: ClassVar[str] = ""
    layout: ClassVar[Any] = None
    distractor: ClassVar[int | None] = None
    draws: bool = False
    hashes_images: ClassVar[bool] = False
    version: ClassVar[str] = f"{FORMAT_VERSION}.0.0"
    page: ClassVar[str] = ""
    example: ClassVar[str] = ""

    def __init__(self, recipe: Mapping[str, Any], raw_dir: str = "", threads: int = 0):
        """Prepares the making; nothing is read yet.

        Args:
          recipe: a value for every field of the recipe.
          raw_dir: where the original files lie; "" where there are none.
          threads: that read and make images; 0: as many as there are cores, but at most 16.
        """
        self.values = dict(recipe)
        self.raw_dir = raw_dir
        self.threads = 1 if self.draws else threads or min(16, os.cpu_count() or 1)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to workers as what it was made from; a cluster has a worker for every core."""
        return _reopen, (type(self), self.values, self.raw_dir, self.width_max)

    # The recipe.

    @classmethod
    def recipe_values(cls, preset: str = "") -> dict[str, Any]:
        """The whole recipe, by default or of a preset."""
        defaults = {name: field.default for name, field in cls.recipe.items()}
        return {**defaults, **(cls.presets[preset] if preset else {})}

    @classmethod
    def problems(cls, recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """What is wrong between fields that are right by themselves: a field, and what was expected."""
        yield from ()

    @classmethod
    def idle_fields(cls, recipe: Mapping[str, Any]) -> set[str]:
        """The fields that change nothing while the others are as they are."""
        protocol = recipe.get("protocol")
        return set() if protocol is None or PROTOCOLS[protocol].draws else {"repeats"}

    @classmethod
    def effective_recipe(cls, recipe: Mapping[str, Any]) -> dict[str, Any]:
        """A recipe without its idle fields."""
        idle = cls.idle_fields(recipe)
        return {name: value for name, value in recipe.items() if name not in idle}

    def hashed_recipe(self) -> dict[str, Any]:
        """The recipe by which built data and protocols are told apart."""
        return self.effective_recipe(self.values)

    @classmethod
    def recipe_for(cls, recipe: Mapping[str, Any], raw_dir: str, num_images: int) -> dict[str, Any]:
        """The recipe of a data set that a stage trains on, where the config's own has so many training images."""
        return dict(recipe)

    # The making.

    @abc.abstractmethod
    def list_items(self) -> dict[str, list[Item]]:
        """The images of every split, in any order, as far as names and lists tell.

        Raises:
          UserError: the raw files are not what the data set expects.
        """

    @abc.abstractmethod
    def greatest_width(self) -> int:
        """Width in pixels that counts as r = 1: the recipe's, else the greatest of all images."""

    @abc.abstractmethod
    def make(self, item: Item) -> Record | None:
        """Makes one record: a function of the item and the recipe alone.

        Returns:
          The record, or None where the image is of no use to the data set.

        Raises:
          UserError: the image is not readable.
        """

    @functools.cached_property
    def items(self) -> dict[str, list[Item]]:
        """What `list_items` returned; raw folders may be large."""
        return self.list_items()

    @functools.cached_property
    def width_max(self) -> int:
        """What `greatest_width` returned; r = width / width_max."""
        return self.greatest_width()

    def in_threads(self, function: Callable[[T], R], values: Iterable[T]) -> list[R]:
        """The function of every value, in the order of the values."""
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(function, values))

    # The raw files.

    def raw_images(self) -> Sequence[RawImage]:
        """All raw images, whether they are used or not.

        Raises:
          UserError: the raw files are not what the data set expects.
        """
        return ()

    def read(self, origin: Origin) -> bytes:
        """The encoded image at an origin of `raw_images`.

        Raises:
          UserError: it cannot be read.
        """
        assert isinstance(origin, Path)
        return read_bytes(origin)

    def width(self, origin: Origin) -> int:
        """Width of an image in pixels by its header; 0 where it cannot be read, which `read` reports."""
        assert isinstance(origin, Path)
        return image_width(origin)

    def raw_size(self, item: Item) -> int:
        """Bytes of an image's own file; 0 where it has none."""
        return file_size(item.origin) if isinstance(item.origin, Path) else 0

    def sources(self) -> Sequence[Path]:
        """Raw files other than images that the data set depends on."""
        return ()

    def ignored(self) -> Iterator[str]:
        """In words, what lies among the raw files and is not taken, with its number."""
        yield from ()

    def source(self) -> str:
        """Which of several sources it is made from that one recipe may have; "" if there is one alone.

        It names the folder of built data, next to the recipe, and nothing else depends on it.
        """
        return ""

    def close(self) -> None:  # noqa: B027
        """Closes the raw files, so that they may be replaced; reading opens them again."""

    # Trials, where the recipe has a field `trial`.

    def num_trials(self) -> int | None:
        """How many trials the source lists; None where any number can be drawn.

        Raises:
          UserError: the source cannot be read.
        """
        return None

    def check_trial(self, trial: int) -> None:  # noqa: B027
        """Checks that there is a trial of that number.

        Raises:
          UserError: there is none, or it has nobody to train or to test on.
        """

    # What the build and the doctor say.

    @property
    def has_cameras(self) -> bool:
        """Whether it is known who took which image."""
        return True

    def made_from(self) -> str:
        """What it is made from."""
        return "files of your own"

    def expected_files(self) -> str:
        """The expected raw files, a line each, for people to read."""
        return self.raw

    @property
    def expected_size(self) -> tuple[int, int] | None:
        """(width, height) in pixels of all high-resolution images; None where they vary."""
        return None

    @property
    def published(self) -> Mapping[str, Count]:
        """By role on disk, how many images and identities the authors count."""
        return {}

    def published_splits(self) -> Mapping[str, Count]:
        """By split that is built, how many images and identities the full benchmark has."""
        return {}

    def mismatches(self) -> Iterator[str]:
        """In words, where the numbers on disk are not the published ones."""
        yield from ()

    def notes(self) -> Iterator[str]:
        """What else to know of the raw images."""
        yield from ()

    def width_groups(self, splits: Splits) -> Mapping[str, Sequence[RawImage]]:
        """The images whose widths are shown side by side, at most two groups by title.

        Args:
          splits: what is built; empty if that is not known.
        """
        return {"": self.raw_images()}

    def advice_on_trials(self) -> Iterator[Advice]:
        """What to do about images that can be read but not divided into training and test."""
        yield from ()


def _reopen(
    kind: type[Dataset], values: Mapping[str, Any], raw_dir: str, width_max: int
) -> Dataset:
    dataset = kind(values, raw_dir, threads=1)
    vars(dataset)["width_max"] = width_max  # where `cached_property` keeps it
    return dataset
