"""A network that says no names of its weights: an error in both directions, and never zeros."""

import flax.linen as nn
import jax.numpy as jnp
import pytest

from rireid_jax.errors import UserError
from rireid_jax.models.interfaces import Extractor, SuperResolution
from rireid_jax.models.network import Network, zero_variables
from rireid_jax.models.srcnn import SRCNN
from rireid_jax.weights import from_state_dict, to_state_dict


class Nameless(SuperResolution):
    @nn.compact
    def __call__(self, image):
        return nn.Conv(3, (1, 1))(image)


class NamelessToo(Extractor):
    @nn.compact
    def __call__(self, image, train):
        feature = nn.Dense(2)(image.mean((1, 2)))
        return feature, feature, jnp.zeros((len(image), 0, 2))


@pytest.mark.parametrize(
    "network",
    [
        Network(Nameless(), None),
        Network(None, NamelessToo()),
        Network(SRCNN(1 / 32), NamelessToo()),
    ],
)
def test_a_network_without_names_is_an_error(network):
    with pytest.raises(UserError, match=r"Nameless\w*: found no names of its weights in PyTorch"):
        to_state_dict(zero_variables(network), network)
    with pytest.raises(UserError, match=r"Nameless\w*: found no names of its weights in PyTorch"):
        from_state_dict({}, network)


def test_an_empty_file_is_an_error():
    with pytest.raises(UserError, match="6 of 6 tensors are missing"):
        from_state_dict({}, Network(SRCNN(1 / 32), None))
