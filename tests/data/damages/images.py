"""Images as networks, disks and other programs damage them, and files that never were images."""

import gzip
import io
import struct
import zlib
from collections.abc import Callable

from PIL import Image

from rireid_jax.data.records import IMAGE_FORMATS

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
    width, height = _SIZE
    colours = 2 if channels > 1 else 1
    entries = {256: width, 257: height, 258: depth, 259: 1, 262: colours, 273: 8}
    entries |= {277: channels, 278: height, 279: len(pixels), 339: sample_format}
    directory = 8 + len(pixels)
    values = directory + 2 + 12 * len(entries) + 4  # where bits per sample and formats lie
    fields = b""
    for tag, value in entries.items():
        if tag in (258, 339) and channels > 2:
            fields += struct.pack("<HHII", tag, 3, channels, values)
            values += 2 * channels
        else:
            fields += struct.pack("<HHII", tag, 4, 1, value)
    tail = struct.pack(f"<{channels}H", *[depth] * channels)
    tail += struct.pack(f"<{channels}H", *[sample_format] * channels)
    head = b"II*\0" + struct.pack("<I", directory)
    return head + pixels + struct.pack("<H", len(entries)) + fields + bytes(4) + tail


def encoded(data: bytes, form: str, mode: str = "RGB", **options) -> bytes:
    """The same image in another form; black if it is in Lab, to which Pillow does not convert."""
    buffer = io.BytesIO()
    image = Image.open(io.BytesIO(data))
    converted = Image.new("LAB", image.size) if mode == "LAB" else image.convert(mode)
    converted.save(buffer, form, **options)
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


def _ten_bits(data: bytes) -> bytes:
    """An AVIF whose header tells of 10 bits a channel, which Pillow does not write."""
    image = bytearray(encoded(data, "AVIF"))
    image[image.index(b"av1C") + 6] |= 0x40  # high_bitdepth
    depths = image.index(b"pixi") + 9
    image[depths : depths + 3] = bytes([10] * 3)
    return bytes(image)


# By the message: by name, what becomes of the good bytes.
BAD_IMAGES: dict[str, dict[str, Callable[[bytes], bytes]]] = {
    "found an empty file, expected a readable image": {"empty": lambda data: b""},
    READABLE: {
        "16 bytes": lambda data: data[:16],
        "first half": lambda data: data[: len(data) // 2],
        "all but 40 bytes": lambda data: data[:-40],
        "cut off progressive JPEG": lambda data: encoded(data, "JPEG", progressive=True)[:-9],
        "cut off PNG": lambda data: encoded(data, "PNG")[:-30],
        "cut off BMP": lambda data: encoded(data, "BMP")[:-9],
        "cut off TIFF": lambda data: encoded(data, "TIFF")[:-20],
        "cut off LZW TIFF": lambda data: encoded(data, "TIFF", compression="tiff_lzw")[:-99],
        "cut off WebP": lambda data: encoded(data, "WEBP")[:-9],
        "cut off GIF": lambda data: encoded(data, "GIF")[:-9],
        "cut off PPM": lambda data: encoded(data, "PPM")[:-1],
        "PNG header with a wrong checksum": lambda data: _flipped(png(8, 2), 19),
        "PNG pixels with a wrong checksum": lambda data: _flipped(png(8, 2), -17),
        "PNG pixels that do not inflate": lambda data: png(8, 2).replace(b"\x78\x9c", b"\xff\xff"),
        "PNG without pixels": lambda data: _png_without(b"IDAT"),
        "PNG without a header": lambda data: _png_without(b"IHDR"),
        "JPEG without pixels": lambda data: b"\xff\xd8\xff\xd9",
        "JPEG of 12 bits": lambda data: jpeg_frame(data, precision=12),
        "JPEG without rows": lambda data: jpeg_frame(data, height=0),
        "PNG of no width": lambda data: png(8, 2, (0, 48)),
    },
    "found .*pixels": {"ten billion pixels": lambda data: png(8, 2, (100_000, 100_000), b"")},
    "found 10000x10000 pixels, expected at most": {
        "a hundred million pixels": lambda data: png(8, 2, (10_000, 10_000), b""),
    },
    DEEP: {
        "PNG of 16-bit grey": lambda data: png(16, 0),
        "PNG of 16-bit grey and alpha": lambda data: png(16, 4),
        "PNG of 16-bit colour": lambda data: png(16, 2),
        "PNG of 16-bit colour and alpha": lambda data: png(16, 6),
        "TIFF of 16-bit grey": lambda data: tiff(16, 1),
        "TIFF of 16-bit colour": lambda data: tiff(16, 3),
        "TIFF of 32-bit integers": lambda data: tiff(32, 1, 2),
        "TIFF of 32-bit floats": lambda data: tiff(32, 1, 3),
        "PGM of 16 bits": lambda data: b"P5 2 2 65535\n" + bytes(8),
        "PPM of 16 bits": lambda data: b"P6 2 2 65535\n" + bytes(24),
        "PPM of 10 bits as text": lambda data: b"P3 1 1 1023\n9 9 9\n",
        "PFM": lambda data: b"Pf\n2 2\n-1.0\n" + bytes(16),
    },
    NO_IMAGE: {
        "one byte": lambda data: data[:1],
        "zero bytes": lambda data: bytes(len(data)),
        "first byte flipped": lambda data: _flipped(data, 0),
        "a byte too many in front": lambda data: b"\n" + data,
        "PNG sent as text": lambda data: encoded(data, "PNG").replace(b"\r\n", b"\n"),
        "seven bits a byte": lambda data: bytes(b & 0x7F for b in encoded(data, "JPEG")),
        "HTML page": lambda data: b"<!DOCTYPE html>\n<html><title>404 Not Found</title></html>\n",
        "pointer of Git LFS": lambda data: b"version https://git-lfs.github.com/spec/v1\nsize 1\n",
        "JSON": lambda data: b'{"error": "quota exceeded"}',
        "text in UTF-16": lambda data: "keine Bilddatei".encode("utf-16"),
        "gzip": gzip.compress,
        "zip": lambda data: b"PK\x03\x04\x14\0\0\0" + data,
        "NumPy array": lambda data: b"\x93NUMPY\x01\0v\0{'descr': '|u1'}" + data,
        "SVG": lambda data: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "PDF": lambda data: b"%PDF-1.4\n1 0 obj\n",
        "PostScript": lambda data: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "JPEG 2000": lambda data: encoded(data, "JPEG2000"),
        "film": lambda data: b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99),
    },
}

if "AVIF" in IMAGE_FORMATS:
    BAD_IMAGES[DEEP]["AVIF of 10 bits"] = _ten_bits

# Images that other programs save, with what is unusual but readable.
_ROTATED = Image.Exif()
_ROTATED[0x0112] = 6
HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "grey JPEG": lambda data: encoded(data, "JPEG", "L"),
    "CMYK JPEG": lambda data: encoded(data, "JPEG", "CMYK"),
    "rotated JPEG": lambda data: encoded(data, "JPEG", exif=_ROTATED),
    "palette PNG": lambda data: encoded(data, "PNG", "P"),
    "PNG with alpha": lambda data: encoded(data, "PNG", "RGBA"),
    "grey PNG with alpha": lambda data: encoded(data, "PNG", "LA"),
    "PNG of one bit": lambda data: encoded(data, "PNG", "1"),
    "TIFF in Lab": lambda data: encoded(data, "TIFF", "LAB"),
    "WebP": lambda data: encoded(data, "WEBP"),
    "GIF": lambda data: encoded(data, "GIF", "P"),
    "more behind the end": lambda data: data + bytes(99),
    "PNG without its end": lambda data: encoded(data, "PNG")[:-12],
}
