"""The tab with the results of a run."""

from rireid_jax.cli.page.messages import answering
from rireid_jax.cli.page.pictures import file_address
from rireid_jax.cli.page.run_results import ALL, MEASURES, RIGHT, WRONG, RunResults
from rireid_jax.cli.page.texts import pictures_html, table_html

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito's
_COLUMNS = ["query", "person", "r", "at rank 1", "average precision (%)"]
_BINS = ["r of the query", "right", "wrong", "right (%)"]


def results_tab(run: RunResults) -> None:
    """Adds the components, inside the tab that is open."""
    import gradio as gr
    import pandas as pd

    def curve(measure: str) -> pd.DataFrame:
        columns = ["system", "r of the query (middle of the bin)", f"{measure} (%)", "queries"]
        return pd.DataFrame(run.curve(measure), columns=columns)

    gr.HTML(table_html(run.folder.name, run.text))
    gr.Markdown("### By resolution")
    with gr.Row():
        for measure in MEASURES:
            data = curve(measure)
            gr.LinePlot(
                data,
                x=data.columns[1],
                y=data.columns[2],
                color="system",
                color_map=dict(zip(run.systems, _COLOURS, strict=False)),
                title=f"{measure} by the resolution of the query",
                x_lim=[0.0, 1.0],
                y_lim=[0.0, 100.0],
                tooltip=list(data.columns),
                height=300,
                buttons=[],
            )
    if run.pictures:
        gr.Markdown("### Pictures")
        gr.HTML(pictures_html([(file_address(path), title) for path, title in run.pictures]))
    if run.queries is not None and run.queries.outcomes:
        _queries(run)


def _queries(run: RunResults) -> None:
    import gradio as gr

    assert run.queries is not None
    stages = list(run.queries.outcomes)
    with gr.Row():
        gr.Markdown("### Queries right and wrong")
    with gr.Row():
        stage = gr.Dropdown(stages, value=stages[0], label="System", scale=1)
        which = gr.Radio([ALL, RIGHT, WRONG], value=WRONG, label="Queries", scale=3)
    with gr.Row(equal_height=False):
        bins = gr.Dataframe(
            run.counts(stages[0]),
            headers=_BINS,
            interactive=False,
            label="Right at rank 1",
            scale=2,
        )
        rows = gr.Dataframe(
            run.query_rows(stages[0], WRONG),
            headers=_COLUMNS,
            interactive=False,
            label="Queries, the worst average precision first (up to 1,000)",
            max_height=420,
            scale=3,
        )
    gr.Markdown(
        "A query is named by its number in the split: a run keeps outcomes, not names or pictures."
    )

    @answering
    def show(stage: str, which: str) -> tuple[list[list[object]], list[list[object]]]:
        return run.counts(stage), run.query_rows(stage, which)  # type: ignore[return-value]

    for control in (stage, which):
        control.change(
            show, [stage, which], [bins, rows], api_visibility="private", concurrency_id="page"
        )
