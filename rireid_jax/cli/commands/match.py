"""`rireid match`: are two images of the same person?"""

import argparse
from typing import TYPE_CHECKING

from rireid_jax.cli.arguments import add_model, open_model
from rireid_jax.components import COMMANDS
from rireid_jax.errors import UserError

if TYPE_CHECKING:
    from rireid_jax.evaluation.calibration import Estimate
    from rireid_jax.runs.calibration import Verdict


@COMMANDS.register("match")
class Match:
    """Distance and verdict of two images."""

    SUMMARY = "say whether two images show the same person, and how sure that is"
    EXAMPLE = "rireid match a.jpg b.jpg --model runs/mine"

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("a", metavar="A", help="image")
        parser.add_argument("b", metavar="B", help="image")
        add_model(parser)
        parser.add_argument(
            "--fpr",
            type=float,
            default=0.001,
            help="how often different people may be taken for one; 0.001 by default",
        )

    @staticmethod
    def run(arguments: argparse.Namespace) -> None:
        import numpy as np

        from rireid_jax.runs.calibration import check_rate, load_calibration
        from rireid_jax.runs.image_lists import list_images

        check_rate("--fpr", arguments.fpr)
        paths = []
        for source in (arguments.a, arguments.b):
            images = list_images([source])
            if len(images) != 1:
                raise UserError(f"{source}: found {len(images)} images, expected one")
            paths.append(images[0].path)
        extractor = open_model(arguments)
        calibration = load_calibration(arguments.model, extractor.fingerprint, arguments.stage)
        found = extractor.describe(paths)
        a, b = found.features.astype(np.float64)
        distance = float(np.linalg.norm(a - b))
        r_a, r_b = found.resolutions.tolist()
        width_a, width_b = found.native_widths.tolist()
        print(f"{arguments.a}: {width_a} pixels wide, r = {r_a:.2f}")
        print(f"{arguments.b}: {width_b} pixels wide, r = {r_b:.2f}")
        print(f"distance {distance:.4g}")
        if calibration is None:
            print(
                f"no calibration: rireid calibrate --model {arguments.model} says what the distance means"
            )
            return
        print(verdict_text(calibration.verdict(distance, r_a, r_b, arguments.fpr)))


def verdict_text(verdict: "Verdict") -> str:
    """What a verdict says, and how sure it is, in a few lines."""
    if verdict.same is None:
        return f"cannot be told: {verdict.why}"
    assert verdict.false_positive is not None
    low, high = ("r in {:.2f}-{:.2f}".format(*bounds) for bounds in verdict.bins)
    where = low if low == high else f"one at {low}, one at {high}"
    answer = "the same person" if verdict.same else "not shown to be the same person"
    sign = "below" if verdict.same else "not below"
    true = verdict.true_positive
    found = (
        f"how many pairs of one person are found is not known, from {verdict.num_same:,} pairs"
        if true is None
        else f"it finds {_shown(true)} of the pairs of one person, from {verdict.num_same:,} pairs"
    )
    return "\n".join(
        [
            f"{answer}: the distance is {sign} {verdict.threshold:.4g}, the threshold for a false-positive rate of "
            f"{verdict.asked:g} ({where})",
            f"at these resolutions it takes {_shown(verdict.false_positive)} of different people for one, from "
            f"{verdict.num_different:,} pairs of images",
            f"and {found}",
        ]
    )


def _shown(estimate: "Estimate") -> str:
    from rireid_jax.runs.calibration import percent

    rate, low, high = map(percent, (estimate.rate, estimate.low, estimate.high))
    return f"{rate} % (95 % interval: {low} to {high})"
