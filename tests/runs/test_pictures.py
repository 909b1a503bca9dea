"""The pictures: what is pasted where, and in which colour."""

import numpy as np
from PIL import Image

from rireid_jax.runs.gate_picture import draw_gates, gates_figure
from rireid_jax.runs.pictures import (
    BLUE,
    RIGHT,
    VERMILION,
    WRONG,
    RankedList,
    ranked_figure,
    restoration_figure,
    save_png,
)


def flat(colour, height=8, width=4):
    return np.full((height, width, 3), colour, np.uint8)


def has(figure: Image.Image, colour) -> np.ndarray:
    """Where a figure has exactly this colour, [H, W]."""
    return (np.asarray(figure) == np.asarray(colour)).all(-1)


def test_restoration_figure():
    colours = [[(200, 0, 0), (0, 200, 0)], [(0, 0, 200), (200, 200, 0)]]
    rows = [(name, [flat(c) for c in row]) for name, row in zip("ab", colours, strict=True)]
    figure = restoration_figure(rows, ["r = 0.25", "r = 1.00"])
    centres = []
    for row in colours:
        for colour in row:
            found = has(figure, colour)
            # 8x4 images shown 128 pixels high, nothing covered and nothing blurred.
            assert found.sum() == 128 * 64
            ys, xs = np.nonzero(found)
            centres.append((ys.mean(), xs.mean()))
    (a1, a2), (b1, b2) = centres[:2], centres[2:]
    assert a1[0] == a2[0] < b1[0] == b2[0]
    assert a1[1] == b1[1] < a2[1] == b2[1]
    # The corner above the rows' names stays paper.
    assert figure.getpixel((0, 0)) == (255, 255, 255)


def test_images_of_different_shapes_do_not_overlap():
    images = [flat((200, 0, 0), 8, 8), flat((0, 200, 0), 30, 10), flat((0, 0, 200), 3, 1)]
    figure = restoration_figure([("row", images)], ["1", "2", "a very long title of a column"])
    for colour, width in zip(((200, 0, 0), (0, 200, 0), (0, 0, 200)), (128, 43, 43), strict=True):
        assert has(figure, colour).sum() == 128 * width


def test_ranked_figure():
    lists = [
        RankedList(
            name="joint, r = 0.25",
            query=flat((100, 100, 0)),
            matches=[flat((0, 100, 100)), flat((100, 0, 100))],
            correct=np.array([True, False]),
        ),
        RankedList(
            name="baseline, r = 0.25",
            query=flat((100, 100, 0)),
            matches=[flat((1, 2, 3))],  # a gallery may be smaller than the ranks shown
            correct=np.array([True]),
        ),
    ]
    figure = ranked_figure(lists)
    for colour in ((0, 100, 100), (100, 0, 100), (1, 2, 3)):
        assert has(figure, colour).sum() == 128 * 64
    assert has(figure, (100, 100, 0)).sum() == 2 * 128 * 64
    _, right = np.nonzero(has(figure, (0, 100, 100)))
    _, wrong = np.nonzero(has(figure, (100, 0, 100)))
    columns = np.arange(figure.width)
    for xs, colour, other in ((right, RIGHT, WRONG), (wrong, WRONG, RIGHT)):
        around = slice(xs.min() - 5, xs.max() + 6)
        assert columns[around].size == 64 + 10
        framed = has(figure, colour)[: figure.height // 2, around]
        assert framed.sum() >= 4 * 2 * (128 + 64)
        assert not has(figure, other)[: figure.height // 2, around].any()


def test_save_png(tmp_path):
    figure = restoration_figure([("as seen", [flat((200, 0, 0))])], ["r = 0.25"])
    save_png(figure, tmp_path / "restored.png")
    assert [path.name for path in tmp_path.iterdir()] == ["restored.png"]
    with Image.open(tmp_path / "restored.png") as read:
        assert read.format == "PNG"
        np.testing.assert_array_equal(np.asarray(read), np.asarray(figure))


def test_gates_figure():
    """Gates that say 0.9 and 0.1 at r = 0.25 and at r = 0.75: marks there, and the axes next to each other."""
    r = np.repeat([0.25, 0.75], 5)
    gates = np.broadcast_to(np.float32([0.9, 0.1]), (10, 2, 2))
    figure = gates_figure(gates, r)
    assert figure.width > 2 * 240
    one = gates_figure(gates[:, :1], r)
    assert 240 < one.width < 400
    round_marks, square_marks = (np.nonzero(has(one, c))[0] for c in (VERMILION, BLUE))
    panel = slice(0, 280)  # the legend is below
    high, low = (np.nonzero(has(one, colour)[panel])[0] for colour in (VERMILION, BLUE))
    assert abs(np.median(low) - np.median(high) - 0.8 * 240) < 12
    assert 280 < round_marks.max() < square_marks.max()  # the legend


def test_gates_of_one_query(tmp_path):
    draw_gates(tmp_path, np.full((1, 1, 2), 0.5, np.float32), np.array([1.0]))
    with Image.open(tmp_path / "gates.png") as picture:
        assert picture.format == "PNG"
