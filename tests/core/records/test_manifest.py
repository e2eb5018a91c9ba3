import hashlib
import unicodedata
from pathlib import Path

import pytest

from components.core.errors import DataError, PipelineError, UsageError
from components.core.records.clips import CLASS_NAMES
from components.core.records.manifest import CATALOG, ManifestRow, absolute_manifest_uri, check_groups, read_manifest
from components.core.records.video_records import Status, VideoRecord, VideoSet, read_videos, write_videos


def written(folder: Path, text: str) -> str:
    (folder / "manifest.csv").write_text(text, encoding="utf-8")
    return str(folder / "manifest.csv")


def test_rows_are_read_with_absolute_uris(tmp_path: Path) -> None:
    uri = written(
        tmp_path,
        "video_id,uri,label,group,license,crop\n"
        "a,videos/a (1)+.mp4,covid,p1,CC BY 4.0,\n"
        'b,https://host/b.gif,normal,,,"1,2,30,40"\n'
        "c,gs://bucket/c.avi,pneumonia,p2,,\n",
    )
    assert read_manifest(uri) == [
        ManifestRow("a", str(tmp_path / "videos" / "a (1)+.mp4"), "covid", "p1", license="CC BY 4.0"),
        ManifestRow("b", "https://host/b.gif", "normal", "b", crop=(1, 2, 30, 40)),
        ManifestRow("c", "gs://bucket/c.avi", "pneumonia", "p2"),
    ]


def test_labels_of_the_sources_are_mapped_to_classes(tmp_path: Path) -> None:
    labels = ["viral pneumonia", "Bacterial_Pneumonia", "COVID-19", "Covid", "regular", "healthy", "Other"]
    uri = written(tmp_path, "video_id,uri,label,group\n" + "".join(f"v{n},v.mp4,{label},p\n" for n, label in enumerate(labels)))
    assert [row.class_name for row in read_manifest(uri)] == ["pneumonia", "pneumonia", "covid", "covid", "normal", "normal", "other"]


def test_what_a_class_does_not_tell_is_kept(tmp_path: Path) -> None:
    uri = written(
        tmp_path,
        "video_id,uri,label,group,label_detail,sex,age\n"
        "a,v.mp4,viral pneumonia,p,,female,61\n"
        "b,v.mp4,pneumonia,p,klebsiella,,\n"
        "c,v.mp4,Pneumonia,p,,,\n",
    )
    assert [(row.label_detail, row.sex, row.age) for row in read_manifest(uri)] == [
        ("viral pneumonia", "female", "61"),
        ("klebsiella", "", ""),
        ("", "", ""),
    ]


def test_findings_are_read_as_spreadsheets_write_them(tmp_path: Path) -> None:
    uri = written(
        tmp_path,
        "video_id,uri,label,group,a_lines,b_lines,severity,blue_point,patient_id\n"
        "a,v.mp4,covid,article,Yes,no,2.0,L1,p1\n"
        "b,v.mp4,covid,article,,,,,\n",
    )
    first, second = read_manifest(uri)
    assert first.findings() == {"a_lines": "yes", "b_lines": "no", "severity": "2"}
    assert (first.zone, first.patient_id) == ("L1", "p1")
    assert second.findings() == {}
    assert read_manifest(written(tmp_path, "video_id,uri,label,group,zone\na,v.mp4,covid,p,R3\n"))[0].zone == "R3"


@pytest.mark.parametrize(("column", "value"), [("a_lines", "maybe"), ("b_lines", "1"), ("severity", "4"), ("severity", "1.5")])
def test_a_finding_that_does_not_exist_is_refused(tmp_path: Path, column: str, value: str) -> None:
    uri = written(tmp_path, f"video_id,uri,label,group,{column}\na,v.mp4,covid,p,{value}\n")
    with pytest.raises(UsageError, match=f"line 2: unknown {column} '{value}'; use one of .*, or leave it empty"):
        read_manifest(uri)


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("listed", ["NFC", "NFD"])
def test_a_file_is_found_however_its_accents_are_written(tmp_path: Path, stored: str, listed: str) -> None:
    path = tmp_path / unicodedata.normalize(stored, "Pférd") / unicodedata.normalize(stored, "José.mp4")
    path.parent.mkdir()
    path.touch()
    uri = written(tmp_path, f"video_id,uri,label,group\na,{unicodedata.normalize(listed, 'Pférd/José.mp4')},covid,p\n")
    assert read_manifest(uri)[0].uri == str(path)


def test_of_two_files_that_look_alike_the_one_that_is_listed_is_meant(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        (tmp_path / unicodedata.normalize(form, "é.mp4")).touch()
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "é.mp4")
        assert read_manifest(written(tmp_path, f"video_id,uri,label,group\na,{name},covid,p\n"))[0].uri == str(tmp_path / name)


def test_a_file_that_is_not_there_keeps_its_name(tmp_path: Path) -> None:
    uri = written(tmp_path, "video_id,uri,label,group\na,nowhere/José.mp4,covid,p\n")
    assert read_manifest(uri)[0].uri == str(tmp_path / "nowhere" / "José.mp4")


def test_a_manifest_may_lie_in_cloud_storage(gs_storage: str) -> None:
    from components.core import storage

    storage.write_bytes(f"{gs_storage}/data/manifest.csv", b"video_id,uri,label,group\na,videos/a.mp4,covid,p1\n")
    assert read_manifest(f"{gs_storage}/data/manifest.csv")[0].uri == f"{gs_storage}/data/videos/a.mp4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video_id,uri,label\na,a.mp4,covid\n", "lacks the column.* group"),
        ("", "lacks the column"),
        ("video_id,uri,label,group\n", "lists no video"),
        ("video_id,uri,label,group\na,a.mp4,covid,p\nb,b.mp4,flu,p\n", "line 3: unknown label 'flu'"),
        ("video_id,uri,label,group\na,a.mp4,covid,p\na,b.mp4,covid,p\n", "repeats the video_id 'a'"),
        ("video_id,uri,label,group\na,,covid,p\n", "line 2: uri is empty"),
        ("video_id,uri,label,group\n,a.mp4,covid,p\n", "line 2: video_id is empty"),
        ("video_id,uri,label,group\na,ftp://x/a.mp4,covid,p\n", "line 2.*unsupported scheme"),
        ("video_id,uri,label,group\na,http://[x/a.mp4,covid,p\n", "line 2: the uri is not a usable URL"),
        ("video_id,uri,label,group,via\na,a.mp4,covid,p,fax\n", "line 2: unknown via 'fax'; use one of direct, transfer-page"),
        (
            "video_id,uri,label,group,via\na,https://x/page,covid,p,transfer-page\n",
            "line 2: the uri of a video via transfer-page must name",
        ),
        ("video_id,uri,label,group,via\na,https://x/view#,covid,p,google-drive\n", "line 2: the uri of a video via google-drive must name"),
        ("video_id,uri,label,group,crop\na,a.mp4,covid,p,1 2 3\n", "line 2: crop '1 2 3'"),
        ("video_id,uri,label,group\na,a.mp4,covid,p,q\n", "line 2: it has more cells than the header, 5 instead of 4"),
        ('video_id,uri,label,group\na,"' + "a" * 200_000 + '",covid,p\n', "after line 1: no CSV"),
        ("video_id,uri,label,group,label\na,a.mp4,covid,p,normal\n", "line 1: the column label is there twice"),
        ("video_id,uri,label,group\na,a.mp4\0,covid,p\n", "line 2: it holds a NUL"),
        ('video_id,uri,label,group,source\na,a.mp4,covid,p,"s\nb,b.mp4,normal,q,s\n', "after line 1: no CSV"),
        ('video_id,uri,label,group,crop\na,a.mp4,covid,p,"0,0,0,5"\n', "line 2: crop"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        read_manifest(written(tmp_path, text))
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


def test_the_word_catalog_is_the_manifest_that_comes_with_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_manifest_uri(CATALOG) == CATALOG
    assert absolute_manifest_uri("videos.csv") == str(tmp_path / "videos.csv")
    assert len(read_manifest(CATALOG)) == 740


def test_a_missing_or_binary_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_manifest(str(tmp_path / "absent.csv"))
    with pytest.raises(UsageError, match="does not exist"):
        read_manifest(str(tmp_path))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_manifest(str(tmp_path / "binary.csv"))


def test_video_records_are_written_and_read_back(tmp_path: Path) -> None:
    records = [
        VideoRecord(ManifestRow("ä", "/x.mp4", "covid", "p", crop=(0, 0, 5, 5)), Status.STORED, "", "gs://b/x.mp4", "ab", 3, "2026-01-01"),
        VideoRecord(ManifestRow("b", "/y.mp4", "normal", "q", a_lines="yes", severity="3", zone="L2"), Status.MISSING, "HTTP status 404"),
    ]
    write_videos(tmp_path / "videos.jsonl", records)
    assert read_videos(tmp_path / "videos.jsonl") == records


def test_findings_are_part_of_what_training_depends_on() -> None:
    def fingerprint(**findings: str) -> str:
        return VideoSet.of([VideoRecord(ManifestRow("a", "/a", "covid", "p", **findings), Status.STORED, sha256="ab")]).fingerprint

    assert len({fingerprint(), fingerprint(a_lines="yes"), fingerprint(a_lines="no"), fingerprint(b_lines="yes")}) == 4
    # As it was before there were findings: what was trained on is known by it.
    content = '["ab", "covid", "p", null]'
    assert fingerprint() == hashlib.sha256(content.encode()).hexdigest()


def test_something_else_than_video_records_is_refused(tmp_path: Path) -> None:
    (tmp_path / "videos.jsonl").write_text('{"video_id": "a"}\n')
    with pytest.raises(DataError, match="not a manifest written by ingest"):
        read_videos(tmp_path / "videos.jsonl")


def rows(**groups_by_class: int) -> list[ManifestRow]:
    return [ManifestRow(f"{name}{n}", "/v", name, f"{name}{n}") for name, count in groups_by_class.items() for n in range(count)]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"covid": 3, "pneumonia": 3}, "class normal has no video"),
        ({"covid": 2, "pneumonia": 3, "normal": 3}, r"class covid has videos of 2 group\(s\)"),
    ],
)
def test_too_few_groups_are_refused(groups: dict[str, int], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        check_groups(rows(**groups), CLASS_NAMES)


def test_three_groups_a_class_are_enough() -> None:
    check_groups(rows(covid=3, pneumonia=3, normal=3), CLASS_NAMES)
