"""What the pages and pictures of the steps have in common: colours, how templates are filled, and pictures inside of a page."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2

# Okabe and Ito's palette, told apart by all (https://jfly.uni-koeln.de/color/).
VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY_BLUE = "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"


def template(package: str, name: str, **filters: Callable[..., Any]) -> jinja2.Template:
    """Returns a file of the folder `templates` of a package, to be rendered; in HTML, what is filled in is escaped.

    Args:
        package: such as `components.evaluate`.
        name: of the file.
        filters: what the template may apply to a value, by name.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name)


def png_uri(path: Path) -> str:
    """Returns a PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
