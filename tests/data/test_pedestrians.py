import dataclasses
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageFilter

from rireid_jax.data.pedestrians import (
    LOWER_PALETTE,
    UPPER_PALETTE,
    Identity,
    render,
    sample_camera,
    sample_identity,
)

# The package's name `render` is the function; tests replace what its module has imported.
RENDER_MODULE = sys.modules[render.__module__]


def reduced_to(image: np.ndarray, width: int) -> np.ndarray:
    small = Image.fromarray(image).resize((width, 2 * width), Image.Resampling.BICUBIC)
    return np.asarray(small, dtype=float)


def test_same_arguments_same_image():
    for first, second in zip(render(1, 2, 3, 4), render(1, 2, 3, 4), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("arguments", [(2, 2, 3, 4), (1, 3, 3, 4), (1, 2, 4, 4), (1, 2, 3, 5)])
def test_every_argument_matters(arguments: tuple[int, int, int, int]):
    image, mask = render(1, 2, 3, 4)
    other_image, other_mask = render(*arguments)
    assert (image != other_image).mean() > 0.3
    assert (mask != other_mask).any()


@pytest.mark.parametrize(
    "size", [(64, 32), (128, 64), (256, 128), (64, 64), (90, 20), (9, 5), (1, 1)]
)
def test_any_size(size: tuple[int, int]):
    image, mask = render(0, 1, 0, 0, size)
    assert image.shape == (*size, 3)
    assert image.dtype == np.uint8
    assert mask.shape == size
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}


def test_sizes_show_the_same_scene():
    for identity in range(8):
        small, small_mask = render(0, identity, identity % 4, 0, (64, 32))
        large, large_mask = render(0, identity, identity % 4, 0, (256, 128))
        assert np.abs(reduced_to(small, 16) - reduced_to(large, 16)).mean() < 5
        shared = np.asarray(Image.fromarray(large_mask).reduce(4)) >= 128
        assert (shared != (small_mask > 0)).mean() < 0.03


def test_person_fills_the_middle_of_the_frame():
    masks = np.stack([render(0, i, i % 6, i % 3)[1] > 0 for i in range(60)])
    area = masks.mean(axis=(1, 2))
    assert area.min() > 0.1
    assert area.max() < 0.6
    rows, columns = np.nonzero(masks.mean(axis=0) > 0.5)
    assert abs(rows.mean() - 31.5) < 4
    assert abs(columns.mean() - 15.5) < 2
    for mask in masks:
        rows, columns = np.nonzero(mask)
        assert abs(columns.mean() - 15.5) < 5
        assert np.ptp(rows) > 0.7 * 64


def painted(value, level: int):
    """The same identity with the grey ``level`` for every colour."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return dataclasses.replace(
            value, **{f.name: painted(getattr(value, f.name), level) for f in fields}
        )
    return (level, level, level) if isinstance(value, tuple) else value


@pytest.mark.parametrize("identity", range(24))
def test_mask_is_where_the_person_is_seen(identity: int, monkeypatch: pytest.MonkeyPatch):
    camera = dataclasses.replace(
        sample_camera(0, identity % 6), noise=0.0, blur=0.0, gains=(1.0, 1.0, 1.0), gamma=1.0
    )
    monkeypatch.setattr(RENDER_MODULE, "sample_camera", lambda seed, number: camera)
    images, masks = [], []
    for level in (0, 255):

        def paint(seed: int, number: int, level: int = level) -> Identity:
            somebody = sample_identity(seed, number)
            return painted(somebody, level) if (seed, number) == (0, identity) else somebody

        monkeypatch.setattr(RENDER_MODULE, "sample_identity", paint)
        image, mask = render(0, identity, identity % 6, 1)
        images.append(image.astype(int))
        masks.append(mask > 0)
    np.testing.assert_array_equal(*masks)
    # How much of a pixel is the person, but less in the shade and in the dark of the eyes.
    share = (images[1] - images[0]).max(axis=-1) / 255
    assert share.min() >= 0
    assert share[masks[0]].min() > 0.5 * 0.2
    assert share[masks[0]].mean() > 0.7
    assert share[~masks[0]].max() < 0.51
    near = (
        np.asarray(Image.fromarray(masks[0].astype(np.uint8)).filter(ImageFilter.MaxFilter(3))) > 0
    )
    # Only straps and hair may be so thin that the mask misses them altogether.
    assert np.count_nonzero(share[~near]) <= 8


def test_identity_and_camera_are_stable_and_their_own():
    assert sample_identity(0, 7) == sample_identity(0, 7)
    assert sample_camera(0, 2) == sample_camera(0, 2)
    assert len({sample_identity(0, i) for i in range(300)}) == 300
    assert len({sample_camera(0, i) for i in range(20)}) == 20
    assert sample_identity(0, 7) != sample_identity(1, 7)
    assert sample_camera(0, 2) != sample_camera(1, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample_identity(0, 7).hat_kind = "cap"  # type: ignore[misc]


def test_identities_share_coarse_colours():
    people = [sample_identity(0, i) for i in range(200)]
    pairs = Counter((person.upper.colour, person.lower.colour) for person in people)
    assert set(pairs) == {(upper, lower) for upper in UPPER_PALETTE for lower in LOWER_PALETTE}
    # 15 pairs among 200 people: 13 each on average.
    assert min(pairs.values()) >= 3
    assert max(pairs.values()) <= 30


def test_mean_of_a_pattern_is_the_coarse_colour():
    for person in (sample_identity(0, i) for i in range(200)):
        for garment, palette in ((person.upper, UPPER_PALETTE), (person.lower, LOWER_PALETTE)):
            pattern = garment.pattern
            share = 0.65 * pattern.share if pattern.kind == "dots" else pattern.share
            mean = (1 - share) * np.array(pattern.ground) + share * np.array(pattern.figure)
            np.testing.assert_allclose(mean, palette[garment.colour], atol=1.01)
            if pattern.kind != "plain" and garment is person.upper:
                assert np.linalg.norm(np.subtract(pattern.ground, pattern.figure)) > 60


def test_pattern_is_seen_at_32_pixels_and_gone_at_6(monkeypatch: pytest.MonkeyPatch):
    """Taking the patterns away changes the clothes at width 32 and hardly anything at width 6."""

    def plain(person: Identity) -> Identity:
        garments = {}
        for half, palette in (("upper", UPPER_PALETTE), ("lower", LOWER_PALETTE)):
            garment = getattr(person, half)
            colour = palette[garment.colour]
            pattern = dataclasses.replace(garment.pattern, kind="plain", ground=colour)
            garments[half] = dataclasses.replace(garment, pattern=pattern)
        return dataclasses.replace(person, **garments)

    patterned = [
        i
        for i in range(60)
        if sample_identity(0, i).upper.pattern.kind in ("stripes", "pinstripes", "checks", "dots")
    ]
    before = [render(0, i, i % 6, 0)[0] for i in patterned]
    monkeypatch.setattr(RENDER_MODULE, "sample_identity", lambda s, i: plain(sample_identity(s, i)))
    after = [render(0, i, i % 6, 0)[0] for i in patterned]

    def change(width: int) -> float:
        pairs = zip(before, after, strict=True)
        squares = [(reduced_to(a, width) - reduced_to(b, width)) ** 2 for a, b in pairs]
        return float(np.sqrt(np.mean(squares)))

    assert change(32) > 8
    assert change(6) < 0.4 * change(32)
