import io
import pickle

import numpy as np
import pytest
from PIL import Image

from rireid_jax.data.records import (
    ProtocolHash,
    ProtocolRow,
    decode_image,
    decode_mask,
    encode_png,
    recipe_hash,
)
from rireid_jax.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 5, 3), np.uint8)
ROWS = [
    ProtocolRow("train", "a.png", (8, 16), 1, 0),
    ProtocolRow("query", "b.png", (9, 18), 2, 1),
    ProtocolRow("gallery", "c.png", (10, 20), 2, 2),
]


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1"])
def test_other_modes_become_rgb(mode):
    image = Image.new("RGB", (4, 6), (255, 255, 255)).convert(mode)
    decoded = decode_image(encoded(image, "TIFF" if mode == "CMYK" else "PNG"), "x")
    assert decoded.mode == "RGB"
    assert decoded.getextrema() == ((255, 255),) * 3


def test_transparent_palette():
    image = Image.new("P", (4, 6), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    decoded = decode_image(encoded(image, "PNG", transparency=bytes([0, 128])), "x")
    assert decoded.getpixel((0, 0)) == (10, 20, 30)


def test_exif_orientation_is_ignored():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_image(encoded(Image.new("RGB", (4, 6)), "JPEG", exif=exif), "x").size == (4, 6)


def deep_colour_png() -> bytes:
    """A PNG of 16-bit colour: Pillow writes none, so the header of an 8-bit one is changed."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    rows = b"".join(b"\0" + bytes(2 * 3 * 2) for _ in range(2))
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.fromarray(np.zeros((4, 4), np.uint16)), "PNG"),
        encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"),
        deep_colour_png(),
    ],
)
def test_deep_images_are_refused(data):
    with pytest.raises(UserError, match=r"dir/deep\.png: found more than 8 bits"):
        decode_image(data, "dir/deep.png")


@pytest.mark.parametrize(
    "data",
    [b"", b"no image", encode_png(PIXELS)[:-30], encoded(Image.new("RGB", (50, 50)), "JPEG")[:-20]],
)
def test_broken_images_are_named(data):
    with pytest.raises(UserError, match=r"dir/name\.jpg: found .*expected a readable image"):
        decode_image(data, "dir/name.jpg")


def test_user_error_comes_out_of_worker_processes():
    error = pickle.loads(pickle.dumps(UserError("a\nb")))
    assert str(error) == "a b"


def protocol_hash(dataset, recipe, rows):
    hashed = ProtocolHash(dataset, recipe)
    for row in sorted(rows):
        hashed.add(row)
    return hashed.hexdigest()


def test_protocol_hash():
    base = protocol_hash("d", {"seed": 0, "kernel": "bicubic"}, ROWS)
    assert base == protocol_hash("d", {"kernel": "bicubic", "seed": 0}, ROWS)
    assert len(base) == 16
    assert int(base, 16) >= 0


def test_protocol_hash_takes_ascending_rows():
    hashed = ProtocolHash("d", {})
    hashed.add(ROWS[0])
    with pytest.raises(ValueError, match="expected ascending rows"):
        hashed.add(ROWS[1])


@pytest.mark.parametrize(
    ("dataset", "recipe", "rows"),
    [
        ("e", {"seed": 0}, ROWS),
        ("d", {"seed": 1}, ROWS),
        ("d", {"seed": 0, "kernel": "lanczos"}, ROWS),
        ("d", {"seed": 0}, ROWS[:2]),
        ("d", {"seed": 0}, [*ROWS[:2], ROWS[2]._replace(split="query")]),
        ("d", {"seed": 0}, [*ROWS[:2], ROWS[2]._replace(name="d.png")]),
        ("d", {"seed": 0}, [*ROWS[:2], ROWS[2]._replace(size=(10, 21))]),
        ("d", {"seed": 0}, [*ROWS[:2], ROWS[2]._replace(pid=3)]),
        ("d", {"seed": 0}, [*ROWS[:2], ROWS[2]._replace(camid=3)]),
    ],
)
def test_protocol_hash_depends_on_everything_else(dataset, recipe, rows):
    assert protocol_hash(dataset, recipe, rows) != protocol_hash("d", {"seed": 0}, ROWS)


def test_recipe_hash():
    assert recipe_hash("d", {"a": (1, 2), "b": 1}) == recipe_hash("d", {"b": 1, "a": [1, 2]})
    assert recipe_hash("d", {"a": 1}) != recipe_hash("d", {"a": 2})
    assert recipe_hash("d", {"a": 1}) != recipe_hash("e", {"a": 1})


@pytest.mark.parametrize("shape", [(9, 5, 3), (1, 1, 3), (200, 120, 3), (7, 3), (300, 300)])
def test_png_is_lossless(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    data = encode_png(pixels)
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == ("RGB" if len(shape) == 3 else "L")
        np.testing.assert_array_equal(image, pixels)
    assert encode_png(Image.fromarray(pixels)) == data
    decode = decode_image if len(shape) == 3 else decode_mask
    np.testing.assert_array_equal(decode(data, "x"), pixels)


def test_png_bytes_are_the_same_everywhere():
    """Worked by hand: filter 1, then the first pixel and the difference to it, in one stored block."""
    data = encode_png(np.array([[[1, 2, 3], [5, 2, 1]]], np.uint8))
    stored = bytes([1, 7, 0, 0xF8, 0xFF, 1, 1, 2, 3, 4, 0, 254])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[16:29] == bytes([0, 0, 0, 2, 0, 0, 0, 1, 8, 2, 0, 0, 0])
    assert data[41 : 41 + 2 + len(stored)] == b"\x78\x01" + stored
