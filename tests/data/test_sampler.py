"""Laws of the order in which identities are balanced."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rireid_jax.data.sampler import EvenGroups, IdentityBatches
from rireid_jax.errors import UserError

sizes = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 5))


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(1, 30))
def test_things_come_equally_often_in_a_group_and_over_all_groups(size, number):
    things, room, seed = size
    groups = EvenGroups(things, room, (seed,))
    counts = np.zeros(things, int)
    # What is more than whole copies comes once a round, and one of them twice if it is its turn.
    part = room % things
    for g in range(number):
        group = np.bincount(groups[g], minlength=things)
        assert (len(groups[g]), len(group)) == (room, things)
        assert group.max() - group.min() <= 1
        counts += group
        assert counts.max() - counts.min() <= 2
        if part and (g + 1) % -(-things // part) == 0:
            assert counts.max() - counts.min() <= 1


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(0, 20))
def test_earlier_counts(size, number):
    things, room, seed = size
    room = min(room, things)
    groups = EvenGroups(things, room, (seed,))
    seen = Counter(thing for g in range(number) for thing in groups[g].tolist())
    for place, thing in enumerate(groups[number].tolist()):
        assert groups.earlier(number, place) == seen[thing]


def test_rounds_and_seeds_differ():
    groups = EvenGroups(20, 5, (0,))
    rounds = [np.concatenate([groups[4 * r + g] for g in range(4)]) for r in range(3)]
    assert all(sorted(order) == list(range(20)) for order in rounds)
    assert len({tuple(order) for order in rounds}) == 3
    assert (EvenGroups(20, 5, (1,))[0] != groups[0]).any()


PIDS = np.repeat([7, 3, 11, 5, 2], [1, 2, 4, 9, 3]).tolist()  # image counts of five identities


def batches(count, pids=PIDS, batch_size=12, shots=4, seed=0):
    order = IdentityBatches(pids, batch_size, shots, seed)
    return [[order[t * batch_size + i] for i in range(batch_size)] for t in range(count)]


def test_a_batch_is_of_p_identities_with_k_images_each():
    for batch in batches(20):
        identities = [[PIDS[record] for record in batch[i : i + 4]] for i in range(0, 12, 4)]
        assert all(len(set(group)) == 1 for group in identities)
        assert len({group[0] for group in identities}) == 3
        for i, (pid, *_) in zip(range(0, 12, 4), identities, strict=True):
            counts = Counter(batch[i : i + 4])
            assert len(counts) == min(4, PIDS.count(pid))
            assert max(counts.values()) - min(counts.values()) <= 1


def test_identities_come_equally_often_and_so_do_their_images():
    records = Counter(record for batch in batches(60) for record in batch)
    identities = Counter()
    for record, count in records.items():
        identities[PIDS[record]] += count
    assert sum(identities.values()) == 60 * 12
    assert max(identities.values()) - min(identities.values()) <= 4 * 1  # 30 rounds of two batches
    for pid in set(PIDS):
        counts = [records[r] for r, p in enumerate(PIDS) if p == pid]
        assert max(counts) - min(counts) <= 2


def test_every_image_of_an_identity_comes_before_one_comes_again():
    seen = Counter()
    for batch in batches(20):
        for record in batch:
            if PIDS[record] == 11:  # as many images as a batch takes
                seen[record] += 1
        assert len(set(seen.values())) <= 1
    assert seen


def test_a_function_of_the_seed():
    assert batches(5) == batches(5)
    assert batches(5) != batches(5, seed=1)


@pytest.mark.parametrize(("batch_size", "shots"), [(12, 5), (24, 4)])
def test_too_few_identities_and_odd_batches(batch_size, shots):
    with pytest.raises(UserError, match=r"^images_per_identity: found \d of 5 identities"):
        IdentityBatches(PIDS, batch_size, shots, 0)
