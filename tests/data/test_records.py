"""How records are encoded, and what names their making."""

import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
from damages.images import BAD_IMAGES, HARMLESS
from PIL import Image, ImageOps

from rireid_jax.data.files import image_width
from rireid_jax.data.records import (
    ProtocolHash,
    ProtocolRow,
    decode_image,
    decode_mask,
    encode_png,
    encoded_size,
    opened_image,
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


@pytest.mark.parametrize("harmless", HARMLESS)
def test_unusual_images_become_rgb(harmless):
    """Of any mode, with metadata; an orientation in EXIF is applied."""
    data = HARMLESS[harmless](encoded(Image.new("RGB", (4, 6), (255, 255, 255)), "JPEG"))
    decoded = decode_image(data, "x")
    size = (6, 4) if harmless == "rotated JPEG" else (4, 6)
    assert (decoded.mode, decoded.size) == ("RGB", size)
    assert encoded_size(data) == size
    if harmless != "TIFF in Lab":
        assert decoded.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
def test_orientation_is_applied_once(form, tmp_path):
    """In what is decoded, in sizes from headers, and not again in what is already upright."""
    picture = Image.effect_noise((8, 12), 60).convert("RGB")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encoded(picture, form, exif=exif)
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        assert expected.size == ((12, 8) if orientation > 4 else (8, 12))
        decoded = decode_image(data, "x")
        np.testing.assert_array_equal(decoded, expected)
        np.testing.assert_array_equal(opened_image(decoded, "x"), expected)
        np.testing.assert_array_equal(opened_image(Image.open(io.BytesIO(data)), "x"), expected)
        assert encoded_size(data) == expected.size
        (tmp_path / "a").write_bytes(data)
        assert image_width(tmp_path / "a") == expected.width


@pytest.mark.filterwarnings(r"ignore:::PIL\.")
def test_damaged_metadata_say_nothing():
    data = encoded(Image.new("RGB", (4, 6)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode_image(data, "x").size == encoded_size(data) == (4, 6)
    for value in (0, 9, 99):
        exif = Image.Exif()
        exif[0x0112] = value
        assert decode_image(encoded(Image.new("RGB", (4, 6)), "JPEG", exif=exif), "x").size == (
            4,
            6,
        )


def test_transparent_palette():
    image = Image.new("P", (4, 6), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    decoded = decode_image(encoded(image, "PNG", transparency=bytes([0, 128])), "x")
    assert decoded.getpixel((0, 0)) == (10, 20, 30)


@pytest.mark.filterwarnings(r"ignore:::PIL\.")
@pytest.mark.parametrize("message", BAD_IMAGES)
def test_bad_images_are_named(message):
    good = encoded(Image.effect_noise((24, 48), 60).convert("RGB"), "JPEG")
    for kind, damage in BAD_IMAGES[message].items():
        with pytest.raises(UserError, match=rf"^dir/name\.jpg: {message}") as caught:
            decode_image(damage(good), "dir/name.jpg")
        assert len(str(caught.value).splitlines()) == 1, kind


def test_nothing_but_the_error_is_said_of_damaged_images(tmp_path):
    """Pillow would warn of some, on stderr and without the file's name."""
    good = encoded(Image.new("RGB", (24, 48)), "JPEG")
    for number, kind in enumerate(("cut off LZW TIFF", "a hundred million pixels")):
        damage = next(kinds[kind] for kinds in BAD_IMAGES.values() if kind in kinds)
        (tmp_path / f"{number}.png").write_bytes(damage(good))
    code = (
        "import sys\n"
        "from rireid_jax.data.records import decode_image\n"
        "from rireid_jax.errors import UserError\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        decode_image(open(path, 'rb').read(), path)\n"
        "    except UserError as error:\n"
        "        print(error)\n"
    )
    command = [sys.executable, "-c", code, *sorted(map(str, tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2


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


def test_protocol_hash_depends_on_everything_else():
    changes = dict(split="query", name="d.png", size=(10, 21), pid=3, camid=3)
    found = [
        protocol_hash("d", {"seed": 0}, ROWS),
        protocol_hash("e", {"seed": 0}, ROWS),
        protocol_hash("d", {"seed": 1}, ROWS),
        protocol_hash("d", {"seed": 0, "kernel": "lanczos"}, ROWS),
        protocol_hash("d", {"seed": 0}, ROWS[:2]),
    ]
    for field, value in changes.items():
        changed = ROWS[2]._replace(**{field: value})
        found.append(protocol_hash("d", {"seed": 0}, [*ROWS[:2], changed]))
    assert len(set(found)) == len(found) == 10


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
