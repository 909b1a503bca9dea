"""How the page looks."""

# Okabe and Ito's blue, as in the pictures of runs; a tick says the same without colour.
CSS = """
.gradio-container { width: 100%; max-width: 1500px !important; margin: 0 auto; }
footer, #upload img, #opened:not(:has(.opened)), #ranked:not(:has(p, .hint)) { display: none !important; }
.title h1 { font-size: 1.4rem; font-weight: 650; margin: 0; }
.title p, .facts, .hint { color: var(--body-text-color-subdued); margin: .2rem 0; font-size: .9rem; }
#seen .hint { padding: 5rem 1rem; text-align: center;
  border: 1px dashed var(--border-color-primary); border-radius: 6px; }
.figures { display: flex; flex-wrap: wrap; gap: 1.2rem; align-items: flex-start; }
.figures figure { margin: 0; font-size: .85rem; }
.figures figure > b { display: block; margin-bottom: .3rem; }
.figures img, .figures .none { height: 240px; max-width: 320px; object-fit: contain; image-rendering: pixelated; }
.opened .figures img, .opened .figures .none { height: 340px; }
.none { display: flex; align-items: center; justify-content: center; min-width: 6rem; color: #667;
  background: var(--background-fill-secondary); border-radius: 4px; font-size: .8rem; }
figcaption { color: var(--body-text-color-subdued); margin-top: .3rem; }
.gates table { font-variant-numeric: tabular-nums; border-collapse: collapse; }
.gates th { font-weight: 500; text-align: left; padding: .2rem .6rem .2rem 0; }
.gates .bar { width: 90px; padding: .2rem .4rem .2rem 0; }
.gates .bar i { display: block; height: 12px; border-radius: 2px; }
.gates i.low { background: #d55e00; } .gates i.high { background: #0072b2; }
.gates .number { padding-right: 1.2rem; }
.gates th, .gates td, .opened th, .opened td { border: 0 !important; vertical-align: baseline; }
.opened table :is(th, td) { padding: .15rem 1.2rem .15rem 0 !important; }
.gates table :is(th, td) { padding-top: .15rem !important; padding-bottom: .15rem !important; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: .7rem; }
.card { position: relative; display: flex; flex-direction: column; gap: .1rem; padding: .6rem; text-align: left;
  border: 2px solid var(--border-color-primary); border-radius: 6px; background: var(--background-fill-primary);
  color: var(--body-text-color); font-size: .85rem; font-weight: 400; cursor: pointer;
  font-variant-numeric: tabular-nums; }
.card:hover, .card:focus-visible { border-color: var(--color-accent); outline: none; }
.card img, .card .none { height: 168px; width: 100%; object-fit: contain; image-rendering: pixelated;
  margin-bottom: .3rem; }
.card .rank { position: absolute; top: .4rem; left: .5rem; font-weight: 650; background: var(--background-fill-primary);
  border-radius: 4px; padding: 0 .35rem; }
.card .name { color: var(--body-text-color-subdued); font-size: .75rem; overflow-wrap: anywhere; }
.card .verdict { font-weight: 600; } .card .who { overflow-wrap: anywhere; }
.card.same { border-color: #0072b2; } .card.same .verdict { color: #0072b2; }
.dark .card.same { border-color: #56b4e9; } .dark .card.same .verdict { color: #56b4e9; }
.card.open .verdict, .card.untold .verdict { color: var(--body-text-color-subdued); font-weight: 500; }
p.card { display: inline-block; font-size: 1rem; cursor: default; margin: 0 0 .4rem; }
.opened { display: flex; flex-wrap: wrap; gap: 1.5rem; padding: 1rem; margin: .5rem 0; border-radius: 6px;
  border: 1px solid var(--border-color-primary); background: var(--background-fill-secondary); }
.opened > div:last-child { flex: 1 1 20rem; }
.opened table { font-size: .9rem; margin: .6rem 0; } .opened ul { margin: .4rem 0 .4rem 1.1rem; list-style: disc; }
.opened th { text-align: left; font-weight: 500; color: var(--body-text-color-subdued); }
.opened td { overflow-wrap: anywhere; }
.wide { margin: 0 0 1.5rem; } .wide img { max-width: 100%; margin-top: .4rem; background: #fff; }
pre { font-size: .8rem; overflow-x: auto; padding: .8rem; border-radius: 6px;
  background: var(--background-fill-secondary); }
"""
