"""Writes tests/parity/golden, what PyTorch computes, for machines without it: `make golden`."""

from pathlib import Path

import numpy as np
import torch
from torch_reference import losses, train

from .narrow import IDENTITIES, STAGES
from .pairs import from_torch, make_reference, numpy_state, to_torch

FOLDER = Path(__file__).parent / "golden"
GOLDEN_WIDTH = 1 / 32


def network(variant: str) -> dict[str, np.ndarray]:
    """Weights, a batch, and what a network and its losses make of it in evaluation and in training."""
    reference = make_reference(variant, GOLDEN_WIDTH)
    rng = np.random.default_rng(0)
    golden = {f"state/{name}": array for name, array in numpy_state(reference).items()}
    image, target = rng.standard_normal((2, 4, 64, 32, 3)).astype(np.float16)
    valid, label = np.array([1, 1, 0, 1]), np.array([0, 3, 4, 3])
    resolution = np.array([0.25, 0.5, 0.75, 1.0])
    golden |= {"image": image, "target": target, "valid": valid, "label": label}
    golden |= {"resolution": resolution}
    reference.double()
    mask = losses.gaussian_mask(64, 32) if variant == "paper" else losses.released_mask(64, 32)
    batch = train.Batch(
        image=to_torch(image).double(),
        target=to_torch(target).double(),
        mask=mask.double().expand(4, 1, 64, 32),
        valid=torch.from_numpy(valid > 0),
        resolution=torch.from_numpy(resolution),
        pid=torch.from_numpy(label),
    )
    for mode in ("evaluation", "training"):
        restored, rife = reference.train(mode == "training")(batch.image)
        golden[f"{mode}/restored"] = from_torch(restored)[0]  # one is enough, and small
        golden[f"{mode}/feature"] = rife.feature.detach().numpy()
        gates = torch.stack([rife.weight_low, rife.weight_high], dim=-1)
        golden[f"{mode}/gates"] = gates.detach().numpy()
    golden["training/logits"] = rife.logits.detach().numpy()
    after = numpy_state(reference)
    golden |= {f"after/{name}": array for name, array in after.items() if "running" in name}
    objective = train.joint_objective if variant == "paper" else train.released_objective
    golden["loss"] = objective(reference, batch).detach().numpy()
    return golden


def optimizers() -> dict[str, np.ndarray]:
    """Twenty steps of both optimizers on given gradients, the learning rate dropping at the tenth."""
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(7), rng.standard_normal((20, 7))
    golden = {"start": start, "gradients": gradients}
    for name, make in (("sgd", train.paper_optimizer), ("adam", train.released_optimizer)):
        layer = torch.nn.Linear(7, 1, bias=False).double()
        layer.weight.data[0] = torch.from_numpy(start)
        optimizer, scheduler = make(layer, learning_rate=0.01, milestones=[10])
        for gradient in gradients:
            layer.weight.grad = torch.from_numpy(gradient)[None].clone()
            optimizer.step()
            scheduler.step()
        golden[name] = layer.weight.detach().numpy()[0]
    return golden


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for variant in STAGES:
        golden = {"identities": np.array(IDENTITIES), **network(variant)}
        single = {
            name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in golden.items()
        }
        np.savez_compressed(FOLDER / f"{variant}.npz", **single)
    np.savez_compressed(FOLDER / "optimizers.npz", **optimizers())


if __name__ == "__main__":
    main()
