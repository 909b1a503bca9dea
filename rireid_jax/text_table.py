"""Tables as aligned text."""


def aligned(rows: list[list[str]]) -> str:
    """Columns of text under their titles, the first to the left, the others to the right.

    Args:
      rows: the titles, which may have several lines, then the table's rows; all of one length.
    """
    titles = [title.split("\n") for title in rows[0]]
    height = max(map(len, titles))
    # Titles of fewer lines stand at the bottom.
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
