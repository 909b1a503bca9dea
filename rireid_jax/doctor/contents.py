"""The images of a download in numbers: how many there are, by which cameras, how wide, and whether they decode."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from rireid_jax.config import DATASETS
from rireid_jax.data.build.benchmark import BenchmarkBuilder
from rireid_jax.data.build.builder import RecordBuilder
from rireid_jax.data.build.folder import FolderBuilder
from rireid_jax.data.build.shards import Item
from rireid_jax.data.keyed_random import keyed_order
from rireid_jax.data.raw.base import Origin, RawImage, image_width, read_bytes
from rireid_jax.data.raw.market1501 import DISTRACTOR
from rireid_jax.data.records import decode_image
from rireid_jax.doctor.folders import counted, wrapped
from rireid_jax.errors import UserError
from rireid_jax.text_table import aligned

WIDTHS = 2_000  # images whose headers are read
DECODED = 200  # images that are decoded
_WITH_DISTRACTORS = ("vr_market1501", "mlr_market1501", "folder")
_CAVIAR_IDENTITIES = 50  # before both cameras
_MOST_CAMERAS = 20  # in a table
_MOST_ERRORS = 10
_BAR = 42  # columns of the longest
_BINS = 12

Splits = Mapping[str, Sequence[Item]]
Known = tuple[int | None, int | None]  # numbers of images and identities, None where not known


@dataclass(frozen=True)
class Contents:
    """What a reader found, before anything is made of it.

    Attributes:
      images: all of them; role is "" where the download is not divided.
      read: the encoded image at an origin. Raises UserError.
      width: the width in pixels of the image at an origin; 0 where it cannot be read.
      size: (width, height) that all should have; None: any.
      threads: that may read.
    """

    images: Sequence[RawImage]
    read: Callable[[Origin], bytes]
    width: Callable[[Origin], int]
    size: tuple[int, int] | None
    threads: int


def list_contents(builder: RecordBuilder) -> Contents:
    """Lists the raw images of a data set.

    Raises:
      UserError: what the reader raises.
    """
    if isinstance(builder, BenchmarkBuilder):
        raw = builder.raw
        return Contents(builder.images, raw.read, raw.width, raw.size, builder.threads)
    assert isinstance(builder, FolderBuilder)
    images = [
        RawImage(crop.name, crop.pid, crop.camid or 0, crop.path, crop.split or "")
        for crop in builder.crops
    ]
    return Contents(images, _read_file, _width_of_file, None, builder.threads)


def numbers(builder: RecordBuilder, contents: Contents | None, splits: Splits | None) -> list[str]:
    """A table of images and identities, found and published, by role and by split of what is built."""
    rows = [["", "images", "published", "", "identities", "published", ""]]

    def add(title: str, images: Sequence[RawImage] | Sequence[Item], known: Known) -> None:
        row = [title]
        people = _identities(builder, images)
        for found, published in zip((len(images), people), known, strict=True):
            row += [f"{found:,}", *_compared(found, published)]
        rows.append(row)

    if contents is not None:
        published = builder.raw.published if isinstance(builder, BenchmarkBuilder) else {}
        roles = published or dict.fromkeys(sorted({image.role for image in contents.images}))
        for role in roles:
            count = published.get(role)
            images = [image for image in contents.images if not role or image.role == role]
            add(role or "all", images, (count.images, count.identities) if count else (None, None))
        rows[1][0] = f"{'on disk:':<11}{rows[1][0]}"
        for row in rows[2:]:
            row[0] = f"           {row[0]}"
    known = _published_splits(builder)
    start = len(rows)
    for split, items in (splits or {}).items():
        add(split, items, known.get(split, (None, None)))
        rows[-1][0] = f"{'to build:' if len(rows) == start + 1 else '':<11}{split}"
    lines = aligned(_without_empty_columns(rows)).split("\n")
    if builder.name in _WITH_DISTRACTORS and contents is not None:
        number = sum(image.pid == DISTRACTOR for image in contents.images)
        if number:
            lines.append(
                f"{counted(number, 'image')} of distractors (identity 0) in the gallery, not counted "
                "as an identity"
            )
    return lines


def cameras(
    builder: RecordBuilder, contents: Contents, splits: Splits | None, widths: Mapping[str, int]
) -> list[str]:
    """A table of the cameras: images, identities, how many images are low, and their widths.

    Args:
      builder: of the data set.
      contents: all images.
      splits: what is built of them, if that is known.
      widths: in pixels, by name, of those that were looked at.
    """
    rows = [["camera", "images", "identities", "low images", "narrowest", "mean", "widest"]]
    by_camera: dict[int, list[RawImage]] = {}
    for image in contents.images:
        by_camera.setdefault(image.camid, []).append(image)
    items = [item for split in (splits or {}).values() for item in split]
    low = Counter(item.camid for item in items if item.ratio != 1)
    for camera, images in sorted(by_camera.items()):
        seen = [widths[image.name] for image in images if widths.get(image.name)]
        row = [str(camera), f"{len(images):,}", f"{_identities(builder, images):,}"]
        row.append(f"{low[camera]:,}" if low else "")
        if seen:
            mean = sum(seen) / len(seen)
            row += [f"{min(seen)} px", f"{mean:.0f} px", f"{max(seen)} px"]
        rows.append(row + [""] * (len(rows[0]) - len(row)))
    lines = aligned(_without_empty_columns(rows[: _MOST_CAMERAS + 1])).split("\n")
    if len(rows) > _MOST_CAMERAS + 1:
        lines.append(f"... and {counted(len(rows) - 1 - _MOST_CAMERAS, 'more camera')}")
    return lines


def histogram(groups: Mapping[str, Sequence[int]]) -> list[str]:
    """Bars of the widths in pixels, those of the groups side by side.

    Args:
      groups: widths by title; at most two groups, none of them empty.
    """
    every = [width for widths in groups.values() for width in widths]
    low, high = min(every), max(every)
    if low == high:
        return [f"all {low} pixels wide"]
    step = next(
        step
        for power in range(10)
        for step in (10**power, 2 * 10**power, 5 * 10**power)
        if high // step - low // step < _BINS
    )
    bins = range(low // step, high // step + 1)
    counts = {title: Counter(width // step for width in ws) for title, ws in groups.items()}
    most = max(max(counter.values()) for counter in counts.values())
    bar = _BAR // len(groups)
    digits = len(str(bins[-1] * step + step - 1))
    lines: list[str] = []
    for place in bins:
        last = place * step + step - 1
        label = f"{place * step:>{digits}}" + (f"-{last:<{digits}}" if step > 1 else "")
        line = f"{label} px  "
        if len(groups) > 1 and not lines:
            titles = "".join(f"{title:<{bar + 9}}" for title in groups)
            lines.append(" " * len(line) + titles.rstrip())
        for counter in counts.values():
            number = counter[place]
            length = max(1, round(bar * number / most)) if number else 0
            line += f"{'#' * length + f' {number:,}' * bool(number):<{bar + 9}}"
        lines.append(line.rstrip())
    return lines


def draw_sample(images: Iterable[RawImage], count: int) -> list[RawImage]:
    """Up to ``count`` images, drawn by their names: the same on every machine."""
    by_name = {image.name: image for image in images}
    return [by_name[name] for name in keyed_order(0, "doctor", by_name)[:count]]


def measure_widths(contents: Contents, sample: Sequence[RawImage]) -> dict[str, int]:
    """Widths in pixels by name, 0 where an image has no readable header."""
    with ThreadPoolExecutor(contents.threads) as pool:
        widths = pool.map(contents.width, (image.origin for image in sample))
        return {image.name: width for image, width in zip(sample, widths, strict=True)}


def decode(
    contents: Contents, sample: Sequence[RawImage]
) -> tuple[list[UserError], list[tuple[str, tuple[int, int]]]]:
    """Decodes images.

    Returns:
      What is wrong with those that cannot be decoded; names and (width, height) of those that have another
      size than they should.
    """

    def attempt(image: RawImage) -> Image.Image | UserError:
        place = image.name if isinstance(image.origin, tuple) else str(image.origin)
        try:
            return decode_image(contents.read(image.origin), place)
        except UserError as error:
            return error

    bad, odd = [], []
    with ThreadPoolExecutor(contents.threads) as pool:
        for image, result in zip(sample, pool.map(attempt, sample), strict=True):
            if isinstance(result, UserError):
                bad.append(result)
            elif contents.size not in (None, result.size):
                odd.append((image.name, result.size))
    return bad, odd


def listed(errors: Sequence[UserError]) -> list[str]:
    """The first errors in lines of 100 columns, and how many more there are."""
    lines = [line for error in errors[:_MOST_ERRORS] for line in wrapped(str(error), "- ")]
    if len(errors) > _MOST_ERRORS:
        lines.append(f"... and {len(errors) - _MOST_ERRORS:,} more")
    return lines


def _identities(builder: RecordBuilder, images: Iterable[RawImage | Item]) -> int:
    """How many people there are in images."""
    nobody = {DISTRACTOR} if builder.name in _WITH_DISTRACTORS else set()
    return len({image.pid for image in images} - nobody)


def _published_splits(builder: RecordBuilder) -> dict[str, Known]:
    """Numbers of images and identities in the splits of the full benchmark, where they are known."""
    if not isinstance(builder, BenchmarkBuilder):
        return {}
    recipe, published = builder.recipe, builder.raw_class.published
    if "split_source" not in recipe:
        assert isinstance(published, Mapping)
        known: dict[str, Known] = {}
        known |= {role: (count.images, count.identities) for role, count in published.items()}
        if recipe.get("val_in_training") and "val" in published:
            images = published["train"].images + published["val"].images
            known["train"] = (images, published["train"].identities)
        if recipe.get("queries", "folders") != "folders":
            del known["query"], known["gallery"]
        return known
    source, train = recipe["split_source"], recipe["train_identities"]
    if source == "official":
        train = DATASETS[builder.name].recipe["train_identities"]
    elif source != "random":
        return {}
    totals = {"caviar": _CAVIAR_IDENTITIES, "mlr_viper": 632, "mlr_cuhk03": 1_467}
    test = totals[builder.name] - train
    return {"train": (None, train), "query": (None, test), "gallery": (None, test)}


def _compared(found: int, published: int | None) -> tuple[str, str]:
    """The published number, and "ok" or the difference from it."""
    if published is None:
        return "", ""
    difference = found - published
    return f"{published:,}", f"{difference:+,}" if difference else "ok"


def _without_empty_columns(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    kept = [n for n in range(len(rows[0])) if n == 0 or any(row[n] for row in rows[1:])]
    return [[row[n] for n in kept] for row in rows]


def _read_file(origin: Origin) -> bytes:
    assert not isinstance(origin, tuple)
    return read_bytes(origin)


def _width_of_file(origin: Origin) -> int:
    assert not isinstance(origin, tuple)
    return image_width(origin)
