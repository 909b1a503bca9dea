"""Validation identities: a built data set seen without some people of training, on whom settings are chosen.

What is built does not change, and neither does its protocol hash, which belongs to queries and gallery.
"""

from dataclasses import dataclass, replace

from rireid_jax.components import DATASETS
from rireid_jax.data.batches import Source
from rireid_jax.data.build.dataset import Built
from rireid_jax.data.keyed_random import keyed_order
from rireid_jax.data.records import Record
from rireid_jax.errors import UserError

_FEWEST = 2  # identities: among fewer, no match can be wrong, and there is nothing to classify


@dataclass(frozen=True)
class Selection:
    """Some of the records of a split, in its order.

    Attributes:
      source: the whole split.
      places: positions in it, ascending.
    """

    source: Source
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(f"index: found {index}, expected 0 to {len(self) - 1}")
        return self.source[self.places[index]]


def hold_out(data: Built, share: float, seed: int) -> Built:
    """Moves all images of some identities from the split `train` to a split `validation`.

    Images of nobody in particular (junk, distractors) stay in training.

    Args:
      data: a built data set.
      share: of the identities in `train`, in [0, 1), rounded to a whole number of at least two; 0: none.
      seed: of the recipe, not that of training, so that runs with other seeds hold out the same people.

    Returns:
      A view of the data set; `data` itself if the share is 0.

    Raises:
      UserError: fewer than two identities would be left to train on, or none that is held out was seen by two
        cameras, so that no match could be scored.
    """
    if not share:
        return data
    source = data.splits["train"]
    seen = [(record.pid, record.camid) for record in map(source.__getitem__, range(len(source)))]
    nobody = DATASETS[data.dataset].distractor
    people = [pid for pid in data.train_pids if pid >= 0 and pid != nobody]
    count = max(_FEWEST, round(share * len(people)))
    found = f"config.data.validation: found {share}, which holds out {count} of {len(people)} training identities"
    if len(people) - count < _FEWEST:
        raise UserError(f"{found}, expected at least {_FEWEST} on either side; 0 holds out none")
    held_out = {int(pid) for pid in keyed_order(seed, "validation", map(str, people))[:count]}
    views = {view for view in seen if view[0] in held_out}
    if len(views) == len(held_out):
        raise UserError(
            f"{found} and none in two cameras, expected a share with a match in another camera; 0 holds out none"
        )
    places = {
        "train": tuple(i for i, (pid, _) in enumerate(seen) if pid not in held_out),
        "validation": tuple(i for i, (pid, _) in enumerate(seen) if pid in held_out),
    }
    return replace(
        data,
        train_pids=tuple(pid for pid in data.train_pids if pid not in held_out),
        validation_pids=tuple(sorted(held_out)),
        splits={**data.splits, **{name: Selection(source, own) for name, own in places.items()}},
    )
