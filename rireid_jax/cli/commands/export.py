"""`rireid export`: a trained network as a file for other programs."""

import argparse
import os
from pathlib import Path

from rireid_jax.cli.arguments import add_model, open_model
from rireid_jax.components import COMMANDS
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

SUFFIXES = {
    "onnx": (".onnx",),
    "stablehlo": (".stablehlo", ".bin"),
    "torch": (".safetensors", ".pth", ".pt"),
}
INPUTS = ("uint8", "float")


@COMMANDS.register("export")
class Export:
    """Writes ONNX or StableHLO, compared with JAX before, or weights for PyTorch."""

    SUMMARY = "write the network as ONNX, StableHLO or weights for PyTorch"
    EXAMPLE = "rireid export --model runs/mine --format onnx --out mine.onnx"

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """See `cli.commands`."""
        add_model(parser, runs=False)
        parser.add_argument(
            "--format",
            required=True,
            choices=SUFFIXES,
            help="onnx: opset 17, any number of images, checked by onnxruntime. stablehlo: of jax.export, for serving "
            "and not for keeping, as JAX promises to read it for six months. torch: the weights alone, under the names "
            "of the network in PyTorch",
        )
        parser.add_argument(
            "--out",
            required=True,
            metavar="F",
            help="file to write: " + "; ".join(", ".join(ends) for ends in SUFFIXES.values()),
        )
        parser.add_argument(
            "--input",
            choices=INPUTS,
            help="uint8 (the default): RGB images [N, H, W, 3], restored images are float32 in [0, 1]. float: float32 "
            "[N, 3, H, W], normalised by the mean and deviation of ImageNet, as restored images then are",
        )

    @staticmethod
    def run(arguments: argparse.Namespace) -> None:
        """See `cli.commands`."""
        kind, out = arguments.format, Path(expanded(arguments.out, "--out"))
        if out.suffix.lower() not in SUFFIXES[kind]:
            raise UserError(
                f"--out: found {arguments.out}, expected a name that ends with "
                f"{' or '.join(SUFFIXES[kind])} for --format {kind}"
            )
        if not out.parent.is_dir() or not os.access(out.parent, os.W_OK) or out.is_dir():
            raise UserError(
                f"--out: found {arguments.out}, expected a file in a folder to write to"
            )
        if kind == "torch" and arguments.input:
            raise UserError(
                "--input: found with --format torch, expected onnx or stablehlo: weights have no input"
            )
        extractor = open_model(arguments)
        if kind == "torch":
            extractor.to_torch(out)
        else:
            from etils import epath

            from rireid_jax import export
            from rireid_jax.runs.files import write_whole

            if extractor.views != "one":
                raise UserError(
                    f"--model: found features that are means over views (config.eval.views {extractor.views!r}), "
                    "expected 'one': the file holds the network alone"
                )
            model = export.Model(
                extractor.network,
                extractor.variables,
                extractor.image_size,
                extractor.normalised,
                extractor.width_max,
                extractor.fingerprint,
                extractor.stage,
            )
            write = {"onnx": export.to_onnx, "stablehlo": export.to_stablehlo}[kind]
            write_whole(epath.Path(out), write(model, arguments.input or "uint8"))
        print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
