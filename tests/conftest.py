"""What every test shares: eight virtual CPU devices and parsed absl flags."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "")  # nothing of the user's, unless a test asks

from absl import flags

# Grain's worker processes read absl flags, which pytest never parses.
flags.FLAGS.mark_as_parsed()
