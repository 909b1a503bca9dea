"""The street behind the person: walls, ground and what stands about."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from rireid_jax.data.keyed_random import keyed_rng
from rireid_jax.data.pedestrians.camera import sample_camera
from rireid_jax.data.pedestrians.canvas import mix
from rireid_jax.data.pedestrians.identity import Colour

SUPERSAMPLING = 4


def frame_unit(size: tuple[int, int]) -> float:
    """Pixels of the large canvas to a frame height, for a frame of `size` (height, width)."""
    height, width = size
    return SUPERSAMPLING * float(min(height, 2 * width))


# One entry for each camera and size in use; 16 of 64x32 pixels take 8 MB.
@lru_cache(maxsize=16)
def street(seed: int, camera: int, size: tuple[int, int]) -> Image.Image:
    """The street before a camera, larger than a frame: a frame is cut from it at any place.

    Args:
        seed: Seed of the data set.
        camera: Number of the camera.
        size: Height and width of a frame in pixels.

    Returns:
        An RGB image, `SUPERSAMPLING` times as fine as the frame. Its middle row is the middle of
        the frame.
    """
    look = sample_camera(seed, camera)
    unit = frame_unit(size)
    frame_height, frame_width = (SUPERSAMPLING * side / unit for side in size)
    width, height = max(2.0, frame_width + 1.0), frame_height + 0.2
    image = Image.new("RGB", (round(width * unit), round(height * unit)), look.ground_colour)
    scene = _Scene(image, unit, keyed_rng(seed, "street", camera))
    horizon = height / 2 + look.horizon
    scene.walls[look.wall](horizon, look.wall_colour)
    scene.grounds[look.ground](horizon, look.ground_colour)
    scene.kerb(horizon)
    scene.furniture(horizon)
    grain = keyed_rng(seed, "grain", camera)
    return scene.with_grain(grain)


class _Scene:
    """Draws the parts of a street; lengths are in frame heights, y goes down from the top."""

    def __init__(self, image: Image.Image, unit: float, rng: np.random.Generator):
        self.image = image
        self.unit = unit
        self.rng = rng
        self.width, self.height = image.width / unit, image.height / unit
        self.draw = ImageDraw.Draw(image, "RGBA")
        self.walls = {
            "brick": self.brick,
            "shops": self.shops,
            "concrete": self.concrete,
            "hedge": self.hedge,
            "office": self.office,
        }
        self.grounds = {
            "asphalt": self.asphalt,
            "paving": self.paving,
            "grass": self.grass,
            "tiles": self.tiles,
        }

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: tuple[int, ...]) -> None:
        if x1 > x0 and y1 > y0:
            unit = self.unit
            self.draw.rectangle((x0 * unit, y0 * unit, x1 * unit, y1 * unit), fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: tuple[int, ...]) -> None:
        unit = self.unit
        box = ((x - radius) * unit, (y - radius) * unit, (x + radius) * unit, (y + radius) * unit)
        self.draw.ellipse(box, fill=colour)

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: tuple[int, ...]) -> None:
        unit = self.unit
        ends = (x0 * unit, y0 * unit, x1 * unit, y1 * unit)
        self.draw.line(ends, fill=colour, width=max(1, round(0.008 * unit)))

    def vary(self, colour: Colour, deviation: float) -> Colour:
        shift = self.rng.normal(0.0, deviation)
        red, green, blue = (int(np.clip(value + shift, 0, 255)) for value in colour)
        return red, green, blue

    def brick(self, horizon: float, colour: Colour) -> None:
        self.box(0.0, 0.0, self.width, horizon, mix(colour, (205, 198, 188), 0.4))
        for row, y in enumerate(np.arange(0.0, horizon, 0.045)):
            for x in np.arange(-0.1 + 0.06 * (row % 2), self.width, 0.12):
                end = min(y + 0.037, horizon)
                self.box(x, y, x + 0.11, end, self.vary(colour, 9.0))
        for x in np.arange(self.rng.uniform(0.1, 0.4), self.width, 0.7):
            self._window(x, 0.05, x + 0.26, 0.4)

    def shops(self, horizon: float, colour: Colour) -> None:
        self.box(0.0, 0.0, self.width, horizon, colour)
        for x in np.arange(-0.2, self.width, 0.55):
            sign = self.vary((130, 110, 110), 45.0)
            red, green, blue = self.rng.permutation(np.array(sign) + np.array([40, -20, -35]))
            sign = (
                int(np.clip(red, 0, 255)),
                int(np.clip(green, 0, 255)),
                int(np.clip(blue, 0, 255)),
            )
            self.box(x + 0.02, 0.1, x + 0.5, 0.2, sign)
            for letter in range(6):
                start = x + 0.08 + 0.06 * letter
                self.box(
                    start, 0.125, start + self.rng.uniform(0.02, 0.045), 0.175, (238, 232, 215)
                )
            self._window(x + 0.03, 0.24, x + 0.34, horizon - 0.08)
            door = self.vary((90, 76, 66), 20.0)
            self.box(x + 0.37, 0.24, x + 0.49, horizon, door)
            self.box(x + 0.39, 0.28, x + 0.47, horizon - 0.2, self.vary((96, 108, 118), 10.0))

    def concrete(self, horizon: float, colour: Colour) -> None:
        self.box(0.0, 0.0, self.width, horizon, colour)
        for x in np.arange(0.0, self.width, 0.4):
            self.box(x, 0.0, x + 0.4, horizon, self.vary(colour, 5.0))
            self.line(x, 0.0, x, horizon, mix(colour, (0, 0, 0), 0.3))
            if self.rng.random() < 0.5:
                left, top = x + self.rng.uniform(0.05, 0.15), self.rng.uniform(0.15, 0.3)
                poster = self.vary((150, 140, 130), 45.0)
                self.box(left, top, left + 0.17, top + 0.24, (232, 230, 224))
                self.box(left + 0.015, top + 0.015, left + 0.155, top + 0.15, poster)
        self.line(0.0, 0.45 * horizon, self.width, 0.45 * horizon, mix(colour, (0, 0, 0), 0.22))

    def hedge(self, horizon: float, colour: Colour) -> None:
        self.box(0.0, 0.0, self.width, horizon, mix(colour, (186, 206, 226), 0.75))
        for x in np.arange(0.1, self.width, 0.45):
            trunk = x + self.rng.uniform(-0.08, 0.08)
            self.box(trunk, 0.1, trunk + 0.05, horizon, self.vary((92, 76, 62), 8.0))
            for _ in range(14):
                leaves = self.vary(colour, 14.0)
                x_leaf, y_leaf = trunk + self.rng.normal(0, 0.14), self.rng.uniform(-0.05, 0.25)
                self.disc(x_leaf, y_leaf, self.rng.uniform(0.05, 0.1), leaves)
        for x in np.arange(0.0, self.width, 0.05):
            for depth in (0.2, 0.12, 0.04):
                y = horizon - depth + self.rng.normal(0, 0.02)
                leaves = mix(colour, (0, 0, 0), 0.9 * (0.25 - depth))
                self.disc(x, y, 0.055, self.vary(leaves, 11.0))

    def office(self, horizon: float, colour: Colour) -> None:
        self.box(0.0, 0.0, self.width, horizon, mix(colour, (225, 225, 225), 0.45))
        for y in np.arange(0.02, horizon - 0.1, 0.2):
            for x in np.arange(0.01, self.width, 0.16):
                pane = self.vary(colour, 14.0)
                end = min(y + 0.17, horizon - 0.06)
                self.box(x, y, x + 0.14, end, pane)
                self.box(x, y, x + 0.14, min(y + 0.05, end), mix(pane, (240, 245, 250), 0.25))

    def _window(self, x0: float, y0: float, x1: float, y1: float) -> None:
        self.box(x0, y0, x1, y1, (214, 210, 202))
        glass = self.vary((70, 82, 94), 12.0)
        self.box(x0 + 0.012, y0 + 0.012, x1 - 0.012, y1 - 0.012, glass)
        for _ in range(3):
            x, y = self.rng.uniform(x0, x1), self.rng.uniform(y0, y1)
            size = self.rng.uniform(0.03, 0.1)
            goods = self.vary((140, 130, 120), 40.0)
            corner = min(x + size, x1 - 0.012), min(y + size, y1 - 0.012)
            self.box(max(x, x0 + 0.012), max(y, y0 + 0.012), *corner, goods)
        self.line((x0 + x1) / 2, y0, (x0 + x1) / 2, y1, (196, 192, 186))

    def asphalt(self, horizon: float, colour: Colour) -> None:
        self.box(0.0, horizon, self.width, self.height, colour)
        for _ in range(12):
            x, y = self.rng.uniform(0, self.width), self.rng.uniform(horizon, self.height)
            self.box(x, y, x + self.rng.uniform(0.1, 0.5), y + 0.03, self.vary(colour, 6.0))
        for x in np.arange(self.rng.uniform(0, 0.5), self.width, 0.7):
            y = horizon + 0.45 * (self.height - horizon)
            self.box(x, y, x + 0.36, y + 0.02, (206, 204, 190))

    def paving(self, horizon: float, colour: Colour) -> None:
        self._slabs(horizon, colour, rows=0.07, columns=0.2, deviation=6.0)

    def tiles(self, horizon: float, colour: Colour) -> None:
        self._slabs(horizon, colour, rows=0.1, columns=0.1, deviation=12.0)

    def grass(self, horizon: float, colour: Colour) -> None:
        self.box(0.0, horizon, self.width, self.height, colour)
        for _ in range(160):
            x, y = self.rng.uniform(0, self.width), self.rng.uniform(horizon, self.height)
            self.disc(x, y, 0.012, self.vary(colour, 14.0))
        path = horizon + 0.3 * (self.height - horizon)
        self.box(0.0, path, self.width, path + 0.35 * (self.height - horizon), (172, 158, 134))

    def _slabs(
        self, horizon: float, colour: Colour, rows: float, columns: float, deviation: float
    ) -> None:
        y, row = horizon, 0
        while y < self.height:
            # Rows grow towards the viewer.
            depth = rows * (0.5 + (y - horizon) / 0.5)
            for x in np.arange(-0.5 * columns * (row % 2), self.width, columns):
                self.box(x, y, x + columns, y + depth, self.vary(colour, deviation))
                self.line(x, y, x, y + depth, mix(colour, (0, 0, 0), 0.2))
            self.line(0.0, y, self.width, y, mix(colour, (0, 0, 0), 0.2))
            y, row = y + depth, row + 1

    def kerb(self, horizon: float) -> None:
        self.box(0.0, horizon - 0.012, self.width, horizon + 0.012, (128, 126, 122))
        self.box(0.0, horizon + 0.012, self.width, horizon + 0.035, (0, 0, 0, 50))

    def furniture(self, horizon: float) -> None:
        """Lamp posts, bins, cars, bicycles and benches along the wall."""
        pieces = (self._post, self._bin, self._car, self._bicycle, self._bench)
        for slot in range(5):
            x = self.width * (slot + self.rng.uniform(0.1, 0.8)) / 5
            piece = pieces[int(self.rng.integers(len(pieces)))]
            piece(x, horizon + self.rng.uniform(0.02, 0.1))

    def _post(self, x: float, y: float) -> None:
        grey = self.vary((86, 88, 92), 12.0)
        self.box(x, 0.0, x + 0.025, y, grey)
        self.box(x + 0.016, 0.0, x + 0.025, y, (0, 0, 0, 60))
        self.box(x - 0.07, 0.2, x + 0.095, 0.31, self.vary((60, 90, 150), 25.0))

    def _bin(self, x: float, y: float) -> None:
        colour = self.vary((58, 84, 68), 18.0)
        self.box(x, y - 0.22, x + 0.12, y, colour)
        self.box(x - 0.01, y - 0.24, x + 0.13, y - 0.2, mix(colour, (0, 0, 0), 0.35))

    def _car(self, x: float, y: float) -> None:
        paint = ((150, 40, 42), (206, 206, 208), (46, 56, 80), (70, 72, 76))[self.rng.integers(4)]
        self.box(x + 0.1, y - 0.33, x + 0.5, y - 0.18, mix(paint, (0, 0, 0), 0.15))
        self.box(x + 0.13, y - 0.31, x + 0.29, y - 0.19, (70, 84, 96))
        self.box(x + 0.31, y - 0.31, x + 0.47, y - 0.19, (70, 84, 96))
        self.box(x, y - 0.19, x + 0.62, y - 0.05, paint)
        for wheel in (0.13, 0.48):
            self.disc(x + wheel, y - 0.05, 0.06, (34, 34, 36))
            self.disc(x + wheel, y - 0.05, 0.028, (140, 140, 142))

    def _bicycle(self, x: float, y: float) -> None:
        frame = self.vary((120, 70, 70), 40.0)
        for wheel in (0.08, 0.34):
            self.disc(x + wheel, y - 0.09, 0.085, (40, 40, 42, 255))
            self.disc(x + wheel, y - 0.09, 0.072, (150, 150, 148, 255))
        corners = ((0.08, 0.09), (0.16, 0.22), (0.3, 0.22), (0.34, 0.09), (0.3, 0.22), (0.2, 0.09))
        for (xa, ya), (xb, yb) in pairwise(corners):
            self.line(x + xa, y - ya, x + xb, y - yb, frame)
        self.line(x + 0.28, y - 0.27, x + 0.35, y - 0.27, (40, 40, 40))

    def _bench(self, x: float, y: float) -> None:
        wood = self.vary((128, 92, 62), 12.0)
        for slat in (0.24, 0.19, 0.12):
            self.box(x, y - slat, x + 0.4, y - slat + 0.03, wood)
        self.box(x + 0.03, y - 0.12, x + 0.05, y, (50, 50, 52))
        self.box(x + 0.35, y - 0.12, x + 0.37, y, (50, 50, 52))

    def with_grain(self, rng: np.random.Generator) -> Image.Image:
        """Adds stains and a gradient of light, of the kind no flat colour has."""
        rows, columns = round(self.height * 8), round(self.width * 8)
        fields = np.zeros((self.image.height, self.image.width), np.float32)
        for octave, strength in ((1, 5.0), (2, 4.0), (4, 3.5)):
            coarse = rng.normal(0.0, strength, (rows * octave, columns * octave)).astype(np.float32)
            field = Image.fromarray(coarse).resize(self.image.size, Image.Resampling.BILINEAR)
            fields += np.asarray(field)
        fields += np.linspace(
            rng.uniform(-12, 12), rng.uniform(-12, 12), self.image.width, dtype=np.float32
        )
        lit = np.asarray(self.image, np.float32) + fields[..., None]
        return Image.fromarray(np.clip(np.rint(lit), 0, 255).astype(np.uint8))
