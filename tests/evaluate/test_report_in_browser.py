"""The report in headless Chromium, as a reader sees it: light and dark, wide and narrow."""

import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.evaluate.evaluation import Evaluation
from components.evaluate.report import SECTIONS, render_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DARK = "--blink-settings=preferredColorScheme=0"
# Reports what a person would see only by scrolling sideways; the report itself has no script.
PROBE = """<script>addEventListener("load", () => {
  const width = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll("body *")].filter(
    (element) => !element.closest(".scroll, .stage, .skip") && element.getBoundingClientRect().right > width + 1);
  const names = wide.map((element) => element.className);
  document.title = `width ${width} scroll ${document.documentElement.scrollWidth} wide ${wide.length} ` + names;
});</script>"""


@pytest.fixture(scope="module")
def page(make_evaluation: Callable[..., Evaluation]) -> str:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    return render_report(make_evaluation(findings=True, zones=True))


def browse(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
    flags += ("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr", "--virtual-time-budget=1500")
    command = [str(CHROMIUM), *flags, f"--user-data-dir={path.parent / 'profile'}", *options, path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def screenshot(path: Path, *options: str) -> np.ndarray:
    """Returns [height, width, 3] uint8 RGB."""
    picture = path.with_suffix(".png")
    browse(path, "--window-size=1400,900", f"--screenshot={picture}", *options)
    return np.asarray(Image.open(io.BytesIO(picture.read_bytes())).convert("RGB"))


def test_the_page_opens_without_a_message_and_with_every_section(page: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page)
    result = browse(tmp_path / "report.html", "--dump-dom")
    assert "CONSOLE" not in result.stderr
    assert re.findall(r"<h2 id=\"(\w+)\"", result.stdout) == list(SECTIONS)


def test_a_message_in_the_console_would_be_seen(page: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page.replace("</body>", "<script>console.error('broken')</script></body>"))
    assert "broken" in browse(tmp_path / "report.html", "--dump-dom").stderr


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_but_tables_and_films_scrolls_sideways(page: str, tmp_path: Path, width: int) -> None:
    # A window of Chromium is at least 500 pixels wide, a frame in it is not.
    (tmp_path / "inner.html").write_text(page.replace("</body>", PROBE + "</body>"))
    onload = "setTimeout(() => { document.title = this.contentDocument.title }, 300)"
    (tmp_path / "report.html").write_text(
        f'<!doctype html><iframe src="inner.html" width="{width}" height="900" style="border:0" onload="{onload}"></iframe>'
    )
    options = ("--allow-file-access-from-files", f"--window-size={width + 550},1000")
    title = re.search("<title>(.*)</title>", browse(tmp_path / "report.html", "--dump-dom", *options).stdout)
    assert title
    assert title[1].strip() == f"width {width} scroll {width} wide 0"


def test_light_and_dark_are_as_the_reader_wants(page: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page)
    light, dark = screenshot(tmp_path / "report.html"), screenshot(tmp_path / "report.html", DARK)
    assert np.median(light) > 240
    assert np.median(dark) < 40
