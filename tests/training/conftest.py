"""What the tests of training share."""

import gc

import jax
import pytest


@pytest.fixture(scope="module")
def float64():
    """Sets it for all threads: initial parameters are drawn in one of the runtime's."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture(autouse=True)
def no_tasks_are_left_to_the_next_test(request):
    """Collects what `checkpoint_states.torn` warns of within the test that it marks."""
    yield
    if request.node.get_closest_marker("filterwarnings"):
        gc.collect()
