"""Puts a person before a camera and takes the picture."""

from math import pi

import numpy as np
from PIL import Image, ImageFilter

from rireid_jax.data.keyed_random import keyed_rng
from rireid_jax.data.pedestrians.body import sample_pose
from rireid_jax.data.pedestrians.camera import Camera, sample_camera
from rireid_jax.data.pedestrians.canvas import Canvas
from rireid_jax.data.pedestrians.figure import draw_figure
from rireid_jax.data.pedestrians.identity import sample_identity
from rireid_jax.data.pedestrians.street import SUPERSAMPLING, frame_unit, street


def render(
    seed: int, identity: int, camera: int, shot: int, size: tuple[int, int] = (64, 32)
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the picture number `shot` that `camera` took of the person `identity`.

    A pure function of its arguments. Sizes differ in sharpness only: person, pose and street are
    the same.

    Args:
        seed: Seed of the whole data set.
        identity: Number of the person; any integer.
        camera: Number of the camera; any integer.
        shot: Number of the picture; any integer.
        size: Height and width in pixels.

    Returns:
        The image, uint8 `[H, W, 3]`, and the mask, uint8 `[H, W]`: 255 where the person (with
        bag and hat) covers at least half of the pixel and nothing stands before it, 0 elsewhere.
    """
    look = sample_camera(seed, camera)
    person = sample_identity(seed, identity)
    rng = keyed_rng(seed, "shot", identity, camera, shot)
    height, width = size
    unit = frame_unit(size)
    large = (width * SUPERSAMPLING, height * SUPERSAMPLING)

    scene = street(seed, camera, size)
    left = round(rng.uniform(0.0, 1.0) * (scene.width - large[0]))
    top = (scene.height - large[1]) // 2 + round(rng.normal(0.0, 0.02) * unit)
    top = min(max(top, 0), scene.height - large[1])
    image = scene.crop((left, top, left + large[0], top + large[1]))
    mask = Image.new("L", large)

    # A detector's box: about centred, about as high as the person.
    scale = look.person * person.stature * rng.uniform(0.95, 1.04)
    x = large[0] / 2 + rng.normal(0.0, 0.022) * unit
    y = large[1] / 2 + (0.5 * scale + rng.normal(0.0, 0.012)) * unit
    canvas = Canvas(image, mask, (x, y), scale * unit)
    if rng.random() < 0.3:
        _draw_passer_by(canvas, rng, look)
    facing = rng.choice(
        [look.facing, look.facing + pi, 0.5 * pi, -0.5 * pi], p=[0.5, 0.1, 0.2, 0.2]
    )
    _draw_shadow(canvas, look)
    canvas.mask_value = 255
    pose = sample_pose(rng, float(facing))
    draw_figure(canvas, person, pose, look.light_side, look.shade, look.elevation)
    canvas.mask_value = 0
    if rng.random() < 0.1:
        _draw_obstacle(canvas, rng)

    covered = np.asarray(mask.reduce(SUPERSAMPLING))
    return _expose(image, look, rng), np.where(covered >= 128, 255, 0).astype(np.uint8)


def _draw_shadow(canvas: Canvas, look: Camera) -> None:
    canvas.ellipse((-0.03 * look.light_side, 0.0), 0.13, 0.025, (0, 0, 0, 90))


def _draw_passer_by(canvas: Canvas, rng: np.random.Generator, look: Camera) -> None:
    """Somebody else, behind the person and cut by the edge of the frame."""
    other = sample_identity(int(rng.integers(2**62)), 0)
    side = rng.choice([-1.0, 1.0])
    shrink = rng.uniform(0.6, 0.9)
    spot = canvas.moved(side * rng.uniform(0.2, 0.3), rng.uniform(0.06, 0.14), shrink)
    _draw_shadow(spot, look)
    pose = sample_pose(rng, float(rng.uniform(0.0, 2.0 * pi)))
    draw_figure(spot, other, pose, look.light_side, look.shade, look.elevation)


def _draw_obstacle(canvas: Canvas, rng: np.random.Generator) -> None:
    """A bollard or a box that hides part of the legs."""
    x = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.08, 0.2))
    grey = int(rng.integers(70, 190))
    half, high = (0.03, 0.25) if rng.random() < 0.5 else (0.1, 0.16)
    box = ((x - half, -0.1), (x - half, high), (x + half, high), (x + half, -0.1))
    canvas.polygon(box, (grey, grey, min(grey + 8, 255)))
    lid = ((x - half, high - 0.03), (x - half, high), (x + half, high), (x + half, high - 0.03))
    canvas.polygon(lid, (grey // 2, grey // 2, grey // 2))


def _expose(image: Image.Image, look: Camera, rng: np.random.Generator) -> np.ndarray:
    """What the sensor makes of the light: blur, white balance, gamma and noise; uint8 [H, W, 3]."""
    small = image.reduce(SUPERSAMPLING)
    if look.blur:
        small = small.filter(ImageFilter.GaussianBlur(look.blur * small.height))
    levels = np.linspace(0.0, 1.0, 256, dtype=np.float32)
    gains = np.array(look.gains, np.float32) * rng.uniform(0.88, 1.12)
    response = 255.0 * np.minimum(gains[:, None] * levels, 1.0) ** look.gamma
    pixels = np.asarray(small)
    exposed = np.stack([response[channel][pixels[..., channel]] for channel in range(3)], axis=-1)
    exposed += look.noise * rng.standard_normal(exposed.shape, dtype=np.float32)
    return np.clip(np.rint(exposed), 0, 255).astype(np.uint8)
