"""Draws one person in a pose. Units are body heights, the origin is the ground between the feet."""

from math import cos, pi, sin

import numpy as np

from rireid_jax.data.pedestrians.body import HEAD, HIP, SHOULDER, Body, Pose
from rireid_jax.data.pedestrians.canvas import Canvas, Point, Tube, draw_cloth, draw_shade, mix
from rireid_jax.data.pedestrians.identity import Colour, Identity, Pattern

# Half axes of the torso: (below the neck, to the side, to the front), in units.
_TORSO = (
    (0.0, 0.036, 0.04),
    (0.022, 0.076, 0.056),
    (0.05, 0.1, 0.066),
    (0.13, 0.1, 0.078),
    (0.22, 0.088, 0.07),
)
_NECK_BASE = SHOULDER + 0.03
_HEM = {"t-shirt": 0.36, "shirt": 0.375, "jacket": 0.37, "coat": 0.53}


def draw_figure(
    canvas: Canvas, identity: Identity, pose: Pose, light_side: int, shade: float, elevation: float
) -> None:
    """Draws a person on `canvas`, and on its mask as `canvas.mask_value` says.

    Args:
        canvas: Its origin is the ground between the feet, its unit the height of an average person.
        identity: Who.
        pose: How.
        light_side: -1 if the light comes from the left, 1 from the right.
        shade: Darkness of the side away from the light, in [0, 1].
        elevation: How far up a point moves in the picture for a unit of distance: the sine of the
            angle at which the camera looks down.
    """
    body = Body(identity, pose, elevation)
    figure = _Figure(canvas, identity, body, light_side, shade)
    far, near = ("left", "right") if body.sin > 0 else ("right", "left")
    from_front = body.cos > 0

    figure.arm(far, dim=0.3 * abs(body.sin))
    for side in sorted(body.legs, key=lambda name: body.depth(body.legs[name][2])):
        figure.leg(side, dim=0.22 if side == far and abs(body.sin) > 0.5 else 0.0)
    figure.hips()
    if identity.bag_kind == "backpack" and from_front:
        figure.backpack()
    figure.neck()
    figure.torso()
    if from_front or abs(body.sin) > 0.6:
        figure.straps()
    if identity.bag_kind == "backpack" and not from_front:
        figure.backpack()
    figure.head()
    figure.arm(near, dim=0.0)
    figure.carried(near)


class _Figure:
    """The parts of one drawn person, each a method."""

    def __init__(
        self, canvas: Canvas, identity: Identity, body: Body, light_side: int, shade: float
    ):
        self.canvas = canvas
        self.identity = identity
        self.body = body
        self.light_side = light_side
        self.shade = shade
        self.top = body.screen((0.0, 0.0, _NECK_BASE - body.drop))

    def limb(
        self,
        start: Point,
        end: Point,
        widths: tuple[float, float],
        cloth: Pattern | Colour,
        dim: float,
    ) -> Tube:
        tube = Tube(start, end, ((0.0, widths[0]), (1.0, widths[1])))
        ground = cloth.ground if isinstance(cloth, Pattern) else cloth
        for centre, half in ((start, widths[0]), (end, widths[1])):
            self.canvas.ellipse(centre, half, half, ground)
        if isinstance(cloth, Pattern) and cloth.kind not in ("plain", "band"):
            draw_cloth(self.canvas, tube, cloth)
        else:
            self.canvas.polygon(tube.outline(), ground)
        draw_shade(self.canvas, tube, self.light_side, min(self.shade + dim, 0.8))
        return tube

    def leg(self, side: str, dim: float) -> None:
        person, body = self.identity, self.body
        hip, knee, ankle = (body.screen(joint) for joint in body.legs[side])
        wide = person.leg_width * (0.5 + 0.5 * person.breadth)
        bare = person.lower.kind != "trousers"
        self.shoe(side, ankle)
        shin_cloth: Pattern | Colour = person.skin if bare else person.lower.pattern
        slim = 0.75 if bare else 1.0
        self.limb(knee, ankle, (0.041 * wide * slim, 0.03 * wide * slim), shin_cloth, dim)
        thigh_cloth: Pattern | Colour = (
            person.skin if person.lower.kind == "skirt" else person.lower.pattern
        )
        thigh = self.limb(hip, knee, (0.06 * wide, 0.042 * wide), thigh_cloth, dim)
        if person.lower.kind == "shorts" and person.lower.trim:
            self.canvas.polygon(
                thigh.patch(-1.0, 1.0, 0.9 * thigh.length, thigh.length), person.lower.trim
            )
        outer = body.sin * (1 if side == "right" else -1) >= -0.35
        if person.lower.kind == "trousers" and person.lower.trim and outer:
            # The seam is on the outer side of the leg: at its edge from the front, in the middle
            # from the side.
            left_of_screen = (side == "right") == (body.cos > 0)
            u = (-0.75 if left_of_screen else 0.75) * abs(body.cos)
            shin = Tube(knee, ankle, ((0.0, 0.041 * wide), (1.0, 0.03 * wide)))
            for tube in (thigh, shin):
                self.canvas.polygon(
                    tube.patch(u - 0.18, u + 0.18, 0.0, tube.length), person.lower.trim
                )

    def shoe(self, side: str, ankle: Point) -> None:
        body, person = self.body, self.identity
        x, y = ankle
        toe = 0.055 * body.sin
        length = 0.03 + 0.045 * abs(body.sin)
        low = 0.018 * body.cos * (0.4 + body.elevation)
        centre = (x + 0.6 * toe, y - 0.018 - low)
        self.canvas.ellipse((centre[0], centre[1] - 0.009), length, 0.02, person.soles)
        self.canvas.ellipse(centre, length, 0.021, person.shoes)

    def hips(self) -> None:
        person, body = self.identity, self.body
        cloth = person.lower.pattern
        waist = (self.top[0], HIP + 0.05 - body.drop)
        half = body.half_width(0.1, 0.085)
        if person.lower.kind != "skirt":
            pelvis = Tube(
                waist, (waist[0], HIP - 0.03 - body.drop), ((0.0, half * 0.95), (1.0, half))
            )
            self.canvas.polygon(pelvis.outline(), cloth.ground)
            return
        spread = abs(body.screen(body.legs["left"][1])[0] - body.screen(body.legs["right"][1])[0])
        flare = max(half * 1.3, spread / 2 + 0.05)
        hem = (waist[0], 0.27 - body.drop)
        tube = Tube(waist, hem, ((0.0, half * 0.9), (0.3, half * 1.05), (1.0, flare)))
        draw_cloth(self.canvas, tube, cloth)
        if person.lower.trim:
            self.canvas.polygon(
                tube.patch(-1.0, 1.0, 0.93 * tube.length, tube.length), person.lower.trim
            )
        draw_shade(self.canvas, tube, self.light_side, self.shade)

    def arm(self, side: str, dim: float) -> None:
        person, body = self.identity, self.body
        shoulder, elbow, hand = (body.screen(joint) for joint in body.arms[side])
        upper = person.upper
        thick = (0.5 + 0.5 * person.breadth) * (1.15 if upper.kind in ("jacket", "coat") else 1.0)
        bare = upper.kind == "t-shirt"
        self.canvas.ellipse(hand, 0.022, 0.025, person.skin)
        fore_cloth: Pattern | Colour = person.skin if bare else upper.pattern
        slim = 0.8 if bare else 1.0
        fore = self.limb(elbow, hand, (0.029 * thick * slim, 0.022 * thick), fore_cloth, dim)
        sleeve = self.limb(shoulder, elbow, (0.034 * thick, 0.031 * thick), upper.pattern, dim)
        if upper.trim:
            cuffed = sleeve if bare else fore
            cuff = cuffed.patch(-1.0, 1.0, 0.88 * cuffed.length, cuffed.length)
            self.canvas.polygon(cuff, upper.trim)

    def torso(self) -> None:
        person, body = self.identity, self.body
        upper = person.upper
        length = _HEM[upper.kind]
        bulk = 1.06 if upper.kind in ("jacket", "coat") else 1.0
        hip_half = body.half_width(0.096, 0.08)
        knots = [(v / length, bulk * body.half_width(s, f)) for v, s, f in _TORSO]
        knots += [(0.32 / length, bulk * hip_half)]
        knots += [(1.0, bulk * hip_half * (1.12 if upper.kind == "coat" else 1.02))]
        bottom = (self.top[0] - body.lean * length, self.top[1] - length)
        tube = Tube(self.top, bottom, knots)
        draw_cloth(self.canvas, tube, upper.pattern, turn=body.sin)
        if person.logo and (body.cos > 0.4 or (person.logo.on_back and body.cos < -0.4)):
            self._logo(tube)
        if person.opening and body.cos > -0.1:
            middle = 0.75 * body.sin
            half = 0.16 * max(body.cos, 0.3)
            u0, u1 = max(middle - half, -1.0), min(middle + half, 1.0)
            self.canvas.polygon(tube.patch(u0, u1, 0.0, tube.length), person.opening)
        if person.belt and upper.kind != "coat":
            self.canvas.polygon(tube.patch(-1.0, 1.0, 0.93 * length, length), person.belt)
        elif person.belt:
            self.canvas.polygon(tube.patch(-1.0, 1.0, 0.24, 0.265), person.belt)
        if upper.trim:
            self.canvas.polygon(tube.patch(-1.0, 1.0, 0.0, 0.028), upper.trim)
        draw_shade(self.canvas, tube, self.light_side, self.shade)

    def _logo(self, tube: Tube) -> None:
        logo, body = self.identity.logo, self.body
        assert logo is not None
        from_back = body.cos < 0
        radius = logo.radius * (1.3 if from_back else 1.0)
        narrow = radius * abs(body.cos)
        turned = 0.05 * body.sin * np.sign(body.cos)
        x = self.top[0] + turned + (0.0 if from_back else logo.across * body.cos)
        y = self.top[1] - logo.down - 0.02
        if logo.shape == "disc":
            self.canvas.ellipse((x, y), narrow, radius, logo.colour)
        elif logo.shape == "letters":
            for offset, height in ((-0.9, 1.0), (0.0, 0.6), (0.9, 1.0)):
                self._box(x + offset * narrow, y, 0.3 * narrow, height * radius, logo.colour)
        elif logo.shape == "cross":
            self._box(x, y, narrow, 0.35 * radius, logo.colour)
            self._box(x, y, 0.35 * narrow, radius, logo.colour)
        elif logo.shape == "triangle":
            corners = ((x - narrow, y - radius), (x + narrow, y - radius), (x, y + radius))
            self.canvas.polygon(corners, logo.colour)
        elif logo.shape == "bar":
            self._box(x, y, 1.4 * narrow, 0.4 * radius, logo.colour)
        else:
            self._box(x, y, narrow, radius, logo.colour)

    def _box(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        left, right, low, high = x - rx, x + rx, y - ry, y + ry
        self.canvas.polygon([(left, low), (right, low), (right, high), (left, high)], colour)

    def neck(self) -> None:
        x, y = self.top
        tube = Tube((x, y + 0.05), (x, y - 0.02), ((0.0, 0.027), (1.0, 0.032)))
        self.canvas.polygon(tube.outline(), mix(self.identity.skin, (0, 0, 0), 0.25))

    def head(self) -> None:
        person, body, canvas = self.identity, self.body, self.canvas
        x = self.top[0] + body.lean * 0.1 + 0.02 * body.sin
        y = HEAD - body.drop
        rx, ry = 0.046 + 0.006 * abs(body.sin), 0.066
        hairy = person.hair_style != "bald"
        if person.hair_style == "long":
            canvas.ellipse((x - 0.014 * body.sin, y - 0.03), rx * 1.25, ry * 1.3, person.hair)
        if hairy:
            canvas.ellipse((x - 0.01 * body.sin, y + 0.012), rx * 1.14, ry * 1.02, person.hair)
        if body.cos > -0.35 or not hairy:
            face = (x + (0.016 * body.sin if hairy else 0.0), y - (0.012 if hairy else 0.0))
            canvas.ellipse(face, rx * 0.93, ry * (0.86 if hairy else 1.0), person.skin)
            if body.cos > -0.35:
                self._face(face, rx)
        elif person.hair_style == "short":
            canvas.ellipse((x, y - 0.045), rx * 0.7, 0.02, person.skin)
        if person.hair_style == "bun":
            canvas.ellipse((x - 0.04 * body.sin, y + 0.07), 0.026, 0.024, person.hair)
        elif person.hair_style == "tail" and body.cos < 0.6:
            start = (x - 0.05 * body.sin, y + 0.01)
            end = (x - 0.075 * body.sin, y - 0.12)
            tail = Tube(start, end, ((0.0, 0.018), (0.5, 0.024), (1.0, 0.01)))
            canvas.polygon(tail.outline(), person.hair)
        self._hat(x, y, rx, ry)

    def _face(self, face: Point, rx: float) -> None:
        body, canvas = self.body, self.canvas
        ink = mix(self.identity.skin, (30, 15, 15), 0.8)
        x, y = face
        for eye in (-0.4, 0.4):
            at = eye * body.cos + 0.55 * body.sin
            if abs(at) < 0.85:
                canvas.ellipse((x + at * rx, y + 0.012), 0.007, 0.006, ink)
        mouth = (x + 0.55 * body.sin * rx, y - 0.027)
        canvas.ellipse(mouth, 0.012 * abs(body.cos) + 0.004, 0.004, ink)

    def _hat(self, x: float, y: float, rx: float, ry: float) -> None:
        person, body, canvas = self.identity, self.body, self.canvas
        if person.hat_kind == "none":
            return
        brim = y + 0.022
        half = rx * 1.17
        arc = [(x + half * cos(a), brim + 0.058 * sin(a)) for a in np.linspace(0.0, pi, 10)]
        canvas.polygon(arc, person.hat)
        if person.hat_kind == "cap" and body.cos > -0.4:
            peak = mix(person.hat, (0, 0, 0), 0.35)
            canvas.ellipse((x + 0.055 * body.sin, brim), 0.045, 0.01, peak)
        elif person.hat_kind == "beanie":
            # Within the crown, which is 0.95 of its width this high.
            self._box(x, brim + 0.009, 0.95 * half, 0.009, mix(person.hat, (255, 255, 255), 0.45))

    def backpack(self) -> None:
        person, body, canvas = self.identity, self.body, self.canvas
        back = self.top[0] - 0.105 * body.sin
        half = max(body.half_width(0.095, 0.055), 0.05)
        high, low = self.top[1] - 0.03, self.top[1] - 0.27
        tube = Tube((back, high), (back, low), ((0.0, half * 0.6), (0.15, half), (1.0, half)))
        canvas.polygon(tube.outline(), person.bag)
        if body.cos < 0.5:
            zip_line = tube.patch(-0.75, 0.75, 0.55 * tube.length, 0.62 * tube.length)
            self.canvas.polygon(zip_line, person.bag_trim)
            pocket = tube.patch(-0.7, 0.7, 0.64 * tube.length, 0.95 * tube.length)
            self.canvas.polygon(pocket, mix(person.bag, (0, 0, 0), 0.25))
        draw_shade(canvas, tube, self.light_side, self.shade)

    def straps(self) -> None:
        person, body = self.identity, self.body
        if person.bag_kind != "backpack":
            return
        x, y = self.top
        for side in (-1, 1):
            across = side * 0.066 * body.cos * person.breadth + 0.02 * body.sin
            if side * body.sin > 0.6:
                continue
            strap = Tube(
                (x + 0.8 * across, y - 0.015), (x + across, y - 0.2), ((0.0, 0.014), (1.0, 0.014))
            )
            self.canvas.polygon(strap.outline(), person.bag)

    def carried(self, near: str) -> None:
        """A shoulder bag with its strap across the chest, or a bag in the hand."""
        person, body, canvas = self.identity, self.body, self.canvas
        x, y = self.top
        if person.bag_kind == "shoulder":
            # It hangs on the left hip, so it is on the right of the screen from the front.
            bag_x, bag_y = body.screen((0.12 * person.breadth, 0.0, HIP + 0.01 - body.drop))
            over_x = x - 0.07 * body.cos
            hidden = body.sin > 0.5
            end = (x + 0.1 * body.cos, y - 0.3) if hidden else (bag_x, bag_y + 0.03)
            strap = Tube((over_x, y - 0.012), end, ((0.0, 0.01), (1.0, 0.01)))
            canvas.polygon(strap.outline(), person.bag_trim)
            if not hidden:
                widths = ((0.0, 0.05), (0.9, 0.056), (1.0, 0.05))
                tube = Tube((bag_x, bag_y + 0.04), (bag_x, bag_y - 0.075), widths)
                canvas.polygon(tube.outline(), person.bag)
                self.canvas.polygon(
                    tube.patch(-0.95, 0.95, 0.0, 0.04), mix(person.bag, (0, 0, 0), 0.3)
                )
                self.canvas.polygon(tube.patch(-0.15, 0.15, 0.025, 0.055), person.bag_trim)
        elif person.bag_kind == "handbag" and near == "right":
            hand_x, hand_y = body.screen(body.arms["right"][2])
            tube = Tube(
                (hand_x, hand_y - 0.03), (hand_x, hand_y - 0.15), ((0.0, 0.04), (1.0, 0.055))
            )
            for side in (-0.02, 0.02):
                end = (hand_x + side, hand_y - 0.03)
                handle = Tube(end, (hand_x, hand_y), ((0.0, 0.005), (1.0, 0.005)))
                canvas.polygon(handle.outline(), person.bag)
            canvas.polygon(tube.outline(), person.bag)
            self.canvas.polygon(tube.patch(-1.0, 1.0, 0.03, 0.05), person.bag_trim)
