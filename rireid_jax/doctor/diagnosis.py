"""The diagnosis of a data set: where it should come from, what is there, and what to do."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ml_collections import ConfigDict

from rireid_jax.components import DATASETS
from rireid_jax.config import recipe_title
from rireid_jax.config.trials import trial_configs
from rireid_jax.data.build.builder import RecordBuilder
from rireid_jax.data.build.checks import Allowed, check_splits, remarks
from rireid_jax.data.build.dataset import check_same_files
from rireid_jax.data.dataset import Advice, Dataset, RawImage, Splits
from rireid_jax.doctor.advice import advise, other_downloads
from rireid_jax.doctor.commands import command
from rireid_jax.doctor.contents import (
    DECODED,
    WIDTHS,
    cameras,
    decode,
    draw_sample,
    histogram,
    listed,
    measure_widths,
    numbers,
)
from rireid_jax.doctor.folders import Tree, printable, read_tree, wrapped
from rireid_jax.doctor.making import built_lines, recipe_lines
from rireid_jax.doctor.prepared import prepared_downloads
from rireid_jax.errors import UserError

T = TypeVar("T")


def doctor(config: ConfigDict, arguments: Sequence[str]) -> None:
    """Prints what is on disk of the config's data sets and what to do; builds nothing.

    Args:
      config: valid.
      arguments: of the command line, for the commands to run next.

    Raises:
      UserError: after the diagnosis, the main reason why a data set cannot be built from what is there.
    """
    diagnosis = _Diagnosis(config, arguments)
    diagnosis.people()
    for name in dict.fromkeys(config.stages[stage].dataset for stage in config.run):
        if name:
            diagnosis.anonymous(name)
    diagnosis.next_step()
    if diagnosis.problems:
        raise diagnosis.problems[0]


class _Diagnosis:
    """Prints sections, and collects problems meanwhile.

    Attributes:
      problems: reasons why a data set cannot be built, the first is the main one.
    """

    def __init__(self, config: ConfigDict, arguments: Sequence[str]):
        self.config = config
        self.arguments = arguments
        self.problems: list[UserError] = []
        self._advice: list[Advice] = []
        self._is_built = False

    def people(self) -> None:
        """The data set itself, in the first of the trials asked for."""
        parts = trial_configs(self.config) or {0: self.config}
        builders = {trial: self._builder(part) for trial, part in parts.items()}
        dataset = next(iter(builders.values())).dataset
        self._is_built = all(builder.data_path.exists() for builder in builders.values())
        self._say(*self._heading(dataset))
        if not dataset.raw:
            self._say("Files", "none are needed: the build draws the people itself")
            self._say("Numbers", *numbers(dataset, (), dataset.items))
        else:
            tree = self._files(dataset)
            if dataset.raw_dir or not self._is_built:
                images = self._try(
                    dataset.raw_images,
                    lambda: [*advise(dataset, tree), *[_without_files()] * self._is_built],
                )
                if images is None:
                    return
                self._images(images, tree, builders)
        self._say(
            "Recipe (config.data.recipe)",
            *recipe_lines(self.config, dataset, list(self.config.data.trials)),
        )
        self._say("Built", *built_lines(builders))

    def anonymous(self, name: str) -> None:
        """A data set without identities, which a stage learns from."""
        source, kind = self.config[name], DATASETS[name]
        title = f"{name.replace('_', ' ').capitalize()} (a stage is trained on them)"
        if not source.raw_dir:
            self._say(title, "no files are needed: the build draws them itself")
            return
        tree = _tree(source.raw_dir)
        self._say(title, *_found(source.raw_dir, tree))
        recipe = {field: source[field] for field in kind.recipe}
        if "count" in recipe:  # the first of those that the build takes
            recipe["count"] = min(recipe["count"], DECODED)
        dataset = kind(recipe, source.raw_dir)
        items = self._try(lambda: dataset.items["train"])
        if items is None:
            return
        bad, small = [], 0
        for item in items:
            try:
                small += dataset.make(item) is None
            except UserError as error:
                bad.append(error)
        used = f"{len(items) - len(bad)} of {len(items)} sampled images decode"
        passed_over = f"; {small} are smaller than a crop and passed over" if small else ""
        self._say("", used + passed_over, *listed(bad), *dataset.ignored())
        self._check_damage(bad, len(items))

    def next_step(self) -> None:
        """What to do, and commands for it."""
        if not self.problems:
            lines = [] if self._is_built else command(self.arguments, {"mode": "build"})
            lines += command(self.arguments, {"mode": ""})
            self._say("Next: train" if self._is_built else "Next: build, then train", *lines)
            return
        lines = []
        for advice in self._advice:
            lines += wrapped(advice.text, "- ")
            if advice.command:
                lines.append(f"    {advice.command}")
        flags = next((advice.flags for advice in self._advice if advice.flags), {})
        self._say("What to do", *lines)
        self._say("Then look again", *command(self.arguments, {"mode": "doctor", **flags}))

    def _heading(self, dataset: Dataset) -> Iterator[str]:
        title = recipe_title(dataset.name, dataset.values)
        height, width = self.config.data.image_size
        yield f"{dataset.name}, recipe {title!r}"
        yield f"made from  {dataset.made_from()}"
        yield f"input      {width}x{height} pixels (width x height), to which images are enlarged"

    def _builder(self, part: ConfigDict) -> RecordBuilder:
        kind = DATASETS[part.dataset]
        dataset = kind(
            part.data.recipe.to_dict(),
            part.data.raw_dir if kind.raw else "",
            part.data.build_threads,
        )
        return RecordBuilder(
            dataset,
            data_dir=part.data.dir,
            max_bad_images=part.data.max_bad_images,
            allowed=Allowed(part.data.allow_unmatched_queries, part.data.allow_shared_identities),
        )

    def _files(self, dataset: Dataset) -> Tree | None:
        """What should be there, and what is."""
        self._say("Expected files", *dataset.expected_files().split("\n"))
        tree = _tree(dataset.raw_dir)
        if not dataset.raw_dir and self._is_built:
            self._say("Found", "no folder is given, and none is needed: the data set is built")
        else:
            self._say("Found", *_found(dataset.raw_dir, tree))
        return tree

    def _images(
        self,
        images: Sequence[RawImage],
        tree: Tree | None,
        builders: Mapping[int, RecordBuilder],
    ) -> None:
        """What can be read, in numbers; checks what the build checks."""
        first, builder = next(iter(builders.items()))
        dataset = builder.dataset
        found = self._try(
            lambda: _list_splits(dataset, max(builders), builder.allowed),
            lambda: list(dataset.advice_on_trials()),
        )
        splits = found or {}
        of_trial = f" (to build: of trial {first})" if len(builders) > 1 else ""
        notes = [*dataset.notes(), *dataset.ignored()]
        if found is not None:
            notes += remarks(dataset)
        if dataset.layout is None and tree is not None:
            others = [*other_downloads(dataset, tree), *prepared_downloads(tree)]
            notes += [advice.text for advice in others]
        notes = [line for note in notes for line in wrapped(note)]
        self._say(f"Numbers{of_trial}", *numbers(dataset, images, splits), *notes)
        sample = draw_sample(images, WIDTHS)
        widths = measure_widths(dataset, sample)
        whole = len(sample) == len(images)
        of = "all images" if whole else f"{len(sample):,} images, drawn by name"
        self._say(f"Cameras, with the widths of {of}", *cameras(dataset, images, splits, widths))
        if groups := _groups(dataset, splits, widths):
            self._say(f"Widths of {of}", *histogram(groups))
        used = {item.name for items in splits.values() for item in items}
        looked_at = sample[:DECODED] + [i for i in sample[DECODED:] if not widths[i.name]]
        looked_at = [image for image in looked_at if not used or image.name in used]
        bad, odd = decode(dataset, looked_at)
        decoded = f"{len(looked_at) - len(bad):,} of {len(looked_at):,} sampled images decode"
        lines = [f"{decoded}; --mode build decodes all", *listed(bad)]
        if odd:
            name, (width, height) = odd[0]
            lines += wrapped(
                f"{len(odd)} are not of the benchmark's {'x'.join(map(str, dataset.expected_size or ()))} "
                f"pixels, such as {name} of {width}x{height}; is this the original download?"
            )
        self._say("Sample", *lines)
        self._check_damage(bad, len(looked_at))
        if found is not None and builder.data_path.exists():
            self._try(lambda: check_same_files(builder))

    def _check_damage(self, bad: Sequence[UserError], number: int) -> None:
        allowed = self.config.data.max_bad_images
        if len(bad) <= allowed:
            return
        sample = f"{len(bad)} bad in a sample of {number}"
        self._fail(
            UserError(f"{bad[0]} ({sample}; config.data.max_bad_images allows {allowed})"),
            Advice(
                "copy the bad images again from the original download, or let the build leave out up "
                "to N: --config.data.max_bad_images=N"
            ),
        )

    def _try(
        self, action: Callable[[], T], advise: Callable[[], Iterable[Advice]] = tuple
    ) -> T | None:
        """The action's result, or None where it fails for a reason to report, with advice if there is any."""
        try:
            return action()
        except UserError as error:
            self._fail(error, *advise())
        except OSError as error:
            place = f"{error.filename}: {error.strerror}"
            self._fail(UserError(f"{place}, expected a readable file or folder"), *advise())
        return None

    def _fail(self, problem: UserError, *advice: Advice) -> None:
        self.problems.append(problem)
        self._advice += advice or [Advice(str(problem))]

    @staticmethod
    def _say(title: str, *lines: str) -> None:
        """Prints a section, at once: what follows may take seconds."""
        indented = [f"  {printable(line)}".rstrip() for line in lines]
        print("\n".join([*([title] if title else []), *indented, ""]), flush=True)


def _without_files() -> Advice:
    return Advice(
        "the data set is built already: leave out --config.data.raw_dir, and it is used as it is",
        flags={"config.data.raw_dir": ""},
    )


def _tree(raw_dir: str) -> Tree | None:
    path = Path(os.path.expanduser(raw_dir))
    return read_tree(path) if raw_dir and os.path.isdir(path) else None


def _found(raw_dir: str, tree: Tree | None) -> list[str]:
    if tree is not None:
        return tree.lines()
    if not raw_dir:
        return ["nothing: no folder is given"]
    path = Path(os.path.expanduser(raw_dir))
    if os.path.isfile(path):
        return [f"{path}  a file of {path.stat().st_size:,} bytes"]
    return [f"{path}  is not there (seen from {os.getcwd()})"]


def _list_splits(dataset: Dataset, last_trial: int, allowed: Allowed) -> Splits:
    """What would be built of the first trial; there must be the last one too.

    Raises:
      UserError: what a build would end with, except for images that do not decode.
    """
    check_splits(dataset, allowed)
    dataset.check_trial(last_trial)
    return dataset.items


def _groups(dataset: Dataset, splits: Splits, widths: Mapping[str, int]) -> dict[str, list[int]]:
    """The widths to show side by side, by title."""
    groups = {
        title: [widths[image.name] for image in images if widths.get(image.name)]
        for title, images in dataset.width_groups(splits).items()
    }
    return {title: known for title, known in groups.items() if known}
