import dataclasses
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from components.core import storage
from components.core.errors import DataError, OutageError, StorageError, UsageError
from components.core.records import clips
from components.core.records.manifest import ManifestRow
from components.core.records.shards import DatasetIndex, read_tfrecords, shard_name
from components.core.records.video_records import Status, VideoRecord, VideoSet, write_videos
from components.core.statistics.drift import drift, used_videos
from components.core.storage import outages
from components.evaluate.video_facts import read_video_facts
from components.preprocess import beam_pipeline
from components.preprocess.outcomes import BuiltDataset
from components.preprocess.preprocess import Settings, build_dataset
from tests.outages import Proxy
from tests.videos import CODECS, numbered_frames, write_video

SETTINGS = Settings(
    sampling="window",
    frames_per_second=25,
    max_clips_per_video=2,
    test_fraction=0.3,
    validation_fraction=0.2,
    num_folds=3,
    num_shards=2,
    keep_other=False,
    seed=0,
)


def stored(folder: Path, video_id: str, class_name: str, frames: np.ndarray, suffix: str = ".avi", **row: Any) -> VideoRecord:
    path = write_video(folder / "videos" / f"{video_id}{suffix}", frames, fps=25)
    fields = {"group": video_id, "source": "phantom", "license": "CC0-1.0", **row}
    return VideoRecord(ManifestRow(video_id, "x", class_name, **fields), Status.STORED, storage_uri=str(path), sha256=video_id)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[VideoRecord]:
    """Four videos a class, each of a patient of its own, in all containers."""
    folder = tmp_path_factory.mktemp("records")
    return [
        stored(folder, f"{name}-{n}", name, numbered_frames(20 + 10 * n), sorted(CODECS)[(n + label) % len(CODECS)])
        for label, name in enumerate(clips.CLASS_NAMES)
        for n in range(4)
    ]


def build(
    folder: Path, records: list[VideoRecord], settings: Settings = SETTINGS, num_workers: int = 1, name: str = "dataset"
) -> BuiltDataset:
    folder.mkdir(exist_ok=True)
    write_videos(folder / "videos.jsonl", records)
    return build_dataset(folder / "videos.jsonl", str(folder / "storage"), folder / name, settings, num_workers)


def read_back(dataset: BuiltDataset) -> dict[str, list[clips.ClipRecord]]:
    return {
        split: [clips.parse(record) for shard in info.shards for record in read_tfrecords(dataset.path / shard.name)]
        for split, info in dataset.index.splits.items()
    }


def test_clips_hold_the_frames_and_the_provenance_of_their_video(tmp_path: Path, records: list[VideoRecord]) -> None:
    by_id = {record.row.video_id: record for record in records}
    all_clips = [clip for split in read_back(build(tmp_path, records)).values() for clip in split]
    assert len(all_clips) == sum(1 if n == 0 else 2 for n in range(4)) * 3
    for clip in all_clips:
        row = by_id[clip.video_id].row
        assert (clips.CLASS_NAMES[clip.label], clip.group, clip.source, clip.license) == (
            row.class_name,
            row.group,
            row.source,
            row.license,
        )
        start = 14 * clip.clip_index
        assert list(clip.frame_indices) == list(range(start, start + 14))
        assert np.diff(clip.timestamps_us) == pytest.approx(40_000, abs=11_000)
        num_frames = 20 + 10 * int(clip.video_id[-1])
        for index, jpeg in zip(clip.frame_indices, clip.frames, strict=True):
            image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert image.shape == (224, 224, 3)
            assert image.mean() == pytest.approx(numbered_frames(num_frames)[index].mean(), abs=6)


def test_the_index_counts_what_the_shards_hold(tmp_path: Path, records: list[VideoRecord]) -> None:
    dataset = build(tmp_path, records)
    assert DatasetIndex.read(dataset.path) == dataset.index
    for split, read in read_back(dataset).items():
        info = dataset.index.splits[split]
        assert info.num_clips == len(read) == sum(shard.num_clips for shard in info.shards)
        assert info.num_videos == len({clip.video_id for clip in read})
        assert info.clips_by_class == {name: sum(clip.label == label for clip in read) for label, name in enumerate(clips.CLASS_NAMES)}
        assert [shard.name for shard in info.shards] == [shard_name(split, n, 2) for n in range(2)]


def with_findings(records: list[VideoRecord]) -> list[VideoRecord]:
    """Videos 0 and 1 of each class have findings, as experts state them; of the others nothing is stated."""
    findings = [
        {"a_lines": "yes", "b_lines": "no", "severity": "0", "zone": "L1", "patient_id": "p"},
        {"b_lines": "yes", "severity": "3"},
        {},
        {},
    ]
    return [
        dataclasses.replace(record, row=dataclasses.replace(record.row, **findings[number % len(findings)]))
        for number, record in enumerate(records)
    ]


def test_findings_travel_with_the_videos(tmp_path: Path, records: list[VideoRecord]) -> None:
    dataset = build(tmp_path, with_findings(records))
    stated = {(-1, -1, -1, "", ""), (1, 0, 0, "L1", "p"), (-1, 1, 3, "", "")}
    read = [clip for split in read_back(dataset).values() for clip in split]
    assert {(clip.a_lines, clip.b_lines, clip.severity, clip.zone, clip.patient_id) for clip in read} == stated
    for split, members in read_back(dataset).items():
        expected = Counter(("no", "yes")[clip.b_lines] for clip in members if clip.b_lines >= 0)
        assert dataset.index.splits[split].clips_by_grade.get("b_lines", {}) == expected
    lines = {line["video_id"]: line for line in used_videos(dataset.path)}
    assert (lines["covid-0"]["a_lines"], lines["covid-1"]["severity"], lines["covid-2"]["zone"]) == ("yes", "3", "")
    page = dataset.report_html()
    assert all(f"<caption>{title}</caption>" in page for title in ("A-lines", "B-lines", "severity", "zone"))


def test_a_dataset_without_findings_is_what_it_was(tmp_path: Path, records: list[VideoRecord]) -> None:
    dataset = build(tmp_path, records)
    assert all(info.clips_by_grade == {} for info in dataset.index.splits.values())
    assert "<caption>A-lines</caption>" not in dataset.report_html()


def test_the_same_file_under_contrary_findings_is_left_out(tmp_path: Path, records: list[VideoRecord]) -> None:
    def copy(number: int, name: str, **findings: str) -> VideoRecord:
        return dataclasses.replace(records[number], row=dataclasses.replace(records[number].row, video_id=name, **findings))

    twice = [*records, copy(0, "one", b_lines="yes"), copy(0, "other", b_lines="no"), copy(1, "alike", b_lines="no")]
    reasons = {outcome.video_id: outcome.reason for outcome in build(tmp_path, twice).outcomes}
    assert (reasons["one"], reasons["other"]) == (
        "the same file is labelled otherwise as 'other'",
        "the same file is labelled otherwise as 'one'",
    )
    assert reasons["alike"] == f"the same file as {records[1].row.video_id!r}"


def test_no_group_is_on_two_sides(tmp_path: Path, records: list[VideoRecord]) -> None:
    pairs = [
        dataclasses.replace(record, row=dataclasses.replace(record.row, group=f"{record.row.class_name}-{n // 2}"))
        for n, record in enumerate(
            [
                *records,
                *(
                    dataclasses.replace(r, row=dataclasses.replace(r.row, video_id=r.row.video_id + "b"), sha256=r.sha256 + "b")
                    for r in records
                ),
            ]
        )
    ]
    sides = {split: {clip.group for clip in read} for split, read in read_back(build(tmp_path, pairs)).items()}
    assert len(set.union(*sides.values())) == sum(map(len, sides.values()))


def test_every_usable_video_has_the_fold_of_its_group(tmp_path: Path, records: list[VideoRecord]) -> None:
    pairs = [
        dataclasses.replace(r, row=dataclasses.replace(r.row, group=f"{r.row.class_name}-{max(n % 4, 1)}")) for n, r in enumerate(records)
    ]
    unusable = stored(tmp_path, "short", "covid", numbered_frames(3))
    outcomes = build(tmp_path, [*pairs, unusable]).outcomes
    folds = {(outcome.group, outcome.fold) for outcome in outcomes if outcome.num_clips}
    assert len(folds) == len({group for group, _ in folds}) == 9
    assert {fold for _, fold in folds} == {0, 1, 2}
    assert [outcome.fold for outcome in outcomes if outcome.video_id == "short"] == [None]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_input_gives_the_same_bytes_with_any_number_of_workers(tmp_path: Path, records: list[VideoRecord]) -> None:
    first = build(tmp_path, records, num_workers=1, name="first")
    again = build(tmp_path, records, num_workers=1, name="again")
    parallel = build(tmp_path / "elsewhere", records[::-1], num_workers=3)
    assert content(first.path) == content(again.path) == content(parallel.path)


def test_a_video_that_gives_no_clip_is_named_with_its_reason(tmp_path: Path, records: list[VideoRecord]) -> None:
    normal = ManifestRow("", "x", "normal", "other")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\x00\x00\x00\x18ftypmp42")
    whole = write_video(tmp_path / "whole.mp4", numbered_frames(30))
    (tmp_path / "truncated.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    bad = [
        VideoRecord(dataclasses.replace(normal, video_id="broken"), Status.STORED, storage_uri=str(broken), sha256="1"),
        VideoRecord(
            dataclasses.replace(normal, video_id="truncated"), Status.STORED, storage_uri=str(tmp_path / "truncated.mp4"), sha256="2"
        ),
        VideoRecord(dataclasses.replace(normal, video_id="absent"), Status.STORED, storage_uri=str(tmp_path / "absent"), sha256="3"),
        VideoRecord(dataclasses.replace(normal, video_id="lost"), Status.MISSING, reason="HTTP status 404"),
        stored(tmp_path, "brief", "normal", numbered_frames(5)),
        dataclasses.replace(records[0], row=dataclasses.replace(records[0].row, video_id="twin")),
        stored(tmp_path, "outside", "normal", numbered_frames(20), crop=(100, 0, 100, 50)),
    ]
    dataset = build(tmp_path, [*records, *bad])
    lines = [json.loads(line) for line in (dataset.path / "videos.jsonl").read_text().splitlines()]
    cut = "a video that cannot be opened: video/mp4, cut short or damaged (Invalid data found when processing input)"
    assert {line["video_id"]: line["reason"] for line in lines if not line["num_clips"]} == {
        "broken": "not a video: the content is of no known type",
        "truncated": cut,
        "absent": f"cannot read {str(tmp_path / 'absent')!r}: [Errno 2] No such file or directory: {str(tmp_path / 'absent')!r}; "
        "check that it exists and that you may access it.",
        "lost": "missing at ingest: HTTP status 404",
        "brief": "it has 5 frames, a clip needs 14",
        "twin": "the same file as 'covid-0'",
        "outside": "the crop 100,0,100,50 of the manifest leaves the frame of 128 × 96 px",
    }
    assert len(lines) == len(records) + len(bad)
    assert dataset.metrics()["num_videos_without_clips"] == len(bad)
    # What was given counts, so that a video without clips is not new at every retraining.
    assert dataset.index.videos == VideoSet.of([*records, *bad])
    assert dataset.index.videos.num_videos == len(records) + len(bad) - 1


def test_what_the_manifest_states_about_a_patient_stands_beside_the_container(tmp_path: Path, records: list[VideoRecord]) -> None:
    described = stored(tmp_path, "described", "pneumonia", numbered_frames(20), ".gif", label_detail="viral", sex="female", age="61")
    dataset = build(tmp_path, [*records, described])
    (video,) = [video for video in read_video_facts(dataset.path) if video.video_id == "described"]
    assert video.descriptions == {"class detail": "viral", "sex": "female", "age": "61"}
    assert video.traits["container"] == "gif"


def test_one_file_under_two_labels_is_not_used_at_all(tmp_path: Path, records: list[VideoRecord]) -> None:
    twin = dataclasses.replace(records[0], row=dataclasses.replace(records[0].row, video_id="twin", class_name="normal"))
    dataset = build(tmp_path, [*records, twin])
    used = {clip.video_id for read in read_back(dataset).values() for clip in read}
    assert used == {record.row.video_id for record in records} - {"covid-0"}


def test_the_crop_of_the_manifest_is_used(tmp_path: Path, records: list[VideoRecord]) -> None:
    frames = np.zeros((20, 96, 128, 3), np.uint8)
    frames[:, 10:40, 20:70] = np.tile([195, 215], 10)[:, None, None, None]
    cropped = stored(tmp_path, "cropped", "normal", frames, crop=(20, 10, 50, 30))
    (clip,) = [clip for read in read_back(build(tmp_path, [*records, cropped])).values() for clip in read if clip.video_id == "cropped"]
    assert cv2.imdecode(np.frombuffer(clip.frames[0], np.uint8), cv2.IMREAD_COLOR)[10:-10, 10:-10].min() > 180


def textured(seed: int, num_frames: int = 16) -> np.ndarray:
    """Returns frames [n, 96, 128, 3] of a picture that moves sideways, another one for every seed."""
    picture = np.random.default_rng(seed).uniform(0, 255, (12, 16)).astype(np.float32)
    large = cv2.resize(picture, (128, 96), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    return np.repeat(np.stack([np.roll(large, 2 * n, axis=1) for n in range(num_frames)])[..., None], 3, axis=3)


def test_copies_of_a_recording_become_one_group(tmp_path: Path, records: list[VideoRecord]) -> None:
    half = np.stack([cv2.resize(frame, (64, 48), interpolation=cv2.INTER_AREA) for frame in textured(0)])
    copies = [
        stored(tmp_path, "full", "covid", textured(0)),
        stored(tmp_path, "half", "covid", half),
        stored(tmp_path, "b", "covid", textured(1)),
    ]
    renamed = dataclasses.replace(copies[2], row=dataclasses.replace(copies[2].row, video_id="b-again", group="elsewhere"))
    dataset = build(tmp_path, [*records, *copies, renamed])
    by_id = {outcome.video_id: outcome for outcome in dataset.outcomes}
    assert by_id["full"].near_duplicates == ["half"]
    assert by_id["half"].near_duplicates == ["full"]
    assert by_id["full"].group == by_id["half"].group == "full+half"
    assert by_id["full"].split == by_id["half"].split
    assert by_id["b"].group == by_id["b-again"].group == "b+elsewhere"
    assert dataset.metrics()["num_near_duplicates"] == 2
    assert {clip.group for read in read_back(dataset).values() for clip in read if clip.video_id in ("full", "half")} == {"full+half"}
    kept = json.loads((tmp_path / "storage" / "splits.json").read_text())
    assert kept["full"] == kept["half"] == by_id["full"].split


def test_copies_whose_groups_are_on_two_sides_for_life_fail_the_step(tmp_path: Path, records: list[VideoRecord]) -> None:
    storage.write_bytes(str(tmp_path / "storage" / "splits.json"), b'{"full": "train", "again": "test"}')
    copies = [stored(tmp_path, "full", "covid", textured(0)), stored(tmp_path, "again", "covid", textured(0)[1:])]
    with pytest.raises(DataError, match="'again' in test, 'full' in train"):
        build(tmp_path, [*records, *copies])
    assert not (tmp_path / "dataset").exists()


def test_other_is_left_out_or_kept_as_a_fourth_class(tmp_path: Path, records: list[VideoRecord]) -> None:
    others = [stored(tmp_path, f"other-{n}", "other", numbered_frames(20 + n)) for n in range(3)]
    without = build(tmp_path, [*records, *others], name="without")
    assert without.index.class_names == ["covid", "pneumonia", "normal"]
    assert {outcome.reason for outcome in without.outcomes if outcome.class_name == "other"} == {
        "its class is other, which is not kept (keep_other)"
    }
    kept = build(tmp_path / "kept", [*records, *others], dataclasses.replace(SETTINGS, keep_other=True))
    assert kept.index.class_names == ["covid", "pneumonia", "normal", "other"]
    read = [clip for split in read_back(kept).values() for clip in split]
    assert {clip.video_id for clip in read if clip.label == 3} == {"other-0", "other-1", "other-2"}
    assert all(info.videos_by_class["other"] == 1 for info in kept.index.splits.values())


def test_the_report_and_the_statistics_tell_what_is_in_the_dataset(tmp_path: Path, records: list[VideoRecord]) -> None:
    copies = [stored(tmp_path, "full<b>", "covid", textured(0)), stored(tmp_path, "later", "covid", textured(0)[1:], source="elsewhere")]
    dataset = build(tmp_path, [*records, *copies, stored(tmp_path, "short", "covid", numbered_frames(3))])
    page = dataset.report_html()
    assert "14 of 15 videos gave 23 clips of 14 frames, in 13 groups." in " ".join(page.split())
    assert "it has 3 frames, a clip needs 14" in page
    assert "full&lt;b&gt;+later" in page
    assert "full<b>" not in page
    assert page.count("data:image/jpeg;base64,") == 3
    assert page == dataset.report_html()
    statistics = json.loads((dataset.path / "statistics.json").read_text())
    assert statistics["videos"] == 14
    assert statistics["names"]["source"] == {"elsewhere": 1, "phantom": 13}
    assert {result.reading for result in drift(used_videos(dataset.path), used_videos(dataset.path))} == {"no shift beyond chance"}


def test_splits_are_kept_in_storage_when_data_grows(tmp_path: Path, records: list[VideoRecord]) -> None:
    build(tmp_path, records, name="before")
    before = json.loads((tmp_path / "storage" / "splits.json").read_text())
    more = [stored(tmp_path, f"{name}-more", name, numbered_frames(15)) for name in clips.CLASS_NAMES]
    build(tmp_path, [*records, *more], dataclasses.replace(SETTINGS, seed=7), name="after")
    after = json.loads((tmp_path / "storage" / "splits.json").read_text())
    assert set(after) - set(before) == {record.row.group for record in more}
    assert {group: after[group] for group in before} == before


def test_videos_and_splits_may_lie_in_cloud_storage(tmp_path: Path, records: list[VideoRecord], gs_storage: str) -> None:
    remote = []
    for record in records:
        uri = storage.join(gs_storage, "videos", Path(record.storage_uri).name)
        storage.put_file(Path(record.storage_uri), uri)
        remote.append(dataclasses.replace(record, storage_uri=uri))
    write_videos(tmp_path / "videos.jsonl", remote)
    dataset = build_dataset(tmp_path / "videos.jsonl", gs_storage, tmp_path / "dataset", SETTINGS, num_workers=1)
    assert dataset.index.fingerprint == build(tmp_path / "local", records).index.fingerprint
    assert storage.exists(storage.join(gs_storage, "splits.json"))


@pytest.fixture
def remote(tmp_path: Path, records: list[VideoRecord], s3_storage: str) -> None:
    """The same videos in the storage."""
    moved = []
    for record in records:
        uri = storage.join(s3_storage, "videos", Path(record.storage_uri).name)
        storage.put_file(Path(record.storage_uri), uri)
        moved.append(dataclasses.replace(record, storage_uri=uri))
    write_videos(tmp_path / "videos.jsonl", moved)


@pytest.mark.usefixtures("remote")
def test_a_storage_that_refuses_a_video_ends_the_step(tmp_path: Path, s3_storage: str, s3_proxy: Proxy) -> None:
    s3_proxy.faults.extend([None] * 8 + [403])
    with pytest.raises(StorageError, match=r"cannot read 's3://.*/videos/.*403"):
        build_dataset(tmp_path / "videos.jsonl", s3_storage, tmp_path / "dataset", SETTINGS, num_workers=1)
    assert not (tmp_path / "dataset").exists()


@pytest.mark.usefixtures("remote")
def test_a_storage_that_does_not_answer_is_no_video_without_clips(
    tmp_path: Path, s3_storage: str, s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "PATIENCE_S", 0.5)
    s3_proxy.stop_after(8)
    with pytest.raises(OutageError, match=r"cannot read 's3://.*the storage does not answer"):
        build_dataset(tmp_path / "videos.jsonl", s3_storage, tmp_path / "dataset", SETTINGS, num_workers=1)
    assert not (tmp_path / "dataset").exists()
    s3_proxy.start()
    assert all(
        outcome.num_clips for outcome in build_dataset(tmp_path / "videos.jsonl", s3_storage, tmp_path / "dataset", SETTINGS, 1).outcomes
    )


def test_a_class_without_usable_videos_fails_and_leaves_nothing_behind(tmp_path: Path, records: list[VideoRecord]) -> None:
    unusable = [
        dataclasses.replace(record, storage_uri=str(tmp_path / "absent")) if record.row.class_name == "covid" else record
        for record in records
    ]
    with pytest.raises(DataError, match="class covid has no video"):
        build(tmp_path, unusable)
    assert os.listdir(tmp_path) == ["videos.jsonl"]


def test_too_few_groups_fail_before_decoding(tmp_path: Path, records: list[VideoRecord]) -> None:
    with pytest.raises(DataError, match=r"class normal has videos of 2 group\(s\)"):
        build(tmp_path, records[:10])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames_per_second": 0}, "frames_per_second must be"),
        ({"num_shards": 0}, "num_shards must be"),
        ({"sampling": "random"}, "sampling must be one of window, uniform"),
        ({"test_fraction": 1.0}, "test_fraction must be"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, records: list[VideoRecord], change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(tmp_path, records, dataclasses.replace(SETTINGS, **change))


@pytest.mark.parametrize("options", ["--runner='x", "--runner=NoSuchRunner", "--runner=no.such.Runner"])
def test_beam_options_that_cannot_be_used_are_refused(tmp_path: Path, records: list[VideoRecord], options: str) -> None:
    write_videos(tmp_path / "videos.jsonl", records)
    with pytest.raises(UsageError, match="beam_options"):
        build_dataset(tmp_path / "videos.jsonl", str(tmp_path), tmp_path / "dataset", SETTINGS, 1, beam_options=options)


def test_outcomes_and_shards_that_the_runner_loses_are_made_again(
    tmp_path: Path, records: list[VideoRecord], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = build(tmp_path / "whole", records)
    write_lines = beam_pipeline._write_lines

    def lose_the_first(gathered: tuple[None, Any], uri: str) -> None:
        _, lines = gathered
        lines = sorted(lines)
        write_lines((None, lines[1:] if len(lines) > 1 else lines), uri)

    monkeypatch.setattr(beam_pipeline, "_write_lines", lose_the_first)
    dataset = build(tmp_path / "lossy", records)
    assert dataset.index.fingerprint == expected.index.fingerprint
    assert [outcome.num_clips for outcome in dataset.outcomes] == [outcome.num_clips for outcome in expected.outcomes]
    for lost in ("1 of 12 videos", "1 of 6 shards"):
        assert f"the runner lost the results of {lost}, which are done again" in caplog.text
