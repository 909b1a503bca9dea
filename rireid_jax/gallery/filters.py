"""Filters in Milvus's expression language, with values that cannot break out of them."""

from collections.abc import Sequence

from rireid_jax.gallery.entries import KEY, key_of

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def literal(text: str) -> str:
    """A text as a literal of the expression language."""
    return f'"{text.translate(_ESCAPES)}"'


def matching(
    *,
    names: Sequence[str] = (),
    persons: Sequence[str] = (),
    cameras: Sequence[str] = (),
    where: str = "",
) -> str:
    """The rows that satisfy all that is given; "" if nothing is.

    Args:
      names: rows of one of these names.
      persons: rows of one of these persons.
      cameras: rows of one of these cameras.
      where: an expression as the user wrote it, for example `time >= "2026-03-01" and fields["zone"] == "hall"`.
    """
    parts = [
        f"{column} in [{', '.join(map(literal, values))}]"
        for column, values in (
            (KEY, [key_of(name) for name in names]),
            ("person", persons),
            ("camera", cameras),
        )
        if values
    ]
    if where:
        parts.append(f"({where})")
    return " and ".join(parts)
