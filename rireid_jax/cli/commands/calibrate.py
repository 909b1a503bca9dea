"""`rireid calibrate`: from which distance on two images are the same person, by their resolutions."""

import argparse
from typing import TYPE_CHECKING

from rireid_jax.cli.arguments import add_model, open_model
from rireid_jax.components import COMMANDS
from rireid_jax.errors import UserError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from rireid_jax.runs.calibrating import LabelledImages
    from rireid_jax.runs.calibration import Calibration
    from rireid_jax.runs.extractor import Extractor


@COMMANDS.register("calibrate")
class Calibrate:
    """Thresholds of a model, written next to it."""

    SUMMARY = "find the distance from which two images are the same person, at each resolution"
    EXAMPLE = "rireid calibrate --model runs/mine --images crops.csv"

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_model(parser)
        parser.add_argument(
            "--images",
            default="",
            metavar="SOURCE",
            help="images of people on whom the model was NOT trained: a folder with a folder for each person, a CSV "
            "file path,id[,camera], or a table of rireid extract; by default the queries and gallery of the run",
        )
        parser.add_argument(
            "--fpr",
            type=float,
            default=0.001,
            help="false-positive rate to print the thresholds of; 0.001 by default",
        )

    @staticmethod
    def run(arguments: argparse.Namespace) -> None:
        from rireid_jax.config import base_config
        from rireid_jax.paths import expanded
        from rireid_jax.runs.calibrating import calibrate_model, of_source, write_calibration
        from rireid_jax.runs.calibration import calibration_table, check_rate, point_at
        from rireid_jax.runs.workdir import read_config

        check_rate("--fpr", arguments.fpr)
        model = expanded(arguments.model, "--model")
        if arguments.variant and not arguments.images:
            raise UserError("--images: not given with a PyTorch file, expected images of people")
        extractor = open_model(arguments)
        config = base_config("pedestrians") if arguments.variant else read_config(model)
        source = arguments.images
        images = of_source(extractor, source) if source else _own_images(extractor, config, model)
        found = calibrate_model(
            images, extractor.fingerprint, extractor.width_max, config.eval.bins, arguments.fpr
        )
        print(calibration_table(found, arguments.fpr))
        if all(point_at(pair, arguments.fpr) is None for pair in found.pairs):  # writes nothing
            raise UserError(f"--fpr: found {arguments.fpr:g}, expected {_least(found)}")
        print(f"\nin {write_calibration(found, model, arguments.stage)}")


def _own_images(extractor: "Extractor", config: "ConfigDict", workdir: str) -> "LabelledImages":
    """The queries and gallery of a run."""
    from rireid_jax.runs.calibrating import of_built
    from rireid_jax.runs.trial import build_dataset
    from rireid_jax.runs.workdir import read_data

    data = build_dataset(config, config.dataset)
    known = read_data(workdir).get(config.dataset, data.protocol_hash)
    if known != data.protocol_hash:  # whose people may be those of the training
        raise UserError(
            f"--model {workdir}: trained on {config.dataset} of protocol {known}, found protocol "
            f"{data.protocol_hash} in {config.data.dir}, expected the same data, or --images"
        )
    return of_built(extractor, config, data)


def _least(calibration: "Calibration") -> str:
    """What --fpr may be."""
    rates = [pair.points[0].asked for pair in calibration.pairs if pair.points]
    if not rates:
        return f"more people than the {calibration.num_people} in {calibration.source}"
    return f"at least {min(rates):g}, as there are {calibration.num_people} people"
