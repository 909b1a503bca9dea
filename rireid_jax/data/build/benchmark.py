"""What the builders of benchmarks share: a reader of the download, its published counts, its splits."""

import functools
import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from rireid_jax.config import DATASETS
from rireid_jax.data.build.builder import RecordBuilder
from rireid_jax.data.build.split_file import Division, read_split_file
from rireid_jax.data.keyed_random import keyed_order
from rireid_jax.data.raw.base import RawDataset, RawImage, existing_path
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)


class BenchmarkBuilder(RecordBuilder):
    """A builder that reads its images from a download."""

    raw_class: ClassVar[type[RawDataset]]

    @functools.cached_property
    def raw(self) -> RawDataset:
        """The reader of ``config.data.raw_dir``."""
        path = existing_path(self.raw_dir, DATASETS[self.name].raw)
        return self.raw_class(path, self.recipe)

    @functools.cached_property
    def images(self) -> list[RawImage]:
        """All images of the download."""
        return self.raw.images()

    @property
    def expected_size(self) -> tuple[int, int] | None:
        return self.raw_class.size

    def sources(self) -> Sequence[Path]:
        return self.raw.sources()

    def prepare(self) -> None:
        raw = self.raw
        try:
            for problem in raw.mismatches(self.images):
                logger.warning(
                    "%s: %s; results on a part of it are not comparable with published ones",
                    *(self.name, problem),
                )
            super().prepare()
        finally:
            raw.close()


class DividedBuilder(BenchmarkBuilder):
    """A benchmark whose identities are divided, at random or by a list, into training and test.

    The recipe has `split_source` ("random", "official", or a JSON file), `split`, `train_identities` and
    `seed`.
    """

    def hashed_recipe(self) -> dict[str, Any]:
        recipe = super().hashed_recipe()
        source = recipe["split_source"]
        if source in ("random", "official"):
            return recipe
        try:  # what is in the file counts, not where it lies
            content = Path(os.path.expanduser(source)).read_bytes()
        except OSError as error:
            raise UserError(
                f"config.data.recipe.split_source: found {source!r} ({error.strerror}), expected "
                "'random', 'official', or a JSON file"
            ) from error
        return recipe | {"split_source": hashlib.sha256(content).hexdigest()[:16]}

    def identities(self) -> set[int]:
        """Those that are in the benchmark."""
        return {image.pid for image in self.images}

    def listed_splits(self) -> Sequence[Division] | None:
        """Every split that the source lists; None where splits are drawn at random.

        Raises:
          UserError: the source cannot be read.
        """
        source = self.recipe["split_source"]
        if source == "random":
            return None
        identities = self.identities()
        if source == "official":
            tests = [frozenset(test) for test in self.raw.official_splits()]
            return [Division(frozenset(identities - test), test) for test in tests]
        images = [image for image in self.images if image.pid in identities]
        return read_split_file(Path(os.path.expanduser(source)), images)

    def division(self) -> Division:
        """Whom this split trains and whom it tests on.

        Raises:
          UserError: the source has no such split, or it leaves nobody to test or to train on.
        """
        recipe = self.recipe
        split, source = recipe["split"], recipe["split_source"]
        splits = self.listed_splits()
        if splits is None:
            count, identities = recipe["train_identities"], self.identities()
            if count >= len(identities):
                raise UserError(
                    f"config.data.recipe.train_identities: found {count}, expected less than the "
                    f"{len(identities)} identities in {self.raw_dir}"
                )
            names = keyed_order(recipe["seed"], f"split{split}", map(str, identities))
            order = [int(name) for name in names]
            return Division(frozenset(order[:count]), frozenset(order[count:]))
        place = self.raw_dir if source == "official" else source
        if split >= len(splits):
            raise UserError(
                f"config.data.trials: found {split}, expected less than {len(splits)}, the number "
                f"of splits in {place}"
            )
        train, test = splits[split]
        if not train or not test:
            raise UserError(
                f"config.data.recipe.split_source: split {split} of {place} tests on {len(test)} "
                f"and trains on {len(train)} identities, expected some of both"
            )
        return splits[split]
