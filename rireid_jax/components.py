"""Components: parts of the system that a config names, and the config fields that they declare.

A component is one object in one file, registered by a decorator:

    @SCHEDULES.register("cosine")
    class Cosine: ...

A config can then use that name. A registry imports every module of its own package when it is first asked, so a new
component only needs a new file in that package. A component outside the package is registered when its module is
imported; `config.imports` names such modules.
"""

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from rireid_jax.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """A rule that the value of a field must satisfy.

    Attributes:
      ok: function that says whether a value satisfies the rule; a TypeError counts as no.
      expected: the rule in words, for the error message.
    """

    ok: Callable[[Any], bool]
    expected: str | Callable[[], str]

    def problem(self, value: Any) -> str:
        """Returns what was expected if the value breaks the rule, and "" otherwise."""
        try:
            good = self.ok(value)
        except TypeError:
            good = False
        if good:
            return ""
        return self.expected if isinstance(self.expected, str) else self.expected()


def one_of(*choices: Any) -> Check:
    """Accepts one of the given values."""
    return Check(lambda value: value in choices, f"one of {', '.join(map(repr, choices))}")


def numbers(count: int, what: str, ok: Callable[[Any], bool]) -> Check:
    """Accepts a tuple of `count` values that all satisfy `ok`; `what` is the rule in words."""
    return Check(lambda value: len(value) == count and all(map(ok, value)), what)


ANYTHING = Check(lambda value: True, "anything")
POSITIVE = Check(lambda value: value > 0, "a number above 0")
AT_LEAST_ZERO = Check(lambda value: value >= 0, "a number of at least 0")
PROBABILITY = Check(lambda value: 0 <= value <= 1, "a number in [0, 1]")
BELOW_ONE = Check(lambda value: 0 <= value < 1, "a number in [0, 1)")
IMAGE_SIZE = numbers(
    2,
    "(height, width), two positive multiples of 4",
    lambda n: type(n) is int and n > 0 and n % 4 == 0,
)


def increasing(values: Sequence[float]) -> bool:
    """Returns whether every value is above the one before it."""
    return all(a < b for a, b in pairwise(values))


EPOCHS = Check(
    lambda value: all(type(n) is int and n >= 0 for n in value) and list(value) == sorted(value),
    "epochs in increasing order",
)


@dataclass(frozen=True)
class Field:
    """A field of the config. It is declared once, where it is used.

    Attributes:
      default: the default at the paper's size; its type is the type of the field.
      about: what the field is, its unit, and the source of the default.
      check: the rule that a value must satisfy.
      small: the default at the two-core size; None means that it is the same.
      path: whether the value is a path, which `config.with_paths` makes whole.
    """

    default: Any
    about: str
    check: Check = ANYTHING
    small: Any = None
    path: bool = False

    def value(self, small: bool) -> Any:
        """Returns the default at the two-core size or at the paper's."""
        return self.small if small and self.small is not None else self.default


class Registry(Mapping[str, T]):
    """All components of one kind, by name.

    Attributes:
      kind: the word for this kind of component in error messages.
    """

    def __init__(self, kind: str, package: str):
        """Creates an empty registry; the package is imported when the registry is first asked.

        Args:
          kind: the word for this kind of component in error messages.
          package: name of the package whose modules register the project's own components.
        """
        self.kind = kind
        self._package = package
        self._loaded = False
        self._components: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Returns a decorator that registers a component under a name.

        Raises:
          ValueError: another component already has this name.
        """

        def add(component: T) -> T:
            known = self._components.get(name, component)
            # A module that is run twice may replace its own component.
            if _origin(known) != _origin(component):
                raise ValueError(f"{self.kind} {name!r} is registered by {_origin(known)} already")
            self._components[name] = component
            return component

        return add

    def __getitem__(self, name: str) -> T:
        self._load()
        if name not in self._components:
            raise UserError(
                f"{self.kind}: found {name!r}, expected one of {', '.join(self._components)}"
            )
        return self._components[name]

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._components

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._components))

    def __len__(self) -> int:
        self._load()
        return len(self._components)

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # set first, because the modules may ask the registry too
        try:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__, f"{self._package}."):
                importlib.import_module(module.name)
        except BaseException:
            self._loaded = False
            raise


# A section of the config: each name has a `Field`, a `Slot`, or the `Fields` of a subsection.
Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Slot:
    """A section of the config that names a component and holds the options of all components of its kind.

    The options of the other components are ignored but present, so that the command line can choose another component
    without rewriting the section. Components that share an option declare it with the same `Field`.

    Attributes:
      registry: registry of the components; each component declares its options in `OPTIONS`.
      default: name of the component that is used by default.
      own: fields that apply to every component.
    """

    registry: Registry[Any]
    default: str
    own: Fields = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Returns all fields of the section."""
        name = Field(self.default, f"name of the {self.registry.kind}", in_registry(self.registry))
        return disjoint({"name": name, **self.own}, all_options(self.registry))


def in_registry(registry: Registry[Any], *others: str) -> Check:
    """Accepts the name of a component, or one of the other words."""
    return Check(
        lambda value: value in (*others, *registry),
        lambda: f"one of {', '.join(map(repr, (*others, *registry)))}",
    )


def all_options(registry: Registry[Any]) -> dict[str, Any]:
    """Returns the options of all components of a registry, by name.

    Raises:
      ValueError: two components declare the same option differently.
    """
    options: dict[str, Any] = {}
    for name, component in registry.items():
        for option, declared in component.OPTIONS.items():
            if options.setdefault(option, declared) != declared:
                raise ValueError(f"{registry.kind} {name!r} declares {option!r} differently")
    return options


def disjoint(fields: Fields, options: Fields) -> dict[str, Any]:
    """Returns the fields that every section of a kind has, and the options of components.

    Raises:
      ValueError: an option has the name of such a field.
    """
    taken = sorted({*fields} & {*options})
    if taken:
        raise ValueError(f"an option may not be called {taken[0]!r}, which every such section has")
    return {**fields, **options}


def _origin(component: Any) -> str:
    # The file identifies a module, because a config file with its own components is imported under two names.
    module = sys.modules.get(component.__module__)
    file = os.path.realpath(getattr(module, "__file__", None) or component.__module__)
    return f"{file}: {getattr(component, '__qualname__', '')}"


# The package of each kind of component documents what such a component must provide.
SUPER_RESOLUTION: Registry[Any] = Registry("super-resolution network", "rireid_jax.models")
EXTRACTORS: Registry[Any] = Registry("extractor", "rireid_jax.models")
LOSSES: Registry[Any] = Registry("loss term", "rireid_jax.training.losses")
MASKS: Registry[Any] = Registry("mask", "rireid_jax.training.masks")
SCHEDULES: Registry[Any] = Registry("learning-rate schedule", "rireid_jax.training.schedules")
OPTIMIZERS: Registry[Any] = Registry("optimizer", "rireid_jax.training.optimizers")
PROTOCOLS: Registry[Any] = Registry("evaluation protocol", "rireid_jax.evaluation.protocols")
DATASETS: Registry[Any] = Registry("data set", "rireid_jax.data.datasets")
COMMANDS: Registry[Any] = Registry("command", "rireid_jax.cli.commands")
