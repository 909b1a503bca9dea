"""Building on Apache Beam: every shard an element, on one machine or on a cluster."""

import errno
import os
import shlex
from collections.abc import Callable, Sequence

from rireid_jax.errors import UserError


def run_on_beam(options: str, shards: Sequence[str], write: Callable[[str], object]) -> None:
    """Writes all shards and returns when they are written.

    Workers read the raw files and write the data set themselves: both folders must be where they
    can reach them under the same path.

    Args:
      options: of the pipeline, as on a command line, such as "--runner=DirectRunner".
      shards: names of the shards.
      write: writes one; picklable. Beam may call it again for a shard that was written.

    Raises:
      UserError: Apache Beam is not installed, or does not accept the options.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UserError(
            f"config.data.beam: found {options!r}, but Apache Beam is not installed, expected "
            "pip install -e '.[beam]', or '' to build in this process"
        ) from error
    expected = "expected options of an Apache Beam pipeline such as '--runner=DirectRunner'"
    arguments = shlex.split(options)
    # Beam passes over what it does not know, as it may be the runner's, and takes a runner of its own.
    if not any(argument.partition("=")[0] == "--runner" for argument in arguments):
        raise UserError(f"config.data.beam: found {options!r} without a --runner, {expected}")
    try:
        pipeline = beam.Pipeline(options=PipelineOptions(arguments))
    except (SystemExit, ValueError) as error:  # Beam parses by argparse, which exits
        raise UserError(f"config.data.beam: found {options!r}, {expected}") from error
    # Without Reshuffle, a runner may fuse the two and write all shards in one worker.
    _ = pipeline | beam.Create(shards) | beam.Reshuffle() | beam.Map(write)
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:  # what a runner raises is its own affair
        if os.strerror(errno.ENOSPC) in str(error):
            raise
        raise UserError(
            f"config.data.beam: the pipeline of {options!r} failed: {str(error).strip()[-500:]}; "
            "expected a runner that can be reached, and folders that its workers can reach"
        ) from error
