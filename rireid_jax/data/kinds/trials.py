"""A benchmark whose identities are divided into training and test, in one of several trials."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rireid_jax.components import ANYTHING, AT_LEAST_ZERO, POSITIVE, PROTOCOLS, Field, in_registry
from rireid_jax.data.dataset import Count
from rireid_jax.data.keyed_random import keyed_order
from rireid_jax.data.kinds.benchmark import Benchmark
from rireid_jax.data.kinds.trial_file import Trial, read_trial_file
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

_TRIAL_SOURCE = "config.data.recipe.trial_source"

SCORING: Mapping[str, Field] = {
    "protocol": Field(
        "single_shot",
        "of evaluation: `single_shot`, `cuhk03` or `market`, see above",
        in_registry(PROTOCOLS),
    ),
    "repeats": Field(10, "random galleries of `single_shot` and `cuhk03`", POSITIVE),
}
TRIALS: Mapping[str, Field] = {
    "trial_source": Field(
        "random",
        "who divides the identities: `random`, from the seed, or a JSON file; no trials come with the "
        "download",
        ANYTHING,
    ),
    "trial": Field(0, "which trial; a run sets it for each in `config.data.trials`", AT_LEAST_ZERO),
}


class TrialBenchmark(Benchmark):
    """A benchmark of trials.

    The recipe has `trial_source` ("random", "official", or a JSON file), `trial`, `train_identities` and
    `seed`.

    Class attributes:
      num_identities: of the full benchmark.
    """

    num_identities: ClassVar[int]

    @classmethod
    def idle_fields(cls, recipe: Mapping[str, Any]) -> set[str]:
        listed = recipe["trial_source"] != "random"
        return super().idle_fields(recipe) | ({"train_identities"} if listed else set())

    def hashed_recipe(self) -> dict[str, Any]:
        recipe = super().hashed_recipe()
        source = recipe["trial_source"]
        if source in ("random", "official"):
            return recipe
        try:  # what is in the file counts, not where it lies
            content = Path(expanded(source, _TRIAL_SOURCE)).read_bytes()
        except (OSError, UserError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such user or variable"
            raise UserError(
                f"config.data.recipe.trial_source: found {source!r} ({reason}), expected "
                "'random', 'official', or a JSON file"
            ) from error
        return recipe | {"trial_source": hashlib.sha256(content).hexdigest()[:16]}

    def identities(self) -> set[int]:
        """Those that are in the benchmark."""
        return {image.pid for image in self.images}

    def trial(self, number: int | None = None) -> Trial:
        """Whom a trial trains and whom it tests on.

        Args:
          number: of the trial; None: the recipe's.

        Raises:
          UserError: the source has no such trial, or it leaves nobody to test or to train on.
        """
        recipe = self.values
        number = recipe["trial"] if number is None else number
        listed = self._listed_trials()
        if listed is None:
            count, identities = recipe["train_identities"], self.identities()
            if count >= len(identities):
                raise UserError(
                    f"config.data.recipe.train_identities: found {count}, expected less than the "
                    f"{len(identities)} identities in {self.raw_dir}"
                )
            # The key is older than the word trial, and decides whom a trial trains.
            names = keyed_order(recipe["seed"], f"split{number}", map(str, identities))
            order = [int(name) for name in names]
            return Trial(frozenset(order[:count]), frozenset(order[count:]))
        source = recipe["trial_source"]
        place = self.raw_dir if source == "official" else source
        if number >= len(listed):
            raise UserError(
                f"config.data.trials: found {number}, expected less than {len(listed)}, the number "
                f"of trials in {place}"
            )
        train, test = listed[number]
        if not train or not test:
            raise UserError(
                f"config.data.recipe.trial_source: trial {number} of {place} tests on {len(test)} "
                f"and trains on {len(train)} identities, expected some of both"
            )
        return listed[number]

    def check_trial(self, trial: int) -> None:
        self.trial(trial)

    def num_trials(self) -> int | None:
        listed = self._listed_trials()
        return None if listed is None else len(listed)

    def published_splits(self) -> Mapping[str, Count]:
        source, train = self.values["trial_source"], self.values["train_identities"]
        if source == "official":
            train = self.recipe["train_identities"].default
        elif source != "random":
            return {}
        test = Count(None, self.num_identities - train)
        return {"train": Count(None, train), "query": test, "gallery": test}

    def _listed_trials(self) -> Sequence[Trial] | None:
        """Every trial that the source lists; None where trials are drawn at random.

        Raises:
          UserError: the source cannot be read.
        """
        source = self.values["trial_source"]
        if source == "random":
            return None
        identities = self.identities()
        if source == "official":
            tests = [frozenset(test) for test in self.download.official_trials()]
            return [Trial(frozenset(identities - test), test) for test in tests]
        images = [image for image in self.images if image.pid in identities]
        return read_trial_file(Path(expanded(source, _TRIAL_SOURCE)), images)
