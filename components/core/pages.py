"""What the pages and pictures of the steps have in common: colours, and a page that holds its pictures itself."""

import base64
import html
from pathlib import Path

# Okabe and Ito's palette, told apart by all (https://jfly.uni-koeln.de/color/).
VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY_BLUE = "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"


def page(title: str, style: str, body: str) -> str:
    """Returns an HTML page.

    Args:
        title: text, also of the heading.
        style: CSS rules beside those for the text and the pictures.
        body: HTML below the heading.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{html.escape(title)}</title>
<style>
body {{ font-family: sans-serif; max-width: 75em; margin: 1em auto; padding: 0 1em }}
img {{ max-width: 100% }}
{style}
</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
{body}
</body>
</html>
"""


def embedded_png(path: Path, alt: str) -> str:
    """Returns a picture as an <img> element, with the text for those who do not see it."""
    picture = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{picture}">'
