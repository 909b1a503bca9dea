"""Uploads that nobody should send: broken, huge, disguised; and pictures that are odd, or oddly named."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageSequence

_RNG = np.random.default_rng(0)
PICTURE = Image.fromarray(_RNG.integers(256, size=(24, 12, 3), dtype=np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = b"".join([header, *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b"")])
    return b"\x89PNG\r\n\x1a\n" + data


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return buffer.getvalue()


def refused() -> Iterator[tuple[str, bytes, bytes]]:
    """(what it is, name, content) of what must be answered by a message."""
    good = saved(PICTURE, "PNG")
    zeros = zlib.compress(bytes(10**6))
    yield "empty", b"a.png", b""
    yield "no image", b"a.png", b"hello"
    yield "zeros", b"a.png", bytes(1000)
    yield "noise", b"a.jpg", _RNG.bytes(5000)
    yield "a text", b"a.txt", "Ärger".encode() * 100
    yield (
        "SVG",
        b"a.svg",
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    )
    yield "SVG called PNG", b"a.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    yield "HTML called PNG", b"a.png", b"<html><script>alert(1)</script></html>"
    yield "zip", b"a.zip", zipped("a.png", good)
    yield "zip bomb", b"a.png", zipped("a", bytes(10**7))
    yield "PDF", b"a.pdf", b"%PDF-1.4\n" + bytes(500)
    yield "EPS", b"a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
    yield "ELF", b"a.png", b"\x7fELF" + bytes(500)
    yield "signature alone", b"a.png", good[:8]
    yield "cut in the header", b"a.png", good[:20]
    yield "cut PNG", b"a.png", good[: len(good) // 2]
    yield "cut JPEG", b"a.jpg", saved(PICTURE.resize((300, 300)), "JPEG")[:2000]
    yield "bomb by header", b"a.png", png(60_000, 60_000, zeros)
    yield "wide bomb", b"a.png", png(2**31 - 1, 1, zeros)
    yield "just too many pixels", b"a.png", png(5001, 5000, zeros)
    yield "no pixels", b"a.png", png(0, 0, zeros)
    yield (
        "text bomb",
        b"a.png",
        png(9, 9, zeros, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))),
    )
    yield "GIF bomb", b"a.gif", b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(50)
    yield "BMP bomb", b"a.bmp", _bmp(40_000, 40_000)
    yield "WebP bomb", b"a.webp", b"RIFF\x20\0\0\0WEBPVP8X\n\0\0\0" + bytes(4) + b"\xff" * 6
    yield "16 bits", b"a.png", saved(Image.fromarray(np.arange(99, dtype=np.uint16)[None]), "PNG")
    yield "floats", b"a.tif", saved(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF")
    yield "too large", b"a.png", good + bytes(10_000_001)
    yield "much too large", b"a.png", bytes(20_000_000)


def answered() -> Iterator[tuple[str, bytes, bytes]]:
    """Likewise of what is a picture."""
    good = saved(PICTURE, "PNG")
    yield "path", b"../../x.png", good
    yield "absolute path", b"/etc/passwd", good
    yield "Windows path", b"C:\\x\\..\\y.png", good
    yield "long name", b"a" * 3000 + b".png", good
    yield "other script", "人 ünï.png".encode(), good
    yield "right to left", "\u202egnp.exe".encode(), good
    yield "zero in the name", b"a\0.png", good
    yield "no UTF-8 in the name", b"\xff\xfe.png", good
    yield "HTML in the name", b"<img src=x onerror=alert(1)>.png", good
    yield "no ending", b"picture", good
    yield "wrong ending", b"a.html", good
    yield "animated GIF", b"a.gif", _frames("GIF")
    yield "TIFF of pages", b"a.tif", _frames("TIFF")
    yield "CMYK", b"a.jpg", saved(PICTURE.convert("CMYK"), "JPEG")
    yield "grey", b"a.png", saved(PICTURE.convert("L"), "PNG")
    yield "one bit", b"a.png", saved(PICTURE.convert("1"), "PNG")
    yield "transparent", b"a.png", saved(PICTURE.convert("RGBA"), "PNG")
    yield "palette with transparency", b"a.gif", saved(PICTURE.convert("P"), "GIF", transparency=0)
    yield "WebP", b"a.webp", saved(PICTURE, "WEBP")
    yield "image and zip", b"a.png", good + zipped("a", b"a")
    yield "image and HTML", b"a.png", good + b"<script>alert(1)</script>"
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "turned", b"a.jpg", saved(PICTURE, "JPEG", exif=exif)
    yield "one pixel", b"a.png", saved(PICTURE.resize((1, 1)), "PNG")
    yield "many pixels", b"a.png", saved(Image.new("1", (5000, 4999)), "PNG")


def _frames(kind: str) -> bytes:
    frames = [PICTURE, PICTURE.rotate(180), PICTURE.rotate(90)]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    assert len(list(ImageSequence.Iterator(Image.open(io.BytesIO(data))))) == 3
    return data


def _bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 154, 0, 0, 54) + info + bytes(100)
