"""Raw crops to records: as they are, or down-sampled as in the paper's VR benchmarks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rireid_jax.data.builders.base import Item, read_bytes
from rireid_jax.data.degrade import downsample, draw_width
from rireid_jax.data.records import Record, decode_image, encode_png


def original(item: Item, width_max: int) -> Record:
    """A record of the file as it is, byte by byte: nothing is known of a higher resolution.

    Raises:
      UserError: the file is not readable.
    """
    assert isinstance(item.origin, Path)
    data = read_bytes(item.origin)
    image = decode_image(data, str(item.origin))
    return Record(
        image=data,
        target=b"",
        mask=b"",
        pid=item.pid,
        camid=item.camid,
        resolution=image.width / width_max,
        name=item.name,
    )


def varying_resolution(item: Item, recipe: Mapping[str, Any]) -> Record:
    """A record down-sampled to a random width, the file as its target (VR sets, section 5.1).

    The width is uniform in ``[min_width, max_width)``, but never more than the image's own.

    Raises:
      UserError: the file is not readable.
    """
    assert isinstance(item.origin, Path)
    data = read_bytes(item.origin)
    image = decode_image(data, str(item.origin))
    width = draw_width(recipe["seed"], item.name, recipe["min_width"], recipe["max_width"])
    width = min(width, image.width)
    return Record(
        image=encode_png(downsample(image, width, recipe["kernel"])),
        target=data,
        mask=b"",
        pid=item.pid,
        camid=item.camid,
        resolution=width / recipe["max_width"],
        name=item.name,
    )
