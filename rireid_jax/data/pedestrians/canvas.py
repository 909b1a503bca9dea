"""Drawing in body heights instead of pixels, on an image and on its mask at once."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from rireid_jax.data.pedestrians.identity import Colour, Pattern

Point = tuple[float, float]
_SHADE = (8, 8, 20)


class Canvas:
    """An image and a mask of the same size, drawn on together.

    `mask_value` is what shapes leave in the mask: 255 for a part of the person, 0 for what stands
    before the person, None for what leaves the mask as it is.
    """

    def __init__(self, image: Image.Image, mask: Image.Image, origin: Point, scale: float):
        """Puts the origin at `origin` (x, y in pixels), with `scale` pixels to the unit."""
        self._image, self._mask = image, mask
        self._draw = ImageDraw.Draw(image, "RGBA")
        self._draw_mask = ImageDraw.Draw(mask)
        self._origin = origin
        self._scale = scale
        self.mask_value: int | None = None

    def moved(self, dx: float, dy: float, scale: float) -> "Canvas":
        """The same image with the origin moved by `(dx, dy)` and the unit `scale` as long."""
        x, y = self._origin
        origin = (x + dx * self._scale, y - dy * self._scale)
        return Canvas(self._image, self._mask, origin, scale * self._scale)

    def polygon(self, points: Sequence[Point], colour: tuple[int, ...]) -> None:
        """Fills a polygon; a fourth value of the colour is its opacity."""
        pixels = self._pixels(points)
        self._draw.polygon(pixels, fill=colour)
        if self.mask_value is not None:
            self._draw_mask.polygon(pixels, fill=self.mask_value)

    def ellipse(self, centre: Point, rx: float, ry: float, colour: tuple[int, ...]) -> None:
        """Fills an axis-aligned ellipse with half axes `rx` and `ry`."""
        x, y = centre
        box = self._pixels([(x - rx, y + ry), (x + rx, y - ry)])
        self._draw.ellipse(box, fill=colour)
        if self.mask_value is not None:
            self._draw_mask.ellipse(box, fill=self.mask_value)

    def darken(self, points: Sequence[Point], strength: float) -> None:
        """Puts a polygon in the shade; the mask stays as it is."""
        self._draw.polygon(self._pixels(points), fill=(*_SHADE, int(255 * strength)))

    def _pixels(self, points: Sequence[Point]) -> list[Point]:
        (x0, y0), scale = self._origin, self._scale
        return [(x0 + scale * x, y0 - scale * y) for x, y in points]


class Tube:
    """A part of the body or a piece of cloth: a straight axis and a width that varies along it.

    Its surface has coordinates `u` in [-1, 1] across and `v` in units along the axis.
    """

    def __init__(self, start: Point, end: Point, widths: Sequence[tuple[float, float]]):
        """`widths` lists (position along the axis in [0, 1], half width in units)."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        self.length = max(float(np.hypot(dx, dy)), 1e-6)
        self._start = start
        self._along = (dx / self.length, dy / self.length)
        self._knots = [(at * self.length, half) for at, half in widths]

    def half_width(self, v: float) -> float:
        """Half the width at `v`, linear between the knots."""
        (v0, w0), *rest = self._knots
        for v1, w1 in rest:
            if v <= v1:
                return w0 + (w1 - w0) * (v - v0) / max(v1 - v0, 1e-9)
            v0, w0 = v1, w1
        return w0

    def at(self, u: float, v: float) -> Point:
        """The point of the surface with coordinates `u` and `v`."""
        across = u * self.half_width(v)
        (x, y), (ax, ay) = self._start, self._along
        # Positive u is to the right of a tube that hangs down.
        return x + ax * v - ay * across, y + ay * v + ax * across

    def patch(self, u0: float, u1: float, v0: float, v1: float) -> list[Point]:
        """The polygon of the surface between two `u` and two `v`."""
        rows = [v0, *(v for v, _ in self._knots if v0 < v < v1), v1]
        return [self.at(u0, v) for v in rows] + [self.at(u1, v) for v in reversed(rows)]

    def outline(self) -> list[Point]:
        """The polygon of the whole tube."""
        return self.patch(-1.0, 1.0, 0.0, self.length)


def draw_cloth(canvas: Canvas, tube: Tube, pattern: Pattern, turn: float = 0.0) -> None:
    """Covers a tube with patterned cloth.

    Args:
        canvas: Where to draw.
        tube: The part of the body.
        pattern: The cloth.
        turn: By how much of the half width the pattern is shifted across: the body has turned.
    """
    canvas.polygon(tube.outline(), pattern.ground)
    period, share, length = pattern.period, pattern.share, tube.length
    rows = np.arange(0.35 * period, length, period)
    half = tube.half_width(0.5 * length)
    step = period / half
    columns = np.arange(-1 - step + (turn + 1.5 * share * step) % step, 1.0, step)
    opacity = 140 if pattern.kind == "checks" else 255
    if pattern.kind in ("stripes", "checks"):
        for v in rows:
            end = min(v + share * period, length)
            canvas.polygon(tube.patch(-1.0, 1.0, v, end), (*pattern.figure, opacity))
    if pattern.kind in ("pinstripes", "checks"):
        for u in columns:
            left, right = max(u, -1.0), min(u + share * step, 1.0)
            if left < right:
                canvas.polygon(tube.patch(left, right, 0.0, length), (*pattern.figure, opacity))
    if pattern.kind == "dots":
        radius = period * np.sqrt(share / np.pi)
        for row, v in enumerate(rows):
            for u in columns + 0.5 * step * (row % 2):
                if abs(u) * half < half - radius and radius < v < length - radius:
                    canvas.ellipse(tube.at(u, v), radius, radius, pattern.figure)
    if pattern.kind == "band" and length > 0.2:
        band = tube.patch(-1.0, 1.0, 0.36 * length, (0.36 + share) * length)
        canvas.polygon(band, pattern.figure)


def draw_shade(canvas: Canvas, tube: Tube, light_side: int, strength: float) -> None:
    """Darkens the side of a tube that is turned away from the light (`light_side` -1 or 1)."""
    for inner, part in ((0.2, 0.45), (0.6, 0.55)):
        u0, u1 = (-1.0, -inner) if light_side > 0 else (inner, 1.0)
        canvas.darken(tube.patch(u0, u1, 0.0, tube.length), strength * part)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with a `share` of `other` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue
