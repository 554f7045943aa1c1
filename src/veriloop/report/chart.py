"""Small charts as inline SVG: they take their colours from the page, so they follow its light and dark mode."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 34
POINTS = 200
"""Points drawn per line at most; longer series are drawn as the means of equal stretches."""
LARGEST = 1e100
"""Points with numbers beyond this, infinite or no numbers at all are not drawn."""
MARKED = 40
"""Up to this many points each one gets a mark."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear scale: values from `low` to `high` on pixels from `start` to `end`, and where its ticks stand."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def find_ticks(low: float, high: float, count: int = 5) -> tuple[float, ...]:
    """Return round values (1, 2 or 5 times a power of ten apart) that enclose [low, high], about `count` of them."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    rough = (high - low) / max(1, count - 1)
    exponent = math.floor(math.log10(rough))
    step = next(unit * 10.0**exponent for unit in (1, 2, 5, 10) if unit * 10.0**exponent >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(number * step, 2 - exponent) for number in range(first, last + 1))


def spell_tick(value: float) -> str:
    """Return a tick's label: short, thousands and millions as k and M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def thin(points: Sequence[Point], most: int = POINTS) -> list[Point]:
    """Return at most `most` points: the means of equal stretches of the series."""
    if len(points) <= most:
        return list(points)
    edges = [len(points) * number // most for number in range(most + 1)]
    stretches = [points[a:b] for a, b in itertools.pairwise(edges)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in stretches]


def draw_lines(title: str, series: Mapping[str, Sequence[Point]], x_label: str = "step") -> Markup:
    """Return a figure with one line per series (x, y), a legend when there are several, and labelled axes.

    Points that are no finite numbers are left out; a chart without any says so.
    """
    kept = {name: [p for p in points if all(abs(n) < LARGEST for n in p)] for name, points in series.items()}
    kept = {name: points for name, points in kept.items() if points}
    if not kept:
        return Markup('<figure class="chart"><figcaption>{}</figcaption><p>No values.</p></figure>').format(title)
    xs, ys = zip(*[point for points in kept.values() for point in points], strict=True)
    x_ticks, y_ticks = find_ticks(min(xs), max(xs), 5), find_ticks(min(ys), max(ys), 5)
    # The x axis ends with the data: a round end would leave empty room where no step was made.
    x_low, x_high = (min(xs), max(xs)) if max(xs) > min(xs) else (x_ticks[0], x_ticks[-1])
    x_low = 0.0 if 0 < x_low < x_high / 4 else x_low
    shown = tuple(tick for tick in x_ticks if x_low <= tick <= x_high)
    x_axis = Axis(x_low, x_high, LEFT, WIDTH - RIGHT, shown)
    y_axis = Axis(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP, y_ticks)
    parts = [*_draw_axes(x_axis, y_axis, x_label)]
    for number, (name, points) in enumerate(kept.items()):
        parts += _draw_series(name, thin(points), x_axis, y_axis, number % 6)
    legend = _draw_legend(list(kept)) if len(kept) > 1 else Markup("")
    return Markup(
        '<figure class="chart"><figcaption>{}</figcaption>{}'
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg></figure>'
    ).format(title, legend, WIDTH, HEIGHT, f"{title} by {x_label}", Markup("").join(parts))


def draw_bar(share: float, kind: str = "plain") -> Markup:
    """Return a horizontal bar that fills `share` (0 to 1) of its place."""
    width = 100 * min(1.0, max(0.0, share))
    return Markup(
        '<svg class="bar {}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="8"/><rect class="fill" width="{:.2f}" height="8"/></svg>'
    ).format(kind, width)


def draw_interval(value: float, low: float, high: float, scale: tuple[float, float] = (0.0, 1.0)) -> Markup:
    """Return a point with its interval on a scale, quarters marked; what lies beyond the scale is drawn at its end."""
    start, end = scale
    x, a, b = (100 * min(1.0, max(0.0, (number - start) / (end - start))) for number in (value, low, high))
    marks = Markup("").join(
        Markup('<line class="grid" x1="{0}" x2="{0}" y1="0" y2="14"/>').format(mark) for mark in (0, 25, 50, 75, 100)
    )
    return Markup(
        '<svg class="interval" viewBox="-3 0 106 14" role="img" aria-label="{:.3f}, 95 % interval {:.3f} to {:.3f}">{}'
        '<line class="range" x1="{:.2f}" x2="{:.2f}" y1="7" y2="7"/><circle cx="{:.2f}" cy="7" r="3"/></svg>'
    ).format(value, low, high, marks, a, b, x)


def _draw_axes(x_axis: Axis, y_axis: Axis, x_label: str) -> list[Markup]:
    parts = []
    for tick in y_axis.ticks:
        y = y_axis.place(tick)
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(LEFT, WIDTH - RIGHT, y, y)
            + Markup('<text class="y" x="{}" y="{:.1f}">{}</text>').format(LEFT - 6, y + 4, spell_tick(tick))
        )
    base = HEIGHT - BOTTOM
    for tick in x_axis.ticks:
        x = x_axis.place(tick)
        parts.append(
            Markup('<line class="tick" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(x, x, base, base + 4)
            + Markup('<text class="x" x="{:.1f}" y="{}">{}</text>').format(x, base + 16, spell_tick(tick))
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(LEFT, WIDTH - RIGHT, base, base))
    parts.append(Markup('<text class="x label" x="{}" y="{}">{}</text>').format(middle, HEIGHT - 3, x_label))
    return parts


def _draw_series(name: str, points: Sequence[Point], x_axis: Axis, y_axis: Axis, number: int) -> list[Markup]:
    places = [(x_axis.place(x), y_axis.place(y)) for x, y in points]
    path = Markup(" ").join(Markup("{:.1f},{:.1f}").format(x, y) for x, y in places)
    parts = [Markup('<polyline class="line s{}" points="{}"><title>{}</title></polyline>').format(number, path, name)]
    if len(points) <= MARKED:
        mark = Markup(
            '<circle class="mark s{}" cx="{:.1f}" cy="{:.1f}" r="2.5"><title>{}, {:g}: {:.4g}</title></circle>'
        )
        pairs = zip(places, points, strict=True)
        parts += [mark.format(number, px, py, name, x, y) for (px, py), (x, y) in pairs]
    return parts


def _draw_legend(names: Sequence[str]) -> Markup:
    entry = Markup(
        '<li><svg class="key" viewBox="0 0 18 8"><line class="line s{}" x1="0" x2="18" y1="4" y2="4"/></svg>{}</li>'
    )
    return Markup('<ul class="legend">{}</ul>').format(
        Markup("").join(entry.format(number % 6, name) for number, name in enumerate(names))
    )
