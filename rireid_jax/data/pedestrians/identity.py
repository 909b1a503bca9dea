"""Who a drawn pedestrian is: build, skin, hair, clothes, shoes, bag and hat.

Coarse colours come from two short palettes, so many identities share them. What tells such
identities apart is detail a few pixels wide at 64x32 pixels: the pattern of the cloth, a logo,
trims, hair and shoes. A pattern has the coarse colour as its average, and so it vanishes when the
image is reduced to a few pixels of width.
"""

from dataclasses import dataclass

import numpy as np

from rireid_jax.data.keyed_random import keyed_rng

Colour = tuple[int, int, int]

UPPER_PALETTE: dict[str, Colour] = {
    "charcoal": (66, 66, 72),
    "grey": (136, 136, 138),
    "white": (198, 198, 194),
    "blue": (62, 86, 140),
    "red": (152, 58, 56),
}
LOWER_PALETTE: dict[str, Colour] = {
    "black": (52, 52, 58),
    "denim": (74, 90, 126),
    "beige": (132, 124, 108),
}
_ACCENTS: tuple[Colour, ...] = (
    (236, 234, 228),
    (22, 22, 26),
    (204, 166, 66),
    (178, 48, 52),
    (44, 88, 172),
    (52, 120, 80),
    (206, 116, 58),
    (122, 72, 132),
    (116, 178, 196),
    (216, 150, 168),
)
_SKIN: tuple[Colour, ...] = ((230, 188, 162), (212, 164, 134), (184, 136, 106), (128, 90, 68))
_HAIR: tuple[Colour, ...] = (
    (30, 26, 26),
    (54, 38, 30),
    (86, 60, 40),
    (158, 124, 78),
    (110, 56, 36),
)
_LEATHER: tuple[Colour, ...] = ((40, 38, 40), (78, 56, 42), (50, 58, 80), (66, 70, 60))
_SHOES: tuple[Colour, ...] = (
    (34, 32, 34),
    (232, 230, 226),
    (104, 68, 44),
    (170, 44, 46),
    (52, 76, 140),
)
_PRINTS = ("disc", "bar", "box", "triangle", "cross", "letters")


@dataclass(frozen=True)
class Pattern:
    """What the cloth looks like from close up.

    `kind` is `plain`, `stripes` (around the body), `pinstripes` (along it), `checks`,
    `dots` or `band` (one, around the chest). `ground` and `figure` are its two colours and
    `share` the part of the cloth the figure covers. `period` is in body heights.
    """

    kind: str
    ground: Colour
    figure: Colour
    period: float
    share: float


@dataclass(frozen=True)
class Garment:
    """Clothes of one half of the body; `colour` names the coarse colour in the half's palette."""

    kind: str
    colour: str
    pattern: Pattern
    trim: Colour | None  # collar and cuffs, or the seam along the trousers


@dataclass(frozen=True)
class Logo:
    """A print on the chest, and sometimes the same, larger, on the back; in body heights."""

    shape: str
    colour: Colour
    across: float
    down: float
    radius: float
    on_back: bool


@dataclass(frozen=True)
class Identity:
    """All that stays with a person from image to image. Sizes are factors of the average build."""

    stature: float
    breadth: float
    leg_width: float
    skin: Colour
    hair_style: str
    hair: Colour
    upper: Garment
    lower: Garment
    opening: Colour | None  # the shirt seen through an open coat or jacket
    logo: Logo | None
    belt: Colour | None
    shoes: Colour
    soles: Colour
    bag_kind: str
    bag: Colour
    bag_trim: Colour
    hat_kind: str
    hat: Colour


def _pick(rng: np.random.Generator, options: dict[str, float]) -> str:
    weights = np.array(list(options.values()))
    return list(options)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _one_of(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _distance(first: Colour, second: Colour) -> float:
    return float(np.linalg.norm(np.subtract(first, second)))


def _contrasting(rng: np.random.Generator, colour: Colour) -> Colour:
    """An accent that is told from `colour` at a glance."""
    return _one_of(rng, tuple(accent for accent in _ACCENTS if _distance(accent, colour) > 110))


def _split_colour(
    rng: np.random.Generator, colour: Colour, share: float, contrast: float
) -> tuple[Colour, Colour]:
    """Two colours whose mean, with weights `1 - share` and `share`, is `colour`.

    They lie on a line through `colour` towards an accent, as far apart as the range of a byte
    lets them be, but not farther than `contrast`.
    """
    mean = np.array(colour, dtype=float)
    pairs = []
    for accent in _ACCENTS:
        away = mean - np.array(accent)
        # ground = mean + reach * away * share / (1 - share) must stay in [4, 251].
        step = away * share / (1 - share)
        room = np.where(step > 0, 251 - mean, mean - 4) / np.maximum(np.abs(step), 1e-6)
        reach = min(1.0, float(room.min()), contrast / float(np.linalg.norm(away + step)))
        figure, ground = mean - reach * away, mean + reach * step
        pairs.append((float(np.linalg.norm(figure - ground)), ground, figure))
    pairs.sort(key=lambda pair: -pair[0])
    _, ground, figure = pairs[int(rng.integers(6))]
    return _as_colour(ground), _as_colour(figure)


def _as_colour(values: np.ndarray) -> Colour:
    red, green, blue = (int(value) for value in np.clip(np.rint(values), 0, 255))
    return red, green, blue


def _sample_pattern(
    rng: np.random.Generator, kind: str, colour: Colour, contrast: float
) -> Pattern:
    share = {
        "plain": 0.0,
        "stripes": float(rng.choice([0.36, 0.5])),
        "pinstripes": float(rng.choice([0.36, 0.5])),
        "checks": 0.44,
        "dots": 0.25,
        "band": 0.16,
    }[kind]
    period = float(rng.choice([0.06, 0.078, 0.1]))
    # Dots stay clear of the edges, so they cover less than on an endless cloth.
    covered = 0.65 * share if kind == "dots" else share
    ground, figure = _split_colour(rng, colour, covered, contrast)
    return Pattern(kind, colour if kind == "plain" else ground, figure, period, share)


def sample_identity(seed: int, identity: int) -> Identity:
    """Draws the person `identity` of the data set `seed`; the same person every time."""
    rng = keyed_rng(seed, "identity", identity)

    upper_colour = _pick(rng, dict.fromkeys(UPPER_PALETTE, 1.0))
    upper_kind = _pick(rng, {"t-shirt": 0.36, "shirt": 0.32, "jacket": 0.24, "coat": 0.08})
    upper_pattern = _pick(
        rng,
        {
            "plain": 0.3,
            "stripes": 0.24,
            "pinstripes": 0.14,
            "checks": 0.14,
            "dots": 0.1,
            "band": 0.08,
        },
    )
    upper_rgb = UPPER_PALETTE[upper_colour]
    upper = Garment(
        kind=upper_kind,
        colour=upper_colour,
        pattern=_sample_pattern(rng, upper_pattern, upper_rgb, contrast=150.0),
        trim=_contrasting(rng, upper_rgb) if rng.random() < 0.4 else None,
    )
    opening: Colour | None = _contrasting(rng, upper_rgb)
    if upper_kind not in ("jacket", "coat") or rng.random() < 0.35:
        opening = None

    lower_colour = _pick(rng, dict.fromkeys(LOWER_PALETTE, 1.0))
    lower_kind = _pick(rng, {"trousers": 0.8, "shorts": 0.1, "skirt": 0.1})
    lower_pattern = _pick(rng, {"plain": 0.78, "checks": 0.1, "pinstripes": 0.08, "stripes": 0.04})
    lower_rgb = LOWER_PALETTE[lower_colour]
    lower = Garment(
        kind=lower_kind,
        colour=lower_colour,
        pattern=_sample_pattern(rng, lower_pattern, lower_rgb, contrast=70.0),
        trim=_contrasting(rng, lower_rgb) if rng.random() < 0.3 else None,
    )

    # A plain front has room for a print, an open coat has not.
    logo = None
    if upper_pattern == "plain" and opening is None and rng.random() < 0.8:
        logo = Logo(
            shape=_pick(rng, dict.fromkeys(_PRINTS, 1.0)),
            colour=_contrasting(rng, upper_rgb),
            across=float(rng.choice([-0.03, 0.0, 0.03])),
            down=float(rng.uniform(0.07, 0.13)),
            radius=float(rng.choice([0.026, 0.042])),
            on_back=bool(rng.random() < 0.5),
        )

    shoes = _one_of(rng, _SHOES)
    bag_kind = _pick(rng, {"none": 0.54, "backpack": 0.18, "shoulder": 0.2, "handbag": 0.08})
    bag = _one_of(rng, _LEATHER)
    hat_kind = _pick(rng, {"none": 0.84, "cap": 0.1, "beanie": 0.06})
    return Identity(
        stature=float(rng.uniform(0.97, 1.03)),
        breadth=float(rng.uniform(0.94, 1.08)),
        leg_width=float(rng.choice([0.92, 1.0, 1.1])),
        skin=_one_of(rng, _SKIN),
        hair_style=_pick(rng, {"short": 0.42, "long": 0.26, "bun": 0.1, "tail": 0.12, "bald": 0.1}),
        hair=_one_of(rng, _HAIR),
        upper=upper,
        lower=lower,
        opening=opening,
        logo=logo,
        belt=_contrasting(rng, upper_rgb) if rng.random() < 0.25 else None,
        shoes=shoes,
        soles=_contrasting(rng, shoes) if rng.random() < 0.5 else shoes,
        bag_kind=bag_kind,
        bag=bag,
        bag_trim=_contrasting(rng, bag),
        hat_kind=hat_kind,
        hat=_one_of(rng, _ACCENTS),
    )
