"""Evaluation protocols: which gallery images a query is ranked against.

A protocol is a class with

- `draws`: whether it draws random galleries. Its rates then have a deviation over the draws.
- `rank(query, gallery)`, or `rank(query, gallery, repeats, seed)` if it draws: the `Ranking` of labelled
  features, with a row for each draw.
"""
