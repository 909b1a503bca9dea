"""`rireid serve`: a page to search a gallery by picture, and to look at the results of a run."""

import argparse
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rireid_jax.cli.arguments import add_model, open_model
from rireid_jax.components import COMMANDS
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

if TYPE_CHECKING:
    from rireid_jax.cli.page.run_results import RunResults


@COMMANDS.register("serve")
class Serve:
    """Serves until Ctrl-C."""

    SUMMARY = "show a page on this machine: query a gallery by picture, look at a run"
    EXAMPLE = "rireid serve --model runs/mine --gallery people.db --images crops"

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Adds what is read below."""
        add_model(parser)
        parser.add_argument(
            "--gallery", metavar="URI", help="to search: people.db, or a Milvus server"
        )
        parser.add_argument(
            "--images",
            metavar="FOLDER",
            help="where the pictures of the gallery's entries lie; nothing outside of it is shown",
        )
        parser.add_argument(
            "--run",
            default="",
            metavar="RUN",
            help="work directory whose results are shown; by default MODEL, if it is one",
        )
        parser.add_argument(
            "--host",
            default="127.0.0.1",
            help="address to listen at. With another than this machine's own, everybody who can reach it can search: "
            "there is no password",
        )
        parser.add_argument(
            "--port", type=int, default=7860, help="0 for any free one; 7860 by default"
        )

    @staticmethod
    def run(arguments: argparse.Namespace) -> None:
        """Opens everything, then serves."""
        from rireid_jax.cli.page.server import bound, check_installed, private_folder, serve

        check_installed()
        images = Path(expanded(arguments.images, "--images")) if arguments.images else None
        if images is not None and not os.path.isdir(images):
            raise UserError(f"--images: {images} is not there, expected a folder")
        with (
            private_folder() as uploads,
            bound(arguments.host, arguments.port) as listening,
            ExitStack() as opened,
        ):
            from PIL import Image

            from rireid_jax.cli.page.layout import Shown, build_page
            from rireid_jax.cli.page.query import ask
            from rireid_jax.gallery import Gallery
            from rireid_jax.runs.calibration import load_calibration

            run = _results(arguments)
            extractor = open_model(arguments)
            blank = Image.new("RGB", (16, 32))
            ask(extractor, blank)  # compiles, and refuses a model without features
            calibration = load_calibration(arguments.model, extractor.fingerprint, arguments.stage)
            gallery = None
            if arguments.gallery:
                model = extractor.fingerprint, extractor.width_max
                gallery = opened.enter_context(Gallery.open(arguments.gallery, *model))
            name = os.path.basename(os.path.abspath(arguments.model))
            shown = Shown(name, extractor, gallery, calibration, run, images, uploads)
            serve(build_page(shown), listening, arguments.host, uploads)


def _results(arguments: argparse.Namespace) -> "RunResults | None":
    from etils import epath

    from rireid_jax.cli.page.run_results import read_run

    if arguments.run:
        folder = epath.Path(expanded(arguments.run, "--run"))
        found = read_run(folder)
        if found is None:
            raise UserError(f"--run: found no results.json in {folder}, expected that of a run")
        return found
    return None if arguments.variant else read_run(epath.Path(expanded(arguments.model, "--model")))
