"""A data set made from a download whose authors count its images."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from rireid_jax.data.dataset import Count, Dataset, Origin, RawImage
from rireid_jax.data.files import existing_path
from rireid_jax.data.layouts.base import Layout


class Benchmark(Dataset):
    """A data set that a layout reads; it defines `layout`, `raw` and what its base leaves open."""

    layout: ClassVar[type[Layout]]

    @functools.cached_property
    def download(self) -> Layout:
        """The reader of `config.data.raw_dir`."""
        return self.layout(existing_path(self.raw_dir, self.raw), self.values)

    @functools.cached_property
    def images(self) -> list[RawImage]:
        """All images of the download."""
        return self.download.images()

    def raw_images(self) -> Sequence[RawImage]:
        return self.images

    def read(self, origin: Origin) -> bytes:
        return self.download.read(origin)

    def width(self, origin: Origin) -> int:
        return self.download.width(origin)

    def sources(self) -> Sequence[Path]:
        return self.download.sources()

    def ignored(self) -> Iterator[str]:
        _ = self.images
        return self.download.ignored.lines()

    def close(self) -> None:
        self.download.close()

    def made_from(self) -> str:
        return f"{self.layout.title} (where it comes from, its terms: docs/benchmarks.md)"

    def expected_files(self) -> str:
        return self.layout.tree

    @property
    def expected_size(self) -> tuple[int, int] | None:
        return self.layout.size

    @property
    def published(self) -> Mapping[str, Count]:
        return self.layout.counts(self.values)

    def published_splits(self) -> Mapping[str, Count]:
        return self.published

    def mismatches(self) -> Iterator[str]:
        return self.download.mismatches(self.images)

    def notes(self) -> Iterator[str]:
        yield from self.download.notes(self.images)
        if any(self.mismatches()):
            yield "this is not the full data set: results are not comparable with published ones"
