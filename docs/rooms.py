"""Draws docs/rooms.svg: the rooms of the project and who enters whom, read from the imports in the code.

    python docs/rooms.py [CHECKOUT [PICTURE]]

A room is a folder; what is a module of its own in core is one, too. The steps are one room here: they do not enter each other. An arrow
that follows from two others is left out.
"""

import argparse
import ast
import collections
import graphlib
from pathlib import Path

from matplotlib import pyplot

COLOURS = {"components": "#0072b2", "core": "#009e73", "pipelines": "#d55e00"}


def main() -> None:
    """Writes the picture, beside this file unless another place is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("picture", nargs="?", type=Path, default=Path(__file__).with_suffix(".svg"))
    arguments = parser.parse_args()
    pyplot.rcParams.update({"svg.hashsalt": "rooms", "svg.fonttype": "none", "font.size": 9})
    entered = _without_shortcuts(_rooms_entered(arguments.checkout))
    places = _places(entered)
    width = max(5, *collections.Counter(level for _, level in places.values()).values())
    figure, axis = pyplot.subplots(figsize=(1.8 * width, 6), layout="constrained")
    for room, others in entered.items():
        for other in others:
            _draw_arrow(axis, places[room], places[other])
    for room, (x, y) in places.items():
        box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": COLOURS[_part(room)], "linewidth": 1.4}
        axis.text(x, y, room, ha="center", va="center", bbox=box)
    axis.set(xlim=(-0.6, width + 0.6), ylim=(-0.6, max(y for _, y in places.values()) + 0.6))
    axis.set_axis_off()
    figure.savefig(arguments.picture, metadata={"Date": None}, facecolor="white")


def _rooms_entered(root: Path) -> dict[str, set[str]]:
    entered: dict[str, set[str]] = collections.defaultdict(set)
    paths = [path for folder in ("components", "pipelines") for path in sorted((root / folder).rglob("*.py")) if path.name != "__main__.py"]
    for path in paths:
        room = _room(".".join(path.relative_to(root).with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("components", "pipelines"):
                entered[room] |= {_room(f"{node.module}.{alias.name}") for alias in node.names} - {room, ""}
    return dict(entered)


def _room(module: str) -> str:
    """Returns the room that a module, or a name in one, belongs to."""
    parts = module.split(".")
    if parts[:2] == ["components", "core"]:
        return f"core/{parts[2]}" if len(parts) > 2 and parts[2] != "__init__" else ""
    if parts[0] == "components":
        if parts[1] in ("command_line", "__init__"):
            return "command_line"
        return "interfaces" if "component" in parts[2:] else "steps"
    named = parts[1] if len(parts) > 1 else ""
    return f"pipelines/{named}" if named in ("engines", "commands") else "pipelines"


def _part(room: str) -> str:
    return room.split("/")[0] if room.split("/")[0] in COLOURS else "components"


def _without_shortcuts(entered: dict[str, set[str]]) -> dict[str, set[str]]:
    def reached(room: str) -> set[str]:
        return entered.get(room, set()).union(*(reached(other) for other in entered.get(room, set())))

    return {room: {other for other in others if not any(other in reached(third) for third in others)} for room, others in entered.items()}


def _places(entered: dict[str, set[str]]) -> dict[str, tuple[float, float]]:
    """Returns where each room stands: above all that it enters."""
    levels: dict[str, int] = {}
    for room in graphlib.TopologicalSorter(entered).static_order():
        levels[room] = 1 + max((levels[other] for other in entered.get(room, ())), default=-1)
    by_level = collections.defaultdict(list)
    for room, level in levels.items():
        by_level[level].append(room)
    width = max(5, *map(len, by_level.values()))
    return {
        room: (width * (number + 1) / (len(rooms) + 1), level)
        for level, rooms in by_level.items()
        for number, room in enumerate(sorted(rooms))
    }


def _draw_arrow(axis: pyplot.Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = {"arrowstyle": "-|>", "color": "#909090", "shrinkA": 13, "shrinkB": 17, "linewidth": 0.9}
    axis.annotate("", xy=end, xytext=start, arrowprops=arrow)


if __name__ == "__main__":
    main()
