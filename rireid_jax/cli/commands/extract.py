"""`rireid extract`: images as features in a file."""

import argparse
from pathlib import Path

from rireid_jax.cli.arguments import add_model, add_skip_bad, open_model
from rireid_jax.components import COMMANDS
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

_IMAGES = """image files; folders, with all below them; or CSV files with the columns path, id and camera in any order
under a header, or rows path[,id[,camera]], paths relative to the file"""


@COMMANDS.register("extract")
class Extract:
    """Extracts, and goes on where a killed extraction was."""

    SUMMARY = "write the features of images to a file"
    EXAMPLE = "rireid extract crops --model runs/mine --out crops.npz"

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Adds what is read below."""
        parser.add_argument("images", nargs="+", metavar="IMAGES", help=_IMAGES)
        add_model(parser)
        parser.add_argument(
            "--out",
            required=True,
            metavar="F",
            help="file to write, .npz or .parquet; until it is whole, the folder F.parts holds what is done, and the "
            "same command goes on from there",
        )
        add_skip_bad(parser)
        parser.add_argument(
            "--overwrite",
            action="store_true",
            help="replace F where it is of another model, of other images, or older than they are",
        )

    @staticmethod
    def run(arguments: argparse.Namespace) -> None:
        """Writes the file, and prints what is in it."""
        from rireid_jax.data.files import counted, some_of
        from rireid_jax.runs.extraction import extract_to_file
        from rireid_jax.runs.feature_table import check_format
        from rireid_jax.runs.image_lists import list_images

        out = Path(expanded(arguments.out, "--out"))
        check_format(out)
        if "://" in arguments.out or not out.parent.is_dir():
            raise UserError(
                f"--out: found {arguments.out}, expected a file in a folder on this machine"
            )
        images = list_images(arguments.images)
        table, already = extract_to_file(
            open_model(arguments),
            images,
            out,
            skip_bad=arguments.skip_bad,
            overwrite=arguments.overwrite,
        )
        if already:
            print(f"{out}: holds these images by this model already, nothing to do")
        rows, dim = table.features.shape
        print(
            f"{out}: {counted(rows, 'image')}, {counted(dim, 'number')} each, model {table.fingerprint}"
        )
        if table.skipped:
            print(f"skipped {counted(len(table.skipped), 'image')}: {some_of(table.skipped)}")
