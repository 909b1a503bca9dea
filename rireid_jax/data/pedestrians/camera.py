"""What a camera sees and how: the place, the light and the sensor."""

from dataclasses import dataclass
from math import pi

from rireid_jax.data.keyed_random import keyed_rng
from rireid_jax.data.pedestrians.identity import Colour

WALLS = ("brick", "shops", "concrete", "hedge", "office")
GROUNDS = ("asphalt", "paving", "grass", "tiles")


@dataclass(frozen=True)
class Camera:
    """A place and a device. Lengths are in frame heights, angles in radians.

    `gains` and `gamma` map light to pixel values, channel by channel; `horizon` is how far
    below the middle of the frame the wall meets the ground; `elevation` is the sine of the angle
    at which the camera looks down; `person` is the usual height of a person in the frame, and
    `facing` where most people walk. `noise` is in grey levels of 255, `blur` the deviation of
    a Gaussian.
    """

    wall: str
    wall_colour: Colour
    ground: str
    ground_colour: Colour
    horizon: float
    elevation: float
    person: float
    facing: float
    light_side: int
    shade: float
    gains: tuple[float, float, float]
    gamma: float
    noise: float
    blur: float


_WALL_COLOURS: dict[str, tuple[Colour, ...]] = {
    "brick": ((150, 92, 74), (168, 120, 94), (122, 82, 72)),
    "shops": ((176, 168, 154), (120, 128, 134), (196, 182, 150)),
    "concrete": ((160, 160, 156), (138, 140, 144), (182, 176, 164)),
    "hedge": ((74, 98, 58), (92, 112, 66), (64, 84, 60)),
    "office": ((112, 132, 146), (148, 158, 162), (92, 106, 122)),
}
_GROUND_COLOURS: dict[str, tuple[Colour, ...]] = {
    "asphalt": ((96, 96, 100), (112, 110, 110)),
    "paving": ((160, 154, 144), (142, 138, 136)),
    "grass": ((104, 124, 74), (120, 130, 82)),
    "tiles": ((176, 164, 150), (150, 150, 156)),
}


def sample_camera(seed: int, camera: int) -> Camera:
    """Draws the camera `camera` of the data set `seed`; the same camera every time."""
    rng = keyed_rng(seed, "camera", camera)
    # The kinds go round, so that few cameras do not look alike by chance.
    wall = WALLS[(camera + int(rng.integers(2))) % len(WALLS)]
    ground = GROUNDS[int(rng.integers(len(GROUNDS)))]
    warmth, tint = rng.normal(0.0, 0.08), rng.normal(0.0, 0.03)
    exposure = rng.uniform(0.8, 1.2)
    walls, grounds = _WALL_COLOURS[wall], _GROUND_COLOURS[ground]
    return Camera(
        wall=wall,
        wall_colour=walls[int(rng.integers(len(walls)))],
        ground=ground,
        ground_colour=grounds[int(rng.integers(len(grounds)))],
        horizon=float(rng.uniform(-0.05, 0.3)),
        elevation=float(rng.uniform(0.1, 0.35)),
        person=float(rng.uniform(0.86, 0.93)),
        facing=float(rng.choice([0.0, pi])),
        light_side=int(rng.choice([-1, 1])),
        shade=float(rng.uniform(0.12, 0.34)),
        gains=(
            float(exposure * (1.0 + warmth)),
            float(exposure * (1.0 + tint)),
            float(exposure * (1.0 - warmth)),
        ),
        gamma=float(rng.uniform(0.85, 1.18)),
        noise=float(rng.uniform(1.5, 5.0)),
        blur=float(rng.choice([0.0, 0.006, 0.011])),
    )
