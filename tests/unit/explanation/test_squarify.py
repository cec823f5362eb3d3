"""Treemaps: areas by size, all inside, none over another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang.explanation.squarify import Box, squarify


@given(
    st.lists(st.integers(1, 2**40), max_size=60),
    st.floats(1, 2000),
    st.floats(1, 2000),
)
def test_areas_are_as_the_sizes_and_fill_the_box(sizes: list[int], width: float, height: float) -> None:
    sizes = sorted(sizes, reverse=True)
    boxes = squarify(sizes, Box(5, 7, width, height))
    assert len(boxes) == len(sizes)
    for size, box in zip(sizes, boxes, strict=True):
        assert box.width * box.height == pytest.approx(width * height * size / sum(sizes), rel=1e-6)
        assert box.x >= 5 - 1e-6
        assert box.y >= 7 - 1e-6
        assert box.x + box.width <= 5 + width + 1e-6 * width
        assert box.y + box.height <= 7 + height + 1e-6 * height


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=20))
def test_no_box_lies_over_another(sizes: list[int]) -> None:
    boxes = squarify(sorted(sizes, reverse=True), Box(0, 0, 300, 200))
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            wide = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
            high = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
            assert min(wide, high) < 1e-6


def test_equal_sizes_in_a_square_are_squares() -> None:
    assert squarify([1, 1, 1, 1], Box(0, 0, 10, 10)) == [
        Box(0, 0, 5, 5), Box(0, 5, 5, 5), Box(5, 0, 5, 5), Box(5, 5, 5, 5)
    ]  # fmt: skip


def test_nothing_in_a_box() -> None:
    assert squarify([], Box(0, 0, 10, 10)) == []
