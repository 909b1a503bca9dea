"""Weights from and to PyTorch's files.

A network says which tensor of a `state_dict` is which of our variables (`models.torch_names`), and the same rows read
and write. Reading is strict: a tensor that is missing, or has another shape, is an error; what is left over is
reported. Files are data: nothing in them is ever run.
"""

from rireid_jax.weights.convert import Loaded as Loaded
from rireid_jax.weights.convert import from_state_dict as from_state_dict
from rireid_jax.weights.convert import load_backbone as load_backbone
from rireid_jax.weights.convert import load_released as load_released
from rireid_jax.weights.convert import load_resnet50 as load_resnet50
from rireid_jax.weights.convert import to_state_dict as to_state_dict
from rireid_jax.weights.files import read_state_dict as read_state_dict
from rireid_jax.weights.files import write_state_dict as write_state_dict
