"""CSR-GAN's generators, cascade, discriminators and adversarial gradients against PyTorch in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch_reference import csr_gan as theirs

from rireid_jax.models.network import Network
from rireid_jax.paper.systems import csr_gan_losses as losses
from rireid_jax.paper.systems import csr_gan_networks as ours
from rireid_jax.weights import from_state_dict

from .pairs import from_torch, numpy_state, randomise_norms, relative_error, to_torch

pytestmark = pytest.mark.torch

LIMIT, GRADIENT_LIMIT = 1e-12, 1e-11
BLOCKS, WIDTH = 2, 1 / 8
# Compiling takes longer than anything else here.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def images(height, width, count=4, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, (count, height, width, 3)))


def tree_of(arrays):
    """{"params", "batch_stats"} of arrays by PyTorch's names, which are ours but for a layer's own."""
    kinds = {"weight": "kernel", "running_mean": "mean", "running_var": "var"}
    out = {"params": {}, "batch_stats": {}}
    for name, value in arrays.items():
        layer, _, end = name.rpartition(".")
        if end == "num_batches_tracked":
            continue
        value = np.asarray(value)
        if end == "weight" and layer.endswith("_bn"):
            end = "scale"
        else:
            value = value.transpose({4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[value.ndim])
        kind = "batch_stats" if end.startswith("running") else "params"
        out[kind].setdefault(layer, {})[kinds.get(end, end)] = jnp.asarray(value)
    return out


def gradients(reference):
    return tree_of({n: p.grad.numpy() for n, p in reference.named_parameters()})["params"]


def test_generator():
    torch.manual_seed(0)
    reference = theirs.Generator(BLOCKS, WIDTH).double()
    randomise_norms(reference)
    variables = tree_of(numpy_state(reference))
    module = ours.Generator(BLOCKS, WIDTH, jnp.float64)
    x, real = images(6, 4), images(12, 8, seed=1)

    def objective(params):
        own = {**variables, "params": params}
        generated, updates = module.apply(own, x, True, mutable=["batch_stats"])
        evaluated = module.apply(own, x, False)
        loss = losses.pixel_loss(generated, jnp.asarray(real)).mean()
        return loss, (generated, evaluated, updates["batch_stats"])

    grads, found = jit(jax.grad(objective, has_aux=True))(variables["params"])
    with torch.no_grad():
        evaluated = reference.eval()(to_torch(x))
    generated = reference.train()(to_torch(x))
    torch.nn.functional.mse_loss(generated, to_torch(real)).backward()
    after = tree_of(numpy_state(reference))["batch_stats"]
    expected = (from_torch(generated.detach()), from_torch(evaluated), after)
    assert relative_error(*map(jax.tree.leaves, (found, expected))) < LIMIT
    assert relative_error(grads, gradients(reference)) < GRADIENT_LIMIT


def test_cascade_takes_as_many_generators_as_an_image_needs():
    torch.manual_seed(0)
    reference = torch.nn.ModuleDict({"csr_gan": theirs.Cascade(BLOCKS, WIDTH)}).double()
    randomise_norms(reference)
    network = Network(ours.CSRGAN(BLOCKS, WIDTH, jnp.float64), None)
    variables, report = from_state_dict(numpy_state(reference), network)
    assert not report.unexpected
    widths = [1, 4, 5, 8, 9, 16, 17, 32]
    x = images(64, 32, len(widths))
    restore = jit(lambda v, x, w: network.apply(v, x, native_width=w).restored)
    restored = restore(variables, jnp.asarray(x), jnp.asarray(widths, jnp.int32))
    with torch.no_grad():
        expected = from_torch(reference.eval()["csr_gan"](to_torch(x), widths))
    # MEAN and DEVIATION are float32 here, which one part in 10^8 is lost by.
    assert relative_error(restored, expected) < 1e-7
    np.testing.assert_allclose(restored[-2:], x[-2:], atol=1e-12)
    assert np.abs(restored[:-2] - x[:-2]).max() > 0.1
    # An image of unknown width passes all generators.
    unknown = jit(lambda v, x: network.apply(v, x).restored)(variables, jnp.asarray(x))
    np.testing.assert_allclose(unknown[0], restored[0], atol=1e-12)


@pytest.mark.parametrize("size", [(24, 8), (96, 40)])
def test_discriminator(size):
    """24x8 comes to a side of three and of one pixel, where TensorFlow pads one side more than the other."""
    torch.manual_seed(0)
    reference = theirs.Discriminator(size, WIDTH).double()
    randomise_norms(reference)
    variables = tree_of(numpy_state(reference))
    module = ours.Discriminator(WIDTH, jnp.float64)
    real, fake = images(*size), images(*size, seed=1)

    def logits(variables, x):
        return module.apply(variables, x, mutable=["batch_stats"])

    def objective(params, fake):
        of_real, updates = logits({**variables, "params": params}, real)
        of_fake, updates = logits({"params": params, **updates}, fake)
        loss = losses.discriminator_loss(of_real, of_fake).mean()
        return loss, (of_real, of_fake, updates["batch_stats"], loss)

    grads, found = jit(jax.grad(objective, has_aux=True))(variables["params"], fake)
    reference.train()
    of_real, of_fake = reference(to_torch(real)), reference(to_torch(fake))
    loss = theirs.discriminator_loss(of_real, of_fake)
    loss.backward()
    after = tree_of(numpy_state(reference))["batch_stats"]
    expected = (of_real.detach().numpy(), of_fake.detach().numpy(), after, loss.item())
    assert relative_error(*map(jax.tree.leaves, (found, expected))) < 1e-11
    assert relative_error(grads, gradients(reference)) < GRADIENT_LIMIT

    # What a generator gets through it.
    def fooling(fake):
        return losses.adversarial_loss(logits(variables, fake)[0]).mean()

    theirs_in = to_torch(fake).requires_grad_()
    theirs.generator_loss(theirs_in, theirs_in.detach(), reference(theirs_in), 1.0).backward()
    found = jit(jax.grad(fooling))(jnp.asarray(fake))
    assert relative_error(found, from_torch(theirs_in.grad)) < GRADIENT_LIMIT
