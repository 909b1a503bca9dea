"""What `rireid serve` shows: a query by image, and the results of a run.

`query`, `answers` and `run_results` compute, without Gradio; `texts` and `pictures` turn that into HTML; `layout` puts
it together with Gradio; `guard` and `server` decide who may ask for what. Pictures travel inside the page, so nothing
but uploads ever lies on the disk, and those only until they are read.
"""
