"""What preprocess made of its videos: a line of videos.jsonl for each, and the dataset as a whole."""

import dataclasses
from pathlib import Path

from components.core.records.shards import DatasetIndex
from components.preprocess.dataset_report import render_dataset_report


@dataclasses.dataclass(frozen=True)
class VideoOutcome:
    """What became of one video: a line of the dataset's videos.jsonl.

    Attributes:
        group: what may not be split: the manifest's group, or several of them that hold copies of one recording.
        split: of its group; empty when it gave no clip.
        fold: of its group, from 0, for a cross-validation over all splits; None when it gave no clip.
        num_clips: how many clips it gave.
        sector: what its field of view was taken for: convex, linear, given by the manifest, or unknown, which means the whole frame.
        reason: why it gave none, or an empty string.
        label_detail: what the manifest states beside the class, like the sex and the age of the patient; empty where it does not.
        a_lines: what it states of the finding (core.records.findings), like b_lines and severity; empty where it does not.
        zone: where on the chest, or an empty string.
        patient_id: the patient, where the group is something else, or an empty string.
        container: of the file, by its content, such as mp4.
        width_px: of its frames as they are shown, as their height; 0 when it gave no clip, like the numbers after it.
        height_px: of its frames.
        frames_per_second: its nominal rate.
        codec: FFmpeg's name of it.
        pixel_aspect: width of a stored pixel by its height.
        num_interlaced: frames that hold two fields, of those that were read; they are taken whole.
        num_damaged: parts that could not be decoded, of what was read; they are left out.
        read_s: how much of it was read, in seconds.
        brightness: mean grey level of its clips.
        sha256: of the file.
        near_duplicates: the ids of other videos that are copies of the same recording.
    """

    video_id: str
    class_name: str
    group: str
    source: str
    probe: str
    license: str
    split: str
    fold: int | None
    num_clips: int
    sector: str
    reason: str
    label_detail: str
    sex: str
    age: str
    a_lines: str
    b_lines: str
    severity: str
    zone: str
    patient_id: str
    container: str
    width_px: int
    height_px: int
    frames_per_second: float
    codec: str
    pixel_aspect: float
    num_interlaced: int
    num_damaged: int
    read_s: float
    brightness: float
    sha256: str
    near_duplicates: list[str]


@dataclasses.dataclass(frozen=True)
class BuiltDataset:
    """A finished clip dataset and what became of every video."""

    path: Path
    index: DatasetIndex
    outcomes: list[VideoOutcome]

    def metrics(self) -> dict[str, float]:
        """Returns the counts that the Kubeflow UI shows."""
        counts: dict[str, float] = {
            "num_videos_without_clips": sum(not outcome.num_clips for outcome in self.outcomes),
            "num_near_duplicates": sum(bool(outcome.near_duplicates) for outcome in self.outcomes),
        }
        for split, info in self.index.splits.items():
            counts |= {f"{split}_videos": info.num_videos, f"{split}_clips": info.num_clips, f"{split}_groups": info.num_groups}
        return counts

    def report_html(self) -> str:
        """Returns the report."""
        return render_dataset_report(self.path, self.index, [dataclasses.asdict(outcome) for outcome in self.outcomes])
