"""Imports the modules that register a config's components from outside the package."""

import importlib
from collections.abc import Sequence

from rireid_jax.errors import UserError


def import_modules(names: Sequence[str]) -> None:
    """Imports the modules of `config.imports`, which register their components.

    Raises:
      UserError: there is no such module. An exception in a module's own code passes unchanged, because its author
        needs the traceback.
    """
    for name in names:
        if not isinstance(name, str) or not name or name.startswith("."):
            raise UserError(f"config.imports: found {name!r}, expected names of Python modules")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise UserError(
                f"config.imports: found no module {name!r}, expected one that Python finds (PYTHONPATH)"
            ) from error
