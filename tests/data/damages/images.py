"""Images as networks, disks and other programs damage them, and files that never were images."""

import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

READABLE = "found .*, expected a readable image"
NO_IMAGE = "found no JPEG, PNG, .*, expected a readable image"
DEEP = "found more than 8 bits a channel, expected an 8-bit image"

_SIZE = (24, 48)  # (width, height) of what is made here


def png(depth: int, colour: int, size: tuple[int, int] = _SIZE, rows: bytes | None = None) -> bytes:
    """A black PNG of any depth; Pillow writes no colour of more than 8 bits."""
    if rows is None:
        channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
        rows = (b"\0" + bytes(size[0] * channels * depth // 8)) * size[1]
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


def tiff(depth: int, channels: int, sample_format: int = 1) -> bytes:
    """A black TIFF without compression; sample_format 1 is unsigned, 2 signed, 3 floating point."""
    pixels = bytes(_SIZE[0] * _SIZE[1] * channels * depth // 8)
    entries = [
        (256, _SIZE[0]),
        (257, _SIZE[1]),
        (258, depth),
        (259, 1),
        (262, 2 if channels > 1 else 1),
        (273, 8),
        (277, channels),
        (278, _SIZE[1]),
        (279, len(pixels)),
        (339, sample_format),
    ]
    directory = 8 + len(pixels)
    values = directory + 2 + 12 * len(entries) + 4  # where bits per sample and formats lie
    fields = b""
    for tag, value in entries:
        if tag in (258, 339) and channels > 2:
            fields += struct.pack("<HHII", tag, 3, channels, values)
            values += 2 * channels
        else:
            fields += struct.pack("<HHII", tag, 4, 1, value)
    tail = struct.pack(f"<{channels}H", *[depth] * channels)
    tail += struct.pack(f"<{channels}H", *[sample_format] * channels)
    head = b"II*\0" + struct.pack("<I", directory)
    return head + pixels + struct.pack("<H", len(entries)) + fields + bytes(4) + tail


def encoded(data: bytes, form: str, **options) -> bytes:
    """The same image in another form."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").save(buffer, form, **options)
    return buffer.getvalue()


def jpeg_frame(data: bytes, precision: int = 8, height: int | None = None) -> bytes:
    """A JPEG whose frame header says something else."""
    data = encoded(data, "JPEG")
    place = data.index(b"\xff\xc0") + 4
    old = struct.unpack_from(">BH", data, place)
    new = struct.pack(">BH", precision, old[1] if height is None else height)
    return data[:place] + new + data[place + 3 :]


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def _png_without(kind: bytes) -> bytes:
    data = png(8, 2)
    start = data.index(kind) - 4
    length = struct.unpack_from(">I", data, start)[0] + 12
    return data[:start] + data[start + length :]


def _zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("0001.jpg", data)
    return buffer.getvalue()


def _array_file(data: bytes) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(Image.open(io.BytesIO(data))))
    return buffer.getvalue()


_HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"
_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"  # not fetched
)

# By name: what becomes of the good bytes, and what the message says.
BAD_IMAGES: Mapping[str, tuple[Callable[[bytes], bytes], str]] = {
    # Cut off, or never filled.
    "empty": (lambda data: b"", "found an empty file, expected a readable image"),
    "one byte": (lambda data: data[:1], NO_IMAGE),
    "16 bytes": (lambda data: data[:16], READABLE),
    "first tenth": (lambda data: data[: len(data) // 10], READABLE),
    "first quarter": (lambda data: data[: len(data) // 4], READABLE),
    "first half": (lambda data: data[: len(data) // 2], READABLE),
    "three quarters": (lambda data: data[: 3 * len(data) // 4], READABLE),
    "all but 40 bytes": (lambda data: data[:-40], READABLE),
    "zero bytes": (lambda data: bytes(len(data)), NO_IMAGE),
    "cut off JPEG": (lambda data: encoded(data, "JPEG")[:-30], READABLE),
    "cut off progressive JPEG": (
        lambda data: encoded(data, "JPEG", progressive=True)[:-9],
        READABLE,
    ),
    "cut off PNG": (lambda data: encoded(data, "PNG")[:-30], READABLE),
    "cut off BMP": (lambda data: encoded(data, "BMP")[:-9], READABLE),
    "cut off TIFF": (lambda data: encoded(data, "TIFF")[:-20], READABLE),
    "cut off LZW TIFF": (
        lambda data: encoded(data, "TIFF", compression="tiff_lzw")[:-99],
        READABLE,
    ),
    "cut off WebP": (lambda data: encoded(data, "WEBP")[:-9], READABLE),
    "cut off GIF": (lambda data: encoded(data, "GIF")[:-9], READABLE),
    "cut off PPM": (lambda data: encoded(data, "PPM")[:-1], READABLE),
    # Changed on the way.
    "first byte flipped": (lambda data: _flipped(data, 0), NO_IMAGE),
    "second byte flipped": (lambda data: _flipped(data, 1), NO_IMAGE),
    "a byte too many in front": (lambda data: b"\n" + data, NO_IMAGE),
    "first byte missing": (lambda data: data[1:], NO_IMAGE),
    "PNG sent as text": (
        lambda data: encoded(data, "PNG").replace(b"\r\n", b"\n"),
        NO_IMAGE,
    ),
    "seven bits a byte": (
        lambda data: bytes(byte & 0x7F for byte in encoded(data, "JPEG")),
        NO_IMAGE,
    ),
    "PNG header with a wrong checksum": (
        lambda data: _flipped(png(8, 2), 19),
        READABLE,
    ),
    "PNG pixels with a wrong checksum": (lambda data: _flipped(png(8, 2), -17), READABLE),
    "PNG pixels that do not inflate": (
        lambda data: png(8, 2).replace(zlib.compress(b"")[:2], b"\xff\xff", 1),
        READABLE,
    ),
    "PNG without pixels": (lambda data: _png_without(b"IDAT"), READABLE),
    "PNG without a header": (lambda data: _png_without(b"IHDR"), READABLE),
    "JPEG without pixels": (lambda data: b"\xff\xd8\xff\xd9", READABLE),
    "JPEG of 12 bits": (lambda data: jpeg_frame(data, precision=12), READABLE),
    "JPEG without rows": (lambda data: jpeg_frame(data, height=0), READABLE),
    # Sizes.
    "PNG of no width": (lambda data: png(8, 2, (0, 48)), READABLE),
    "PNG of ten billion pixels": (
        lambda data: png(8, 2, (100_000, 100_000), b""),
        "found .*pixels",
    ),
    "PNG of a hundred million pixels": (
        lambda data: png(8, 2, (10_000, 10_000), b""),
        "found 10000x10000 pixels, expected at most",
    ),
    # Pixels that 8 bits do not hold.
    "PNG of 16-bit grey": (lambda data: png(16, 0), DEEP),
    "PNG of 16-bit grey and alpha": (lambda data: png(16, 4), DEEP),
    "PNG of 16-bit colour": (lambda data: png(16, 2), DEEP),
    "PNG of 16-bit colour and alpha": (lambda data: png(16, 6), DEEP),
    "TIFF of 16-bit grey": (lambda data: tiff(16, 1), DEEP),
    "TIFF of 16-bit colour": (lambda data: tiff(16, 3), DEEP),
    "TIFF of 32-bit integers": (lambda data: tiff(32, 1, 2), DEEP),
    "TIFF of 32-bit floats": (lambda data: tiff(32, 1, 3), DEEP),
    "PGM of 16 bits": (lambda data: b"P5 2 2 65535\n" + bytes(8), DEEP),
    "PPM of 16 bits": (lambda data: b"P6 2 2 65535\n" + bytes(24), DEEP),
    "PPM of 10 bits as text": (lambda data: b"P3 1 1 1023\n9 9 9\n", DEEP),
    "PFM": (lambda data: b"Pf\n2 2\n-1.0\n" + bytes(16), DEEP),
    # Something else under an image's name.
    "HTML page": (lambda data: _HTML, NO_IMAGE),
    "pointer of Git LFS": (lambda data: _POINTER, NO_IMAGE),
    "JSON": (lambda data: json.dumps({"error": "quota exceeded"}).encode(), NO_IMAGE),
    "text in UTF-16": (lambda data: "keine Bilddatei".encode("utf-16"), NO_IMAGE),
    "gzip": (gzip.compress, NO_IMAGE),
    "zip": (_zipped, NO_IMAGE),
    "NumPy array": (_array_file, NO_IMAGE),
    "SVG": (
        lambda data: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        NO_IMAGE,
    ),
    "PDF": (lambda data: b"%PDF-1.4\n1 0 obj\n", NO_IMAGE),
    "PostScript": (
        lambda data: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        NO_IMAGE,
    ),
    "JPEG 2000": (lambda data: encoded(data, "JPEG2000"), NO_IMAGE),
    "film": (lambda data: b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99), NO_IMAGE),
}
