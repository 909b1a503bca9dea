"""The one record that every data set consists of, its encoding, and the protocol hash."""

import hashlib
import io
import json
import struct
import warnings
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from rireid_jax.errors import UserError

_STORED_BLOCK = 65_535  # bytes, the most that a block can hold
FORMAT_VERSION = 1  # of built data sets; raise it when the same recipe would give other bits

# Fields of recipes that have got another name since data were first built. Hashes are over the old names, so that
# what was built and published under them stays what it is.
_HASHED_AS: Mapping[str, str] = {"trial": "split", "trial_source": "split_source"}


def _known_formats(names: Iterable[str]) -> tuple[str, ...]:
    Image.init()  # else Pillow knows the most usual ones alone
    return tuple(name for name in names if name in Image.OPEN)


# What people's images are in. Pillow knows many more: some start other programs to be read, some are
# cut down to 8 bits a channel without a word. AVIF is read since Pillow 11.3.
IMAGE_FORMATS = _known_formats(("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF", "AVIF"))

# By EXIF orientation, what makes an image upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = (5, 6, 7, 8)
# Where Pillow keeps an orientation.
_METADATA = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")

# Pillow's remarks on doubtful metadata and great sizes do not name the file; `decode_image` does.
warnings.filterwarnings("ignore", module=r"PIL\.", append=True)


@dataclass(frozen=True)
class Record:
    """One image of a person.

    Attributes:
      image: the image as seen, encoded, at its native size: lossless PNG where we made it, the
        bytes of the original file where nothing was down-sampled.
      target: the high-resolution original, encoded; the bytes of `image` where that is itself the
        original; `b""` where there is none.
      mask: the person's pixels as a grey PNG of the target's size, 255 inside, or `b""`.
      pid: identity. In names as in Market-1501, 0 is a distractor.
      camid: camera.
      resolution: r = width / the data set's greatest width, in (0, 1]; float32 when read.
      name: path relative to the raw folder; unique in the data set.
    """

    image: bytes
    target: bytes
    mask: bytes
    pid: int
    camid: int
    resolution: float
    name: str


class ProtocolRow(NamedTuple):
    """What the protocol hash covers of one record; `size` is the image's (width, height)."""

    split: str
    name: str
    size: tuple[int, int]
    pid: int
    camid: int


class ProtocolHash:
    """Names an evaluation: results with different hashes are not comparable.

    It covers the data set, its recipe (with the down-sampling kernel and the seed) and a row for every
    record of every split, which may be added as they are made.
    """

    def __init__(self, dataset: str, recipe: Mapping[str, Any]):
        self._state = _recipe_state(dataset, recipe)
        self._last: ProtocolRow | None = None

    def add(self, row: ProtocolRow, image: str = "") -> None:
        """Adds a record.

        Args:
          row: what is covered of every record.
          image: a hash of the image's bytes, where these are covered too.

        Raises:
          ValueError: it does not come after the one before, by split and name.
        """
        if self._last is not None and not self._last < row:
            raise ValueError(f"row: found {row} after {self._last}, expected ascending rows")
        self._last = row
        self._state.update(_canonical([*row, image] if image else row))

    def hexdigest(self) -> str:
        """16 hexadecimal digits."""
        return self._state.hexdigest()[:16]


def recipe_hash(dataset: str, recipe: Mapping[str, Any]) -> str:
    """Names the folder of a built data set: 8 hexadecimal digits over data set and recipe."""
    return _recipe_state(dataset, recipe).hexdigest()[:8]


def _recipe_state(dataset: str, recipe: Mapping[str, Any]) -> "hashlib._Hash":
    fields = {_HASHED_AS.get(name, name): value for name, value in recipe.items()}
    return hashlib.sha256(_canonical([FORMAT_VERSION, dataset, fields]))


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode() + b"\n"


def encode_png(image: Image.Image | np.ndarray) -> bytes:
    """Encodes an RGB or grey image, uint8 `[H, W, 3]` or `[H, W]`, without loss.

    Our own few lines, because the bytes should be the same everywhere, and Pillow's depend on the zlib
    that it was built with. Nothing is deflated: array_record compresses what it stores, and decoding
    is several times faster so (measured: crops of 256x128 take 4% more disk, encode in a fortieth and
    decode in a fifth of the time).
    """
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    rows = pixels.reshape(height, width * channels)
    differences = rows.copy()
    differences[:, channels:] -= rows[:, :-channels]  # PNG's filter 1, Sub: to the left neighbour
    filters = np.full((height, 1), 1, np.uint8)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", _stored(np.hstack([filters, differences]).tobytes()))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*part) for part in (*parts, (b"IEND", b"")))


def _stored(data: bytes) -> bytes:
    """A zlib stream (RFC 1950) of blocks that are stored as they are (RFC 1951, section 3.2.4)."""
    blocks = []
    for start in range(0, len(data), _STORED_BLOCK):
        block = data[start : start + _STORED_BLOCK]
        last = start + _STORED_BLOCK >= len(data)
        blocks.append(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block)
    return b"\x78\x01" + b"".join(blocks) + struct.pack(">I", zlib.adler32(data))


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encode_jpeg(image: Image.Image, quality: int) -> bytes:
    """Encodes an RGB image with loss, at a quality in [1, 100]."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def encoded_size(data: bytes) -> tuple[int, int]:
    """(width, height) of an encoded image as `decode_image` returns it, from its header alone."""
    with Image.open(io.BytesIO(data)) as image:
        return upright_size(image)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) that an opened image has once its EXIF orientation is applied."""
    width, height = image.size
    return (height, width) if _orientation(image) in _ON_ITS_SIDE else (width, height)


def decode_image(data: bytes, name: str) -> Image.Image:
    """Decodes an image to RGB, 8 bits a channel, upright.

    Grey, palette and CMYK images are converted, an alpha channel is dropped. An orientation in the
    EXIF data is applied, as image viewers do: a person who stands before a camera held on its side
    stands in the image. (In a PNG it counts if it is stored before the pixels.)

    Args:
      data: the bytes of an image file.
      name: of the file, for the error.

    Raises:
      UserError: the data are empty, truncated, no image of a usual format, of more pixels than
        Pillow deems safe, or hold more than 8 bits a channel.
    """
    return to_rgb(_load(data, name))


def decode_mask(data: bytes, name: str) -> Image.Image:
    """Decodes a mask to one grey channel of 8 bits.

    Raises:
      UserError: as for `decode_image`.
    """
    return _load(data, name).convert("L")


def opened_image(image: Image.Image, name: str) -> Image.Image:
    """Brings a PIL image, perhaps not yet loaded, to RGB by the rules of `decode_image`.

    Args:
      image: of any mode of 8 bits; not changed. An EXIF orientation that it still names is applied;
        `PIL.ImageOps.exif_transpose` applies and removes it.
      name: of the image, for the error.

    Raises:
      UserError: as for `decode_image`.
    """
    return to_rgb(_loaded(image, name))


def _load(data: bytes, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=IMAGE_FORMATS)
    except UnidentifiedImageError as error:
        reason = f"no {', '.join(IMAGE_FORMATS)}" if data else "an empty file"
        raise UserError(f"{name}: found {reason}, expected a readable image") from error
    except Exception as error:  # a broken file makes a decoder raise almost anything
        raise _unreadable(name, error) from error
    return _loaded(image, name)


def _loaded(image: Image.Image, name: str) -> Image.Image:
    """An opened image with its pixels, upright; UserError for what `decode_image` refuses."""
    try:
        deep = _is_deep(image)
        turn = _TURNS.get(_orientation(image))  # before loading, as `upright_size` sees it
        if not deep and not _is_huge(image):
            image.load()
    except Exception as error:
        raise _unreadable(name, error) from error
    if deep:
        raise UserError(f"{name}: found more than 8 bits a channel, expected an 8-bit image")
    if _is_huge(image):
        raise UserError(
            f"{name}: found {image.width}x{image.height} pixels, expected at most "
            f"{Image.MAX_IMAGE_PIXELS:,}"
        )
    if 0 in image.size:
        raise UserError(f"{name}: found {image.width}x{image.height} pixels, expected some")
    if turn is None:
        return image
    upright = image.transpose(turn)
    for key in _METADATA:  # else somebody else would turn it once more
        upright.info.pop(key, None)
    return upright


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, of an image as Pillow gives it; 1: upright."""
    if image.format == "TIFF":  # Pillow turns these itself
        return 1
    if (
        image.format == "PNG" and "exif" not in image.info
    ):  # to look behind the pixels takes decoding them
        return 1
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata say nothing
        return 1
    return found if found in _TURNS else 1


def _unreadable(name: str, error: Exception) -> UserError:
    reason = f"{type(error).__name__}: {error}"
    return UserError(f"{name}: found {reason}, expected a readable image")


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts an 8-bit image of any mode; an alpha channel or transparent colour is dropped."""
    if image.mode == "RGB":
        return image
    if (image.mode == "P" and "transparency" in image.info) or image.mode == "RGBa":
        image = image.convert("RGBA")
    elif image.mode == "La":  # as "RGBa", multiplied by its alpha channel
        image = image.convert("LA")
    return image.convert("RGB")


def _is_deep(image: Image.Image) -> bool:
    """Whether an opened, not yet loaded image has more than 8 bits a channel."""
    if image.mode.startswith(("I", "F")):
        return True
    # Pillow reads deeper colour as 8-bit colour and only says so in the decoder's arguments.
    arguments = [tile[3] for tile in getattr(image, "tile", ())]
    if image.format == "PPM":
        return any(isinstance(found, tuple) and found[1] > 255 for found in arguments)
    if image.format == "AVIF":
        return bool(arguments) and _is_deep_avif(image)
    return image.format in ("PNG", "TIFF") and any(";16" in str(found) for found in arguments)


def _is_deep_avif(image: Image.Image) -> bool:
    """Whether the file of an image that is not yet loaded says so in its box av1C, which Pillow keeps to itself."""
    file = getattr(image, "fp", None)
    if file is None:
        return False
    place = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(place)
    box = (
        data.find(b"av1C") + 4
    )  # the AV1 codec's configuration; of its third byte, bit 6 is high_bitdepth
    return box >= 4 and len(data) > box + 2 and bool(data[box + 2] & 0x40)


def _is_huge(image: Image.Image) -> bool:
    """Whether Pillow would warn of a decompression bomb; it refuses twice the size itself."""
    limit = Image.MAX_IMAGE_PIXELS
    return limit is not None and image.width * image.height > limit
