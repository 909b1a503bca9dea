"""Keys of a `state_dict` that others have put a prefix before, or taken one from."""

from collections.abc import Collection, Sequence

from rireid_jax.errors import UserError
from rireid_jax.models.torch_names import Tensor
from rireid_jax.weights.files import StateDict

# Part of MoCo's prefixes, of the copies that follow the trained network slowly.
_SLOW_COPIES = ("encoder_k", "momentum_encoder")


def with_names(state: StateDict, rows: Sequence[Tensor], source: str) -> tuple[StateDict, str]:
    """Returns a `state_dict` under the names of a network, and what was done to its keys in words; "" for nothing.

    A prefix that the keys have and the names lack, such as "base.", is taken off, and one that they lack is put in
    front, if more of the tensors, at least half of them, are then there.

    Args:
      state: arrays by key.
      rows: tensors of the network.
      source: name of the source of `state` in error messages.

    Raises:
      UserError: the tensors are there under several prefixes.
    """
    names = {name for row in rows for name in row.names}
    enough = max(_count(state, rows, "", "") + 1, (len(rows) + 1) // 2)
    best: list[tuple[str, str]] = []
    for inner in ("", _common_prefix(names)):
        counts = {
            outer: _count(state, rows, outer, inner) for outer in _prefixes(state, rows, inner)
        }
        most = max(counts.values(), default=0)
        if most >= enough:
            best = [(outer, inner) for outer, count in counts.items() if count == most]
            break
    else:
        return state, ""
    best = [change for change in best if not _is_slow_copy(change[0])] or best
    if len(best) > 1:
        found = " and ".join(repr(outer) for outer, _ in best)
        raise UserError(
            f"{source}: found the tensors below {found}, expected one of them; keep one in the file"
        )
    outer, inner = best[0]
    renamed = {}
    for key, value in state.items():
        if key.startswith(outer):
            rest = key[len(outer) :]
            renamed[inner + rest if inner + rest in names else rest] = value
    others = {key: value for key, value in state.items() if not key.startswith(outer)}
    words = [f"prefix {outer!r} taken off"] if outer else []
    words += [f"prefix {inner!r} put in front"] if inner else []
    return others | renamed, " and ".join(words)


def _prefixes(state: StateDict, rows: Sequence[Tensor], inner: str) -> list[str]:
    """What may stand before the names, without `inner`; only names that are long enough tell."""
    ends = {name[len(inner) :] for row in rows[:3] for name in row.names if name.startswith(inner)}
    found = {
        key[: len(key) - len(end)] for end in ends if end for key in state if key.endswith(end)
    }
    return sorted(prefix for prefix in found if prefix == "" or prefix.endswith("."))


def _count(state: StateDict, rows: Sequence[Tensor], outer: str, inner: str) -> int:
    """How many tensors are there if a prefix is taken off and another put in front."""
    return sum(
        any(name.startswith(inner) and outer + name[len(inner) :] in state for name in row.names)
        for row in rows
    )


def _common_prefix(names: Collection[str]) -> str:
    """The modules that all names begin with, such as "features."."""
    common = []
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(f"{parts[0]}.")
    return "".join(common)


def _is_slow_copy(prefix: str) -> bool:
    return any(part in _SLOW_COPIES for part in prefix.split("."))
