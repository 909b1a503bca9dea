"""The paper's losses, one value an example, and the foreground masks of Eq. 5."""

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_mask(
    height: int, width: int, sigma_height: float = 1 / 3, sigma_width: float = 1 / 3
) -> Tensor:
    """A Gaussian about the image's centre, 1 there; `[H, W]`.

    Args:
      height: H, pixels.
      width: W, pixels.
      sigma_height: standard deviation along the height, as a fraction of H.
      sigma_width: standard deviation along the width, as a fraction of W.
    """
    y = (torch.arange(height, dtype=torch.float64) - (height - 1) / 2) / (sigma_height * height)
    x = (torch.arange(width, dtype=torch.float64) - (width - 1) / 2) / (sigma_width * width)
    mask = torch.exp(-0.5 * y[:, None] ** 2 - 0.5 * x[None, :] ** 2)
    return mask.to(torch.get_default_dtype())


def released_mask(height: int, width: int, index_bug: bool = True) -> Tensor:
    """The mask of the authors' code, 2^-(|y-cy|/H) 2^-(|x-cx|/W); `[H, W]`.

    With `index_bug`, as published, the second factor reads the row where it means the column, and
    the mask is the same in every column.
    """
    row = torch.arange(height, dtype=torch.float64)[:, None].expand(height, width)
    column = torch.arange(width, dtype=torch.float64)[None, :].expand(height, width)
    second = row if index_bug else column
    y = (row - (height - 1) / 2).abs() / height
    x = (second - (width - 1) / 2).abs() / width
    return torch.exp2(-y - x).to(torch.get_default_dtype())


def ffsr_loss(restored: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Eq. 5 as a mean over channels and pixels, `[B]`.

    Args:
      restored: `[B, 3, H, W]`, normalised; likewise `target`.
      target: `[B, 3, H, W]`.
      mask: M, `[B, 1, H, W]`.
    """
    return (mask * (restored - target)).square().mean(dim=(1, 2, 3))


def resolution_loss(weight_low: Tensor, weight_high: Tensor, resolution: Tensor) -> Tensor:
    """Eq. 7 for every block: weights `[B, T]`, resolution r `[B]` in (0, 1] to `[B, T]`."""
    r = resolution[:, None]
    return (weight_low - (1 - r)).square() + (weight_high - r).square()


def identity_loss(logits: Tensor, pid: Tensor) -> Tensor:
    """Eq. 8, cross-entropy: logits `[B, N]`, labels `[B]` in [0, N) to `[B]`."""
    return F.cross_entropy(logits, pid, reduction="none")


def rife_loss(identity: Tensor, resolution: Tensor, beta: float = 0.1) -> Tensor:
    """Eq. 9: cross-entropies `[B]` and resolution losses `[B, T]` to `[B]`."""
    return identity + beta * resolution.sum(dim=1)


def mean_valid(loss: Tensor, valid: Tensor) -> Tensor:
    """Mean of losses `[B]` over the examples that are valid, 0 where none is."""
    valid = valid.to(loss.dtype)
    return (valid * loss).sum() / valid.sum().clamp(min=1)


def joint_loss(ffsr: Tensor, rife: Tensor, valid: Tensor, alpha: float = 1.0) -> Tensor:
    """Eq. 4 as means over the batch: Eq. 5 and Eq. 9 `[B]`, to a scalar.

    Args:
      ffsr: Eq. 5, `[B]`.
      rife: Eq. 9, `[B]`.
      valid: `[B]`, whether an example has a high-resolution image to be restored to.
      alpha: weight of the extractor's loss.
    """
    return mean_valid(ffsr, valid) + alpha * rife.mean()


def released_loss(ffsr: Tensor, identity: Tensor, resolution: Tensor, valid: Tensor) -> Tensor:
    """The weighting of the authors' code: CE + 0.1 SR + 0.01 sum of the gates' losses.

    Args:
      ffsr: Eq. 5, `[B]`.
      identity: Eq. 8, `[B]`.
      resolution: Eq. 7, `[B, 5]`.
      valid: `[B]`, as in `joint_loss`; the authors' data has no invalid example.
    """
    return identity.mean() + 0.1 * mean_valid(ffsr, valid) + 0.01 * resolution.sum(dim=1).mean()
