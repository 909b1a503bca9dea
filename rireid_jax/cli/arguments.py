"""Arguments that several commands of `rireid` share."""

import argparse
from typing import TYPE_CHECKING, NoReturn

from rireid_jax.errors import UserError

if TYPE_CHECKING:
    from rireid_jax.runs.extractor import Extractor

VARIANTS = ("released", "resnet50")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line like all others."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError instead of printing the usage."""
        raise UserError(f"{self.prog}: {message}; see {self.prog} --help")


def add_model(parser: argparse.ArgumentParser, required: bool = True, runs: bool = True) -> None:
    """Adds `--model`, `--variant`, `--stage` and, for a command that runs it, `--batch-size`, for `open_model`."""
    parser.add_argument(
        "--model",
        required=required,
        metavar="MODEL",
        help="work directory of a run, or a file of PyTorch weights together with --variant",
    )
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        help="what a PyTorch file holds: a checkpoint of the paper's authors' code, or a ResNet50",
    )
    parser.add_argument("--stage", default="", help="stage of the run; by default its final one")
    if runs:
        parser.add_argument(
            "--batch-size",
            type=int,
            default=64,
            help="images on the devices at once; 64 by default",
        )
    else:
        parser.set_defaults(batch_size=64)


def add_skip_bad(parser: argparse.ArgumentParser) -> None:
    """Adds `--skip-bad`."""
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out images that cannot be read, and name them, instead of ending at the first one",
    )


def open_model(arguments: argparse.Namespace) -> "Extractor":
    """The model that the arguments of `add_model` name.

    Raises:
      UserError: there is no such model, or the arguments do not go together.
    """
    from rireid_jax.cli.compilation import keep_compiled_programs
    from rireid_jax.runs.extractor import Extractor

    keep_compiled_programs()
    model, variant = arguments.model, arguments.variant
    if variant is None:
        if model.endswith((".pth", ".pt", ".safetensors")):
            raise UserError(
                f"--variant: not given with {model}, expected one of {', '.join(VARIANTS)}"
            )
        return Extractor.from_workdir(model, stage=arguments.stage, batch_size=arguments.batch_size)
    if arguments.stage:
        raise UserError("--stage: found with --variant, expected one of them")
    return Extractor.from_torch(model, variant, batch_size=arguments.batch_size)
