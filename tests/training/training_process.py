"""One process of several that train: what `test_processes` starts.

Its arguments are one JSON object:
  out: folder with a work directory for each kind of parallelism.
  index, count, port: of the processes.
  kinds: of parallelism; under each, `STAGE` is trained to its end in the work directory of that name.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
from test_loop import CompiledOnce, stage_config, train

from rireid_jax import distributed
from rireid_jax.runs.metrics import MetricsWriter, NoMetrics

STAGE = "baseline"  # a stage with batch norm that compiles fast


def main(out: str, index: int, count: int, port: int, kinds: Sequence[str]) -> None:
    jax.config.update("jax_enable_x64", True)
    distributed.join(f"localhost:{port}", count, index)
    log = MetricsWriter if distributed.is_first() else lambda workdir: NoMetrics()
    for kind in kinds:
        config = stage_config("float64")
        train(Path(out) / kind, CompiledOnce(kind), config=config, stage=STAGE, log=log)
    distributed.leave()
    print(jax.device_count())


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
