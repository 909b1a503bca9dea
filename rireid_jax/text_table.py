"""Formats tables as aligned text."""


def aligned(rows: list[list[str]]) -> str:
    """Formats a table. The first column is left-aligned, the others are right-aligned.

    Args:
      rows: the titles, which may have several lines, followed by the rows of the table; all have the same length.
    """
    titles = [title.split("\n") for title in rows[0]]
    height = max(map(len, titles))
    # Titles with fewer lines are aligned at the bottom.
    titles = [[""] * (height - len(title)) + title for title in titles]
    header = [list(line) for line in zip(*titles, strict=True)]
    body = rows[1:]
    widths = [max(map(len, column)) for column in zip(*header, *body, strict=True)]
    lines = []
    for row in [*header, ["-" * width for width in widths], *body]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def printable(text: str) -> str:
    """Text without what would change the screen or the order of letters: such characters become \\x1b and the like."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
