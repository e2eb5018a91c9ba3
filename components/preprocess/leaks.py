"""The leak check: what is on two sides of a split makes every score on the test side a lie."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from components.core.errors import DataError
from components.core.records.clips import parse
from components.core.records.shards import ShardName, read_tfrecords


class CheckedVideo(Protocol):
    """What the check must know of a video."""

    @property
    def video_id(self) -> str:
        """Its id."""

    @property
    def group(self) -> str:
        """What may not be split."""

    @property
    def sha256(self) -> str:
        """Of its file."""

    @property
    def near_duplicates(self) -> list[str]:
        """The ids of other videos that are copies of the same recording."""


def check_leaks(dataset_path: Path, videos: Iterable[CheckedVideo]) -> None:
    """Checks the clips that the shards of a dataset really hold.

    Args:
        dataset_path: the folder of the shards.
        videos: all videos of the dataset.

    Raises:
        DataError: a video, a group, a file or a pair of near-duplicates is in two splits.
    """
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    by_id = {video.video_id: video for video in videos}
    for split, video_id, group in _clips(dataset_path):
        for kind, name in _belongs_to(by_id[video_id], group):
            other_split, other_id = seen.setdefault((kind, name), (split, video_id))
            if other_split != split:
                raise DataError(
                    f"leak: the {kind} {name!r} is in {other_split} (video {other_id!r}) and in {split} (video {video_id!r}); "
                    "take one of the videos out of the manifest, or give both the same group."
                )


def _clips(dataset_path: Path) -> Iterator[tuple[str, str, str]]:
    """Yields split, video and group of every clip."""
    for path in sorted(dataset_path.glob("*.tfrecord")):
        for record in read_tfrecords(path):
            clip = parse(record)
            yield ShardName.parse(path.name).split, clip.video_id, clip.group


def _belongs_to(video: CheckedVideo, group: str) -> Iterator[tuple[str, str]]:
    """Yields what may be on one side only, each as its kind and name."""
    yield "video", video.video_id
    yield "group", group
    yield "group", video.group
    yield "file", video.sha256
    for other in video.near_duplicates:
        yield "recording", " = ".join(sorted([video.video_id, other]))
