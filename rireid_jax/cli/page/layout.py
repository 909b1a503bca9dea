"""The page itself, in Gradio: two tabs, and which function answers which click."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rireid_jax.cli.page import texts
from rireid_jax.cli.page.messages import answering
from rireid_jax.cli.page.query import Answer, Query, answers_to, ask
from rireid_jax.cli.page.results_tab import results_tab
from rireid_jax.cli.page.run_results import RunResults
from rireid_jax.cli.page.uploads import MOST_BYTES, MOST_PIXELS, take_picture
from rireid_jax.errors import UserError
from rireid_jax.gallery import Gallery
from rireid_jax.runs.calibration import FPR, Calibration
from rireid_jax.runs.extractor import Extractor

if TYPE_CHECKING:
    import gradio as gr

_RATES = [
    (f"{100 * rate:g} %, 1 in {round(1 / rate):,}", rate) for rate in (0.1, 0.01, FPR, 0.0001)
]
_MOST_VISITORS = 200  # whose last query is kept in memory, 1 MB each
_MOST_CHOICES = 1000  # names in a list to choose from; others can be typed
_EVENT: dict[str, Any] = {
    "api_visibility": "private",
    "concurrency_id": "page",
    "show_progress": "minimal",
}
_OPEN = """
element.addEventListener('click', event => {
  const card = event.target.closest('[data-rank]');
  if (card) trigger('click', {rank: Number(card.dataset.rank)});
});
"""
_SHOW = "watch('value', () => element.scrollIntoView({block: 'nearest', behavior: 'smooth'}));"


@dataclass(frozen=True)
class Shown:
    """What the page is about.

    Attributes:
      model: its name, for the title.
      extractor: the model.
      gallery: None for none.
      calibration: of the model; None where it has none.
      run: None where there are no results.
      images: folder whose pictures may be shown; None for none.
      uploads: folder of what a browser sends.
    """

    model: str
    extractor: Extractor
    gallery: Gallery | None
    calibration: Calibration | None
    run: RunResults | None
    images: Path | None
    uploads: Path


def build_page(shown: Shown) -> "gr.Blocks":
    """The page, not yet served."""
    import gradio as gr

    with gr.Blocks(
        title="rireid", analytics_enabled=False, fill_width=True, delete_cache=(30, 60)
    ) as page:
        gr.HTML(texts.title_html(shown.model, _facts(shown)))
        with gr.Tabs():
            with gr.Tab("Search" if shown.gallery is not None else "Look", id="search"):
                _search_tab(shown)
            if shown.run is not None:
                with gr.Tab("Results of the run", id="results"):
                    results_tab(shown.run)
    page.state_session_capacity = _MOST_VISITORS
    page.queue(max_size=32, default_concurrency_limit=1, api_open=False)
    return page


def _facts(shown: Shown) -> list[str]:
    facts = [f"fingerprint {shown.extractor.fingerprint}"]
    if shown.gallery is not None:
        found = shown.gallery.stats()
        facts.append(
            f"gallery of {found.rows:,} images, {found.persons:,} persons, {found.cameras:,} cameras"
        )
    calibration = shown.calibration
    facts.append(
        f"calibrated on {calibration.num_people:,} people" if calibration else "not calibrated"
    )
    return facts


def _search_tab(shown: Shown) -> None:
    import gradio as gr

    state = gr.State(None, time_to_live=3600)
    found = gr.State(None, time_to_live=3600)
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=260):
            upload = gr.Image(
                label="Picture of one person",
                type="filepath",
                sources=["upload", "clipboard"],
                height=220,
                buttons=[],
                elem_id="upload",
                placeholder="Drop a picture here\n- or -\nclick to choose one",
            )
            gr.HTML(
                texts.hint(
                    f"Up to {MOST_BYTES // 10**6} MB and {MOST_PIXELS // 10**6} million pixels. "
                    "It is deleted as soon as it is read."
                )
            )
            controls = _controls(shown) if shown.gallery is not None else []
        with gr.Column(scale=4):
            plain: dict[str, Any] = {"apply_default_css": False}
            start = texts.hint("Upload a picture of one person.")
            seen = gr.HTML(start, elem_id="seen", **plain)
            opened = gr.HTML("", js_on_load=_SHOW, elem_id="opened", **plain)
            ranked = gr.HTML("", js_on_load=_OPEN, elem_id="ranked", **plain)
    _only_uploads(upload)

    def answers(query: Query | None, *chosen: Any) -> list[Answer]:
        if query is None or shown.gallery is None:
            return []
        cameras, persons, top, fpr = chosen
        return answers_to(
            query,
            shown.gallery,
            shown.calibration,
            top=int(top),
            fpr=float(fpr),
            persons=persons or (),
            cameras=cameras or (),
        )

    def list_of(query: Query | None, ranking: list[Answer]) -> str:
        if query is None or shown.gallery is None:
            return ""
        return texts.ranked_html(ranking, shown.images)

    @answering
    def query(path: str | None, *chosen: Any) -> tuple[Any, ...]:
        if path is None:
            raise UserError("picture: found none, expected one")
        asked = ask(shown.extractor, take_picture(path, shown.uploads))
        ranking = answers(asked, *chosen)
        look = texts.query_html(asked, shown.extractor.width_max)
        return None, asked, ranking, look, list_of(asked, ranking), ""

    @answering
    def choose(asked: Query | None, *chosen: Any) -> tuple[Any, ...]:
        ranking = answers(asked, *chosen)
        return ranking, list_of(asked, ranking), ""

    @answering
    def show(asked: Query | None, ranking: list[Answer] | None, event: gr.EventData) -> str:
        number = getattr(event, "rank", 0)
        if asked is None or not ranking or number not in range(1, len(ranking) + 1):
            raise UserError("result: found none of this rank, expected another search")
        return texts.opened_html(ranking[number - 1], asked, shown.images)

    answered = [upload, state, found, seen, ranked, opened]
    asking = upload.upload(query, [upload, *controls], answered, show_progress_on=[seen], **_EVENT)
    # What is no picture leaves an empty page, ready for another one.
    asking.failure(lambda: (None, None, None, start, "", ""), None, answered, **_EVENT)
    for control in controls:
        event = control.release if isinstance(control, gr.Slider) else control.change
        event(choose, [state, *controls], [found, ranked, opened], **_EVENT)
    ranked.click(show, [state, found], [opened], **_EVENT)


def _controls(shown: Shown) -> list[Any]:
    """Cameras, persons, how many, and the false-positive rate, in this order."""
    import gradio as gr

    assert shown.gallery is not None
    persons, cameras = shown.gallery.labels()
    chosen = [
        gr.Dropdown(
            names[:_MOST_CHOICES],
            value=[],
            multiselect=True,
            allow_custom_value=len(names) > _MOST_CHOICES,
            label=label,
            info=info,
            elem_id=label.lower(),
        )
        for names, label, info in (
            (cameras, "Cameras", "all, unless some are chosen"),
            (persons, "Persons", "all, unless some are chosen"),
        )
    ]
    top = gr.Slider(1, 100, value=12, step=1, label="Results", elem_id="top")
    rate = gr.Dropdown(
        _RATES,
        value=FPR,
        label="False-positive rate",
        info="how often two different people may be taken for one",
        visible=shown.calibration is not None,
    )
    return [*chosen, top, rate]


def _only_uploads(upload: "gr.Image") -> None:
    """Takes the path of an upload as it is.

    Gradio would decode the picture itself, before its size is checked, and would fetch one from any address. A class
    of our own would make it write a file next to this one.
    """

    async def uploaded(place: str | Path | None) -> str | None:
        return None if place is None else str(place)

    def path(payload: Any) -> str | None:
        return None if payload is None else payload.path

    setattr(upload, "async_move_resource_to_block_cache", uploaded)  # noqa: B010  mypy
    setattr(upload, "preprocess", path)  # noqa: B010
