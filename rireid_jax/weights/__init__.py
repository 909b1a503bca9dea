"""Reads and writes PyTorch's weight files.

A network says which tensor of a `state_dict` is which of our variables (`models.torch_names`), and the same rows serve
to read and to write. Reading is strict: a missing tensor or a wrong shape is an error, and unexpected tensors are
reported. Files are data: no code in them is ever run.
"""

from rireid_jax.weights.convert import Loaded as Loaded
from rireid_jax.weights.convert import from_state_dict as from_state_dict
from rireid_jax.weights.convert import load_backbone as load_backbone
from rireid_jax.weights.convert import load_released as load_released
from rireid_jax.weights.convert import load_resnet50 as load_resnet50
from rireid_jax.weights.convert import to_state_dict as to_state_dict
from rireid_jax.weights.files import read_state_dict as read_state_dict
from rireid_jax.weights.files import write_state_dict as write_state_dict
