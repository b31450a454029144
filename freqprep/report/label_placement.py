"""Placement of labels near points, without covering one another, a point or a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, hypot, radians, sin

Point = tuple[float, float]

_DISTANCES = (5.0, 10.0, 17.0, 26.0, 37.0, 50.0, 66.0, 84.0)
_ANGLES = (315, 135, 45, 225, 0, 180, 270, 90, 292, 338, 112, 158, 22, 68, 202, 248)
_MARGIN = 1.5


@dataclass(frozen=True)
class Box:
    """A rectangle by its lower left and upper right corners."""

    left: float
    low: float
    right: float
    high: float

    def overlaps(self, other: Box) -> bool:
        """Return whether two boxes share an inner point."""
        across = self.left < other.right and other.left < self.right
        return across and self.low < other.high and other.low < self.high

    def holds(self, point: Point) -> bool:
        """Return whether a point is inside or on the edge."""
        return self.left <= point[0] <= self.right and self.low <= point[1] <= self.high

    def inside(self, other: Box) -> bool:
        """Return whether it lies within another box."""
        corners = ((self.left, self.low), (self.right, self.high))
        return all(other.holds(corner) for corner in corners)


def place_labels(
    points: Sequence[Point], sizes: Sequence[Point], avoid: Sequence[Point], bounds: Box
) -> list[Box]:
    """Place the label of each point.

    The first points get the best positions: near, and to the lower right.

    Parameters
    ----------
    points : sequence of (float, float)
        Points to label; labels do not cover them.
    sizes : sequence of (float, float)
        Width and height of each label.
    avoid : sequence of (float, float)
        Other points not to cover, such as points along a line.
    bounds : Box
        Area of the labels, if they fit.

    Returns
    -------
    list of Box
        Boxes of the labels, in the order of the points.
    """
    placed: list[Box] = []
    obstacles = [*points, *avoid]
    for point, size in zip(points, sizes, strict=True):
        best = min(
            _candidates(point, size),
            key=lambda candidate: _badness(candidate[0], candidate[1], placed, obstacles, bounds),
        )
        placed.append(best[0])
    return placed


def _candidates(point: Point, size: Point) -> Iterator[tuple[Box, float]]:
    """Yield boxes around a point, and their distances."""
    width, height = size
    for distance in _DISTANCES:
        for angle in _ANGLES:
            x, y = cos(radians(angle)), sin(radians(angle))
            center_x = point[0] + x * distance + width / 2 * _sign(x)
            center_y = point[1] + y * distance + height / 2 * _sign(y)
            left, low = center_x - width / 2, center_y - height / 2
            yield Box(left, low, left + width, low + height), distance


def _sign(value: float) -> float:
    return 0.0 if abs(value) < 1e-9 else 1.0 if value > 0 else -1.0


def _badness(
    box: Box, distance: float, placed: list[Box], obstacles: list[Point], bounds: Box
) -> float:
    wide = Box(box.left - _MARGIN, box.low - _MARGIN, box.right + _MARGIN, box.high + _MARGIN)
    labels = sum(wide.overlaps(other) for other in placed)
    covered = sum(wide.holds(point) for point in obstacles)
    return 1e6 * labels + 1e4 * (not box.inside(bounds)) + 300 * covered + distance


def nearest(box: Box, point: Point) -> Point:
    """Return the point of a box that is nearest to another point."""
    x = min(max(point[0], box.left), box.right)
    y = min(max(point[1], box.low), box.high)
    return x, y


def gap(box: Box, point: Point) -> float:
    """Return the distance from a point to a box."""
    x, y = nearest(box, point)
    return hypot(x - point[0], y - point[1])
