"""Downloads as other libraries prepare them: a folder for every identity, made of Market-1501's folders and others'."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from rireid_jax.data.dataset import Advice
from rireid_jax.doctor.folders import Folder, Tree

_LEVELS_DOWN = 3
_MOST_FOLDERS = 300  # that are looked at
_SPLITS = {"train", "train_all", "val", "query", "gallery", "multi-query", "test"}


@dataclass(frozen=True)
class _Known:
    """How the images of a download are named, and where it goes."""

    title: str
    name: re.Pattern[str]  # its first group is the identity
    datasets: str


_KNOWN = (
    _Known(
        "Market-1501",
        re.compile(r"(-1|\d{4})_c\ds\d_\d{6}_\d\d\.", re.ASCII),
        "mlr_market1501 and vr_market1501",
    ),
    _Known("DukeMTMC-reID", re.compile(r"(\d{4})_c\d_f\d{7}\.", re.ASCII), ""),
    _Known("MSMT17", re.compile(r"(\d{4})_\d{3}_\d\d_\d{4}\w+_\d{4}_\d", re.ASCII), "vr_msmt17"),
    _Known(
        "CUHK03",
        re.compile(r"(\d{4})_c\d_\d{1,2}\.|[1-5]_\d{3}_[12]_\d\d\.", re.ASCII),
        "mlr_cuhk03",
    ),
)


def prepared_downloads(tree: Tree) -> Iterator[Advice]:
    """Advice on folders that hold a known download in the layout of another library.

    layumi's `prepare.py` makes train, train_all, val, query, gallery and multi-query of it, with a folder for every
    identity; other libraries make of it folders of a part alone. torchreid's are in the download's own layout, or have
    the images of CUHK03 in `images_detected` and `images_labeled`.
    """
    for folder in islice(tree.root.walk(_LEVELS_DOWN), _MOST_FOLDERS):
        known = _known(folder)
        if known is None:
            continue
        is_split = folder is not tree.root and folder.path.name.lower() in _SPLITS
        place = folder.path.parent if is_split else folder.path
        advice = "which is retracted and no benchmark here"
        if known.datasets:
            advice = f"for the benchmark, choose {known.datasets} behind the config file and give the original download"
        yield Advice(
            f"{place} looks like {known.title} as another library prepares it, with a folder for every identity; "
            f"{advice}"
        )
        return


def _known(folder: Folder) -> _Known | None:
    """The download that images are named after, each in the folder of its identity."""
    for identity in folder.folders[:_MOST_FOLDERS]:
        for known in _KNOWN:
            match = known.name.match(identity.image_example)
            if match and match[1] in (None, identity.path.name):
                return known
    return None
