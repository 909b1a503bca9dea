"""Raw images to records: as they are, or down-sampled as the benchmarks ask."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rireid_jax.data.dataset import Item
from rireid_jax.data.degradation import downsample, downsample_by, draw_width
from rireid_jax.data.records import Record, decode_image, encode_jpeg, encode_png


def as_it_is(item: Item, data: bytes, width_max: int, *, original: bool) -> Record:
    """A record of the file, byte by byte.

    Args:
      item: whose image it is.
      data: the encoded image.
      width_max: pixels; of r = width / width_max.
      original: it is its own high-resolution original; else nothing is known of a higher resolution.

    Raises:
      UserError: the image is not readable.
    """
    image = decode_image(data, _place(item))
    target = data if original else b""
    return _record(item, data, target, image.width / width_max)


def varying_resolution(item: Item, data: bytes, recipe: Mapping[str, Any]) -> Record:
    """A record down-sampled to a random width, the file as its target (VR sets, section 5.1).

    The width is uniform in `[min_width, max_width)`, but less than the image's own; an image that
    is not even `min_width` wide stays as it is.

    Raises:
      UserError: the image is not readable.
    """
    image = decode_image(data, _place(item))
    high = max(recipe["min_width"] + 1, min(recipe["max_width"], image.width))
    width = draw_width(recipe["seed"], item.name, recipe["min_width"], high)
    width = min(width, image.width)
    low = downsample(image, width, recipe["kernel"], recipe["rounding"])
    return _record(item, encode_png(low), data, width / recipe["max_width"])


def multiple_low_resolution(
    item: Item, data: bytes, width_max: int, recipe: Mapping[str, Any]
) -> Record:
    """A record down-sampled by `1/item.ratio`, or as it is if that is 1 (MLR sets, section 5.1).

    Raises:
      UserError: the image is not readable.
    """
    by_ratio = recipe["resolution"] == "ratio"
    if item.ratio == 1:
        record = as_it_is(item, data, width_max, original=True)
        return _record(item, data, data, 1.0) if by_ratio else record
    image = decode_image(data, _place(item))
    low = downsample_by(image, item.ratio, recipe["kernel"], recipe["rounding"])
    quality = recipe["jpeg_quality"]
    encoded = encode_jpeg(low, quality) if quality else encode_png(low)
    return _record(item, encoded, data, 1 / item.ratio if by_ratio else low.width / width_max)


def _place(item: Item) -> str:
    """Where an image is, for the error."""
    return str(item.origin) if isinstance(item.origin, Path) else item.name


def _record(item: Item, image: bytes, target: bytes, resolution: float) -> Record:
    return Record(
        image=image,
        target=target,
        mask=b"",
        pid=item.pid,
        camid=item.camid,
        resolution=resolution,
        name=item.name,
    )
