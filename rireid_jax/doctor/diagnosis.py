"""The whole report on a data set: where it should come from, what is there, and what to do."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ml_collections import ConfigDict

from rireid_jax.config import DATASETS, recipe_title
from rireid_jax.data.build.benchmark import BenchmarkBuilder, DividedBuilder
from rireid_jax.data.build.builder import RecordBuilder
from rireid_jax.data.build.caviar import CAVIARBuilder
from rireid_jax.data.build.checks import check_names, check_queries
from rireid_jax.data.build.dataset import BUILDERS, check_same_files
from rireid_jax.data.build.folder import FolderBuilder
from rireid_jax.data.build.natural_images import NaturalImagesBuilder
from rireid_jax.data.raw.crops import TREE
from rireid_jax.data.raw.market1501 import Market1501
from rireid_jax.data.raw.msmt17 import MSMT17
from rireid_jax.doctor.advice import Advice, advise, advise_on_division, other_benchmarks
from rireid_jax.doctor.commands import command
from rireid_jax.doctor.contents import (
    DECODED,
    WIDTHS,
    Contents,
    Splits,
    cameras,
    decode,
    draw_sample,
    histogram,
    list_contents,
    listed,
    measure_widths,
    numbers,
)
from rireid_jax.doctor.folders import Tree, printable, read_tree, wrapped
from rireid_jax.doctor.making import built_lines, recipe_lines
from rireid_jax.errors import UserError
from rireid_jax.runs.trials import split_configs

T = TypeVar("T")


def doctor(config: ConfigDict, arguments: Sequence[str]) -> None:
    """Prints what is on disk of the config's data sets and what to do; builds nothing.

    Args:
      config: valid.
      arguments: of the command line, for the commands to run next.

    Raises:
      UserError: after the report, the main reason why a data set cannot be built from what is there.
    """
    diagnosis = _Diagnosis(config, arguments)
    diagnosis.people()
    if any(config.stages[stage].dataset == "natural_images" for stage in config.run):
        diagnosis.natural_images()
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
        """The data set itself, in the first of the divisions asked for."""
        parts = split_configs(self.config) or {0: self.config}
        builders = {split: self._builder(part) for split, part in parts.items()}
        builder = next(iter(builders.values()))
        self._is_built = all(builder.data_path.exists() for builder in builders.values())
        self._say(*self._heading(builder))
        if not DATASETS[builder.name].raw:
            self._say("Files", "none are needed: the build draws the people itself")
            self._say("Numbers", *numbers(builder, None, builder.items))
        else:
            tree = self._files(builder)
            if builder.raw_dir or not self._is_built:
                contents = self._try(
                    lambda: list_contents(builder),
                    lambda: [*advise(builder, tree), *[_without_files()] * self._is_built],
                )
                if contents is None:
                    return
                self._images(contents, tree, builders)
        self._say(
            "Recipe (config.data.recipe)",
            *recipe_lines(self.config, builder, list(self.config.data.trials)),
        )
        self._say("Built", *built_lines(builders))

    def natural_images(self) -> None:
        """What FFSR is pre-trained on."""
        source = self.config.natural_images
        title = "Natural images (FFSR is pre-trained on them)"
        if not source.raw_dir:
            self._say(title, "no files are needed: the build draws dead leaves")
            return
        tree = _tree(source.raw_dir)
        self._say(title, *_found(source.raw_dir, tree))
        # The first of those that the build takes.
        builder = NaturalImagesBuilder(
            {
                "count": min(source.count, DECODED),
                "size": tuple(source.size),
                "seed": source.seed,
            },
            data_dir=self.config.data.dir,
            raw_dir=source.raw_dir,
        )
        items = self._try(lambda: builder.items["train"])
        if items is None:
            return
        bad, small = [], 0
        for item in items:
            try:
                small += builder.make(item) is None
            except UserError as error:
                bad.append(error)
        used = f"{len(items) - len(bad)} of {len(items)} sampled images decode"
        passed_over = f"; {small} are smaller than a crop and passed over" if small else ""
        self._say("", used + passed_over, *listed(bad))
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

    def _heading(self, builder: RecordBuilder) -> Iterator[str]:
        title = recipe_title(builder.name, builder.recipe)
        height, width = self.config.data.image_size
        yield f"{builder.name}, recipe {title!r}"
        if isinstance(builder, BenchmarkBuilder):
            source = (
                f"{builder.raw_class.title} (where it comes from, its terms: docs/benchmarks.md)"
            )
        elif DATASETS[builder.name].raw:
            source = "your own crops"
        else:
            source = "drawings by this program; an example, not a benchmark"
        yield f"made from  {source}"
        yield f"input      {width}x{height} pixels (width x height), to which images are enlarged"

    def _builder(self, part: ConfigDict) -> RecordBuilder:
        return BUILDERS[part.dataset](
            part.data.recipe.to_dict(),
            data_dir=part.data.dir,
            raw_dir=part.data.raw_dir if DATASETS[part.dataset].raw else "",
            max_bad_images=part.data.max_bad_images,
            threads=part.data.build_threads,
        )

    def _files(self, builder: RecordBuilder) -> Tree | None:
        """What should be there, and what is."""
        expected = builder.raw_class.tree if isinstance(builder, BenchmarkBuilder) else TREE
        self._say("Expected files", *expected.split("\n"))
        tree = _tree(builder.raw_dir)
        if not builder.raw_dir and self._is_built:
            self._say("Found", "no folder is given, and none is needed: the data set is built")
        else:
            self._say("Found", *_found(builder.raw_dir, tree))
        return tree

    def _images(
        self, contents: Contents, tree: Tree | None, builders: Mapping[int, RecordBuilder]
    ) -> None:
        """What can be read, in numbers; checks what the build checks."""
        first, builder = next(iter(builders.items()))
        splits = self._try(
            lambda: _list_splits(list(builders.values())), lambda: advise_on_division(builder)
        )
        of_split = f" (to build: of split {first})" if len(builders) > 1 else ""
        notes = list(_notes(builder, contents))
        if isinstance(builder, FolderBuilder) and tree is not None:
            notes += [advice.text for advice in other_benchmarks(builder, tree)]
        notes = [line for note in notes for line in wrapped(note)]
        self._say(f"Numbers{of_split}", *numbers(builder, contents, splits), *notes)
        sample = draw_sample(contents.images, WIDTHS)
        widths = measure_widths(contents, sample)
        whole = len(sample) == len(contents.images)
        of = "all images" if whole else f"{len(sample):,} images, drawn by name"
        self._say(f"Cameras, with the widths of {of}", *cameras(builder, contents, splits, widths))
        if groups := _groups(builder, contents, splits, widths):
            self._say(f"Widths of {of}", *histogram(groups))
        used = {item.name for items in (splits or {}).values() for item in items}
        looked_at = sample[:DECODED] + [i for i in sample[DECODED:] if not widths[i.name]]
        looked_at = [image for image in looked_at if not used or image.name in used]
        bad, odd = decode(contents, looked_at)
        decoded = f"{len(looked_at) - len(bad):,} of {len(looked_at):,} sampled images decode"
        lines = [f"{decoded}; --mode build decodes all", *listed(bad)]
        if odd:
            name, (width, height) = odd[0]
            lines += wrapped(
                f"{len(odd)} are not of the benchmark's {'x'.join(map(str, contents.size or ()))} "
                f"pixels, such as {name} of {width}x{height}; is this the original download?"
            )
        self._say("Sample", *lines)
        self._check_damage(bad, len(looked_at))
        if splits is not None and builder.data_path.exists():
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


def _list_splits(builders: Sequence[RecordBuilder]) -> Splits:
    """What the first builder would build; the others must have a division too.

    Raises:
      UserError: what a build would end with, but for images that do not decode.
    """
    first, last = builders[0], builders[-1]
    check_names(first.items)
    check_queries(first.items)
    if isinstance(first, DividedBuilder) and isinstance(last, DividedBuilder):
        last.images = first.images
        last.division()
    return first.items


def _notes(builder: RecordBuilder, contents: Contents) -> Iterator[str]:
    """What else is to be known of what was found."""
    if isinstance(builder, BenchmarkBuilder):
        if isinstance(builder.raw, MSMT17):
            faces = {"V1": "faces as they are", "V2": "faces blurred"}[builder.raw.version]
            yield f"this is version {builder.raw.version} of MSMT17 ({faces})"
        if isinstance(builder.raw, Market1501) and "_f" in contents.images[0].name:
            yield "the names are those of DukeMTMC-reID, which has the same folders, not Market-1501's"
        if any(builder.raw.mismatches(builder.images)):
            yield "this is not the full data set: results are not comparable with published ones"
    if isinstance(builder, FolderBuilder):
        if builder.crops[0].camid is None:
            yield "no cameras are named: queries count as camera 0, gallery images as camera 1"
        if builder.crops[0].split is None:
            fraction = builder.recipe["test_fraction"]
            yield f"not divided by you: {fraction:.0%} of the identities are drawn for testing"


def _groups(
    builder: RecordBuilder,
    contents: Contents,
    splits: Splits | None,
    widths: Mapping[str, int],
) -> dict[str, list[int]]:
    """The widths to show: by camera, where one of two is low by nature."""
    if not isinstance(builder, CAVIARBuilder):
        known = [width for width in widths.values() if width]
        return {"": known} if known else {}
    low = {item.camid for items in (splits or {}).values() for item in items if not item.ratio}
    groups: dict[str, list[int]] = {}
    for camera in (0, 1):
        kind = (" (low)" if camera in low else " (high)") if low else ""
        known = [widths.get(image.name, 0) for image in contents.images if image.camid == camera]
        if any(known):
            groups[f"camera {camera}{kind}"] = [width for width in known if width]
    return groups
