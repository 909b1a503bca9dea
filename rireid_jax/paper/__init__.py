"""The tables, figures and claims of the paper, and the systems that it compares itself with.

A client of the package: nothing outside this folder but the command line imports it.
"""
