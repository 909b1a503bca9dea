"""Which images make a batch where identities are balanced: P identities with K images each (Hermans et al. 2017)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int

from rireid_jax.data.keyed_random import keyed_rng
from rireid_jax.errors import UserError


@dataclass(frozen=True)
class EvenGroups:
    """An endless sequence of groups of things, each thing in it as often as any other.

    A round is as many groups as it takes to have every thing once, in random order. Where the last group of a round
    has room left, things take turns to fill it, so that after whole rounds no thing is ahead of another by more than
    one. A group has a thing twice only if it is larger than the number of things; then it has all of them.

    Attributes:
      things: how many there are; a thing is a smaller number.
      size: of a group.
      seed: group number g is a function of (these attributes, g) alone.
    """

    things: int
    size: int
    seed: tuple[int, ...]

    def __getitem__(self, number: int) -> Int[np.ndarray, " size"]:
        """The things in a group."""
        copies, size = divmod(self.size, self.things)
        all_things = np.tile(np.arange(self.things), copies)
        if not size:
            return all_things
        part = EvenGroups(self.things, size, self.seed)
        number, place = divmod(number, part._groups_a_round)
        drawn = _round(part, number)[place * size : (place + 1) * size]
        return np.concatenate([all_things, drawn])

    def earlier(self, number: int, place: int) -> int:
        """How many groups before group `number` have the thing at its `place`, if no group has a thing twice."""
        thing = int(self[number][place])
        number, group = divmod(number, self._groups_a_round)
        # How many of the turns 0, 1, 2 ... were this thing's, and whether it has come in this round already.
        turns = (number * self._room - thing - 1) // self.things + 1
        fills = group == self._groups_a_round - 1 and place >= self.size - self._room
        return number + turns + fills

    @property
    def _groups_a_round(self) -> int:
        return -(-self.things // self.size)

    @property
    def _room(self) -> int:
        """Places in the last group of a round that are left when every thing has had one."""
        return self._groups_a_round * self.size - self.things


@lru_cache(maxsize=4096)  # a round serves many batches
def _round(groups: EvenGroups, number: int) -> Int[np.ndarray, " things_and_room"]:
    """The groups of a round, one after another. A group is at most as large as there are things."""
    rng = keyed_rng(groups.seed[0], "groups", *groups.seed[1:], number)
    order = rng.permutation(groups.things)
    room = groups._room
    again = (number * room + np.arange(room)) % groups.things
    # What fills the last group's room must not be there already.
    others = order[~np.isin(order, again)]
    last = others[len(others) - (groups.size - room) :]
    return np.concatenate([order[~np.isin(order, last)], last, again])


class IdentityBatches:
    """The record at every position of an endless sequence of batches of P identities with K images each.

    Identities come equally often, however many images they have, and so do the images of an identity, by
    `EvenGroups` in both cases. A position's record is a function of (pids, the other arguments, the position) alone.
    """

    def __init__(self, pids: Sequence[int], batch_size: int, images_per_identity: int, seed: int):
        """Sorts the records by identity.

        Args:
          pids: identity of every record.
          batch_size: images a batch over all processes, P * K.
          images_per_identity: K.
          seed: of both orders.

        Raises:
          UserError: the batch is no multiple of K, or there are fewer than P identities.
        """
        count, rest = divmod(batch_size, images_per_identity)
        images: dict[int, list[int]] = {}
        for record, pid in enumerate(pids):
            images.setdefault(pid, []).append(record)
        if rest or count > len(images):
            raise UserError(
                f"images_per_identity: found {images_per_identity} of {len(images)} identities for a "
                f"batch of {batch_size} images, expected a divisor of it and at least {-(-batch_size // len(images))}"
            )
        self._batch_size, self._shots, self._seed = batch_size, images_per_identity, seed
        self._identities = EvenGroups(len(images), count, (seed,))
        self._images = [images[pid] for pid in sorted(images)]

    def __getitem__(self, position: int) -> int:
        batch, place = divmod(position, self._batch_size)
        slot, shot = divmod(place, self._shots)
        identity = int(self._identities[batch][slot])
        images = self._images[identity]
        groups = EvenGroups(len(images), self._shots, (self._seed, identity))
        return images[groups[self._identities.earlier(batch, slot)][shot]]
