"""Pictures for docs/performance.md."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docs" / "images"
Series = Mapping[int, float]  # tenants → figure


def draw_scale(throughput: Mapping[str, Series], slowest: Mapping[str, Series]) -> None:
    """Draw requests per second and p99 over the number of tenants."""
    _draw(throughput, "requests per second", "performance-throughput.png")
    _draw(slowest, "99 of 100 requests answered within, ms", "performance-waiting.png")


def draw_peers(throughput: Mapping[str, Series]) -> None:
    """Draw requests per second of Strongroom and its peers over the number of tenants."""
    _draw(throughput, "requests per second", "performance-peers.png")


def _draw(series: Mapping[str, Series], unit: str, name: str) -> None:
    new_figure: Any = import_module("matplotlib.figure").Figure  # only `make bench` installs it
    figure = new_figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for label, points in series.items():
        axes.plot(list(points), list(points.values()), marker="o", label=label)
    axes.set(xscale="log", yscale="log", xlabel="tenants asked for (Zipf)", ylabel=unit)
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(fontsize="small", frameon=False)
    figure.savefig(FOLDER / name, dpi=110)
