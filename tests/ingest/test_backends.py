"""The same catalog into local storage, gs:// and s3:// gives the same manifest but for the URIs, from the command that a container runs."""

import csv
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from components.__main__ import main
from components.core import storage as storage_uris
from components.ingest import build_catalog
from tests.ingest.web import Page, filled_video, serving


def ingest(folder: Path, manifest: str, storage: str, *options: str) -> Result:
    arguments = ["ingest", "--manifest", manifest, "--storage", storage, "--output-folder", str(folder), *options]
    return CliRunner().invoke(main, arguments)


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "videos").read_text().splitlines()]


def test_the_same_catalog_gives_the_same_manifest_in_every_storage(tmp_path: Path, gs_storage: str, s3_storage: str) -> None:
    storages = {"local": str(tmp_path / "storage"), "gs": gs_storage, "s3": s3_storage}
    with serving({}) as host, build_catalog.CATALOG.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
        for number, row in enumerate(rows):
            address = urlsplit(row["uri"])
            row["uri"] = address._replace(scheme="http", netloc=f"127.0.0.1:{host.server_port}").geturl()
            if row["source"] == "GrepMed" and number % 3:
                host.routes[address.path] = Page(filled_video("mp4", number))
            row["source"] = f"played {row['source']}"
        with (tmp_path / "manifest.csv").open("w", encoding="utf-8", newline="") as manifest:
            writer = csv.DictWriter(manifest, build_catalog.COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        for name, storage in storages.items():
            options = ("--sources", "played GrepMed,played LITFL", "--min-videos-per-class", "1")
            result = ingest(tmp_path / name, str(tmp_path / "manifest.csv"), storage, *options)
            assert result.exit_code == 0, result.output

    found = {name: records(tmp_path / name) for name in storages}
    for name, storage in storages.items():
        assert len(found[name]) == len(rows)
        assert sum(record["status"] == "stored" for record in found[name]) == 14
        for record in found[name]:
            uri, _ = record.pop("storage_uri"), record.pop("fetched_at")
            if record["status"] == "stored":
                assert uri.startswith(f"{storage}/videos/{record['sha256']}.")
                assert storage_uris.exists(uri)
    assert found["local"] == found["gs"] == found["s3"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--sources", "Butterflies"), 2, "error: sources: no video of the manifest has 'butterflies'"),
        (("--licences", "GPL"), 2, "error: licences: no video of the manifest has 'gpl'"),
        (("--cookies", "absent.txt"), 2, "error: the cookies file 'absent.txt' does not exist"),
        (("--drop-in", "absent"), 2, "error: the drop-in folder 'absent' does not exist"),
        (("--max-gigabytes", "0"), 2, "error: max_gigabytes must be at least 0.001"),
        (("--min-videos-per-class", "-1"), 2, "error: min_videos_per_class must be at least 0"),
    ],
)
def test_bad_usage_of_the_catalog_stops_before_any_request(tmp_path: Path, options: tuple[str, ...], code: int, message: str) -> None:
    result = ingest(tmp_path / "out", "catalog", str(tmp_path / "storage"), *options)
    assert (result.exit_code, message in result.output) == (code, True)
    assert not (tmp_path / "out" / "videos").exists()


def test_the_gate_fails_after_the_summary_was_written(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(filled_video("mp4"))
    (tmp_path / "manifest.csv").write_text("video_id,uri,label,group\na,a.mp4,covid,p\n")
    result = ingest(tmp_path / "out", str(tmp_path / "manifest.csv"), str(tmp_path / "storage"), "--min-videos-per-class", "2")
    assert result.exit_code == 1
    assert "error: only 1 of class covid, 0 of class pneumonia, 0 of class normal could be stored" in result.output
    assert (tmp_path / "out" / "summary").read_text().startswith("# Ingest")
