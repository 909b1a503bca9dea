"""Errors as messages on the page."""

import functools
import logging
from collections.abc import Callable
from html import escape
from typing import ParamSpec, TypeVar

from rireid_jax.errors import UserError

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)


def answering(function: Callable[P, T]) -> Callable[P, T]:
    """Shows what goes wrong in a function as a message, without a traceback, and lets the server live."""
    import gradio as gr

    @functools.wraps(function)
    def answered(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return function(*arguments, **options)
        except UserError as error:
            message = str(error)
        except Exception as error:  # a mistake of ours must not end the server
            logger.exception("%s failed", function.__name__)
            message = f"{type(error).__name__}: the log of rireid serve says more"
        raise gr.Error(escape(message), duration=20, print_exception=False)

    return answered
