"""The images of a download in numbers: how many, by which cameras, how wide, and whether they decode."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from PIL import Image

from rireid_jax.data.dataset import Count, Dataset, Item, RawImage, Splits
from rireid_jax.data.files import counted
from rireid_jax.data.keyed_random import keyed_order
from rireid_jax.data.records import decode_image
from rireid_jax.doctor.folders import wrapped
from rireid_jax.errors import UserError
from rireid_jax.text_table import aligned

WIDTHS = 2_000  # images whose headers are read
DECODED = 200  # images that are decoded
_MOST_CAMERAS = 20  # in a table
_MOST_ERRORS = 10
_BAR = 42  # columns of the longest
_BINS = 12


def numbers(dataset: Dataset, images: Sequence[RawImage], splits: Splits) -> list[str]:
    """A table of images and identities, found and published, by role and by split of what is built.

    Args:
      dataset: whose they are.
      images: all raw images; empty where nothing is raw.
      splits: what is built of them; empty if that is not known.
    """
    rows = [["", "images", "published", "", "identities", "published", ""]]

    def add(title: str, found: Sequence[RawImage] | Sequence[Item], known: Count) -> None:
        row = [title]
        people = _identities(dataset, found)
        for number, published in ((len(found), known.images), (people, known.identities)):
            row += [f"{number:,}", *_compared(number, published)]
        rows.append(row)

    if images:
        published = dataset.published
        for role in published or dict.fromkeys(sorted({image.role for image in images})):
            of_role = [image for image in images if not role or image.role == role]
            add(role or "all", of_role, published.get(role, Count(None)))
        rows[1][0] = f"{'on disk:':<11}{rows[1][0]}"
        for row in rows[2:]:
            row[0] = f"           {row[0]}"
    known = dataset.published_splits()
    start = len(rows)
    for split, items in splits.items():
        add(split, items, known.get(split, Count(None)))
        rows[-1][0] = f"{'to build:' if len(rows) == start + 1 else '':<11}{split}"
    lines = aligned(_without_empty_columns(rows)).split("\n")
    nobody = sum(image.pid == dataset.distractor for image in images)
    if nobody:
        lines.append(
            f"{counted(nobody, 'image')} of distractors (identity {dataset.distractor}) in the gallery, "
            "not counted as an identity"
        )
    return lines


def cameras(
    dataset: Dataset, images: Sequence[RawImage], splits: Splits, widths: Mapping[str, int]
) -> list[str]:
    """A table of the cameras: images, identities, how many images are low, and their widths.

    Args:
      dataset: whose they are.
      images: all raw images.
      splits: what is built of them; empty if that is not known.
      widths: in pixels, by name, of those that were looked at.
    """
    rows = [["camera", "images", "identities", "low images", "narrowest", "mean", "widest"]]
    by_camera: dict[int, list[RawImage]] = {}
    for image in images:
        by_camera.setdefault(image.camid, []).append(image)
    items = [item for split in splits.values() for item in split]
    low = Counter(item.camid for item in items if item.ratio != 1)
    for camera, group in sorted(by_camera.items()):
        seen = [widths[image.name] for image in group if widths.get(image.name)]
        row = [str(camera), f"{len(group):,}", f"{_identities(dataset, group):,}"]
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
    """Up to `count` images, drawn by their names: the same on every machine."""
    by_name = {image.name: image for image in images}
    return [by_name[name] for name in keyed_order(0, "doctor", by_name)[:count]]


def measure_widths(dataset: Dataset, sample: Sequence[RawImage]) -> dict[str, int]:
    """Widths in pixels by name, 0 where an image has no readable header."""
    widths = dataset.in_threads(dataset.width, (image.origin for image in sample))
    return {image.name: width for image, width in zip(sample, widths, strict=True)}


def decode(
    dataset: Dataset, sample: Sequence[RawImage]
) -> tuple[list[UserError], list[tuple[str, tuple[int, int]]]]:
    """Decodes images.

    Returns:
      What is wrong with those that cannot be decoded, and names and (width, height) of those that have
      another size than they should.
    """

    def attempt(image: RawImage) -> Image.Image | UserError:
        place = image.name if isinstance(image.origin, tuple) else str(image.origin)
        try:
            return decode_image(dataset.read(image.origin), place)
        except UserError as error:
            return error

    bad, odd = [], []
    for image, result in zip(sample, dataset.in_threads(attempt, sample), strict=True):
        if isinstance(result, UserError):
            bad.append(result)
        elif dataset.expected_size not in (None, result.size):
            odd.append((image.name, result.size))
    return bad, odd


def listed(errors: Sequence[UserError]) -> list[str]:
    """The first errors in lines of 100 columns, and how many more there are."""
    lines = [line for error in errors[:_MOST_ERRORS] for line in wrapped(str(error), "- ")]
    if len(errors) > _MOST_ERRORS:
        lines.append(f"... and {len(errors) - _MOST_ERRORS:,} more")
    return lines


def _identities(dataset: Dataset, images: Iterable[RawImage | Item]) -> int:
    """How many people there are in images."""
    return len({image.pid for image in images} - {dataset.distractor})


def _compared(found: int, published: int | None) -> tuple[str, str]:
    """The published number, and "ok" or the difference from it."""
    if published is None:
        return "", ""
    difference = found - published
    return f"{published:,}", f"{difference:+,}" if difference else "ok"


def _without_empty_columns(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    kept = [n for n in range(len(rows[0])) if n == 0 or any(row[n] for row in rows[1:])]
    return [[row[n] for n in kept] for row in rows]
