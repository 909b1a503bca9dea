"""How a person stands: the pose, and where it puts the joints on the screen.

Units are body heights, the origin is the ground between the feet.
"""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

from rireid_jax.data.pedestrians.canvas import Point
from rireid_jax.data.pedestrians.identity import Identity

SHOULDER, HIP, HEAD = 0.815, 0.5, 0.925  # heights above the ground
THIGH, SHIN, UPPER_ARM, FOREARM = 0.235, 0.235, 0.165, 0.15


@dataclass(frozen=True)
class Pose:
    """How a person stands in one image.

    `facing` is 0 towards the viewer, pi / 2 to the right, pi away; `phase` in [0, 2 pi) is the
    instant of the walking cycle and `stride` its largest hip angle; all in radians. `lean`
    moves the head sideways, in units; `phone` raises the right hand to the ear.
    """

    facing: float
    phase: float
    stride: float
    lean: float
    phone: bool


def sample_pose(rng: np.random.Generator, facing: float) -> Pose:
    """A walking or standing person who looks about into the direction `facing`."""
    walking = rng.random() < 0.75
    return Pose(
        facing=facing + rng.normal(0.0, 0.22),
        phase=rng.uniform(0.0, 2.0 * pi),
        stride=rng.uniform(0.3, 0.46) if walking else rng.uniform(0.03, 0.1),
        lean=rng.normal(0.0, 0.008),
        phone=rng.random() < 0.08,
    )


class Body:
    """Where the joints are on the screen, for one identity, pose and camera elevation."""

    def __init__(self, identity: Identity, pose: Pose, elevation: float):
        self.cos, self.sin = cos(pose.facing), sin(pose.facing)
        self.elevation = elevation
        self.lean = pose.lean
        self.breadth = identity.breadth
        swing = pose.stride * sin(pose.phase)
        # Feet that are apart bring the hips down.
        self.drop = (THIGH + SHIN) * (1.0 - cos(swing)) * 0.8
        self.legs = {}
        self.arms = {}
        for side, sign in (("left", 1.0), ("right", -1.0)):
            forwards = sign * swing
            # The leg that comes from behind is bent.
            bend = pose.stride * 1.3 * max(0.0, sign * cos(pose.phase)) + 0.05
            hip = (sign * 0.05 * self.breadth, 0.0, HIP - self.drop)
            knee = _swung(hip, THIGH, forwards)
            ankle = _swung(knee, SHIN, forwards - bend)
            self.legs[side] = (hip, knee, ankle)
            backwards = -0.8 * forwards
            shoulder = (sign * 0.098 * self.breadth, 0.0, SHOULDER - self.drop - 0.02)
            elbow = _swung(shoulder, UPPER_ARM, backwards - 0.08, sign * 0.16)
            hand = _swung(elbow, FOREARM, backwards + 0.3 + 0.3 * pose.stride, sign * 0.02)
            if pose.phone and side == "right":
                elbow = _swung(shoulder, UPPER_ARM, 0.35, sign * 0.55)
                hand = (sign * 0.075, 0.05, HEAD - self.drop - 0.03)
            self.arms[side] = (shoulder, elbow, hand)

    def screen(self, point: tuple[float, float, float]) -> Point:
        """Projects (to the person's left, forwards, up); what is nearer lies lower."""
        left, forward, up = point
        x = left * self.cos + forward * self.sin + self.lean * up
        return x, up - self.elevation * self.depth(point)

    def depth(self, point: tuple[float, float, float]) -> float:
        """How much nearer to the viewer a point is than the middle of the body."""
        left, forward, _ = point
        return forward * self.cos - left * self.sin

    def half_width(self, side: float, front: float) -> float:
        """Half the width on the screen of an elliptical section of the body."""
        return float(np.hypot(side * self.breadth * self.cos, front * self.sin))


def _swung(
    joint: tuple[float, float, float], length: float, angle: float, outwards: float = 0.0
) -> tuple[float, float, float]:
    """The far end of a limb that hangs from `joint`, swung forwards and outwards (radians)."""
    left, forward, up = joint
    reach = length * cos(outwards)
    return (
        left + length * sin(outwards),
        forward + reach * sin(angle),
        up - reach * cos(angle),
    )
