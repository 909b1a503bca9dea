"""Forks a process for each line `ACTION PATH NUMBER` on stdin, which adds to a gallery or removes from it until killed.

Run as a script, so that each process starts with everything imported. It prints the process's id, what the process
prints, and `ended`.
"""

import os
import shutil
import signal
import sys

# So small that Milvus Lite writes and merges files all the time.
if __name__ == "__main__":
    os.environ["MILVUS_LITE_MEMTABLE_MEMORY_LIMIT_BYTES"] = "20000"

import pymilvus
from gallery_rows import MODEL, features

from rireid_jax.gallery import Entry, Gallery, engine, matching

BATCH = 5


def add(path: str, number: int) -> None:
    """Adds rows without end, and says after each batch how many are there."""
    rows = features(50_000)
    with Gallery.open(path, *MODEL, create=True) as gallery:
        while True:
            part = range(number, number + BATCH)
            gallery.add([Entry(str(i), f"p{i % 3}") for i in part], rows[part.start : part.stop])
            number += BATCH
            print(number, flush=True)


def remove(path: str, number: int) -> None:
    """Removes a person, and is killed at one of `POINTS`."""

    name, call, after = POINTS[number]
    owner = shutil if name == "rmtree" else pymilvus.MilvusClient
    whole = getattr(owner, name)
    calls = 0

    def dying(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == call and not after:
            if name == "rmtree":
                os.remove(os.path.join(args[0], "schema.json"))
            os.kill(os.getpid(), signal.SIGKILL)
        result = whole(*args, **kwargs)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    with Gallery.open(path, *MODEL) as gallery:
        setattr(owner, name, dying)
        gallery.remove(matching(persons=["Anastasia"]))
    print("was not killed", flush=True)


# What is called, the how manieth time, and whether the process dies after or before it. The rows are removed from
# the first deletion on.
POINTS = (
    *(("create_collection", 1, after) for after in (False, True)),
    *(("delete", 1, after) for after in (False, True)),
    *(("insert", 1, True), ("flush", 1, True)),
    *(("rename_collection", call, after) for call in (1, 2) for after in (False, True)),
    *(("rmtree", 2, False), ("drop_collection", 2, True)),
)

if __name__ == "__main__":
    engine.client_class(embedded=True)
    for line in sys.stdin:
        action, path, number = line.split()
        process = os.fork()
        if not process:
            sys.stdin.close()
            {"add": add, "remove": remove}[action](path, int(number))
            os._exit(0)
        print(process, flush=True)
        os.waitpid(process, 0)
        print("ended", flush=True)
