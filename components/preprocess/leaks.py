"""The leak check: what is on two sides of a split makes every score on the test side a lie."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from components.core.errors import DataError
from components.core.records.clips import SPLITS
from components.core.records.shards import read_clips
from components.preprocess.outcomes import VideoOutcome


def check_leaks(dataset_path: Path, videos: Iterable[VideoOutcome]) -> None:
    """Checks the clips that the shards of a dataset really hold.

    Args:
        dataset_path: the folder of the shards.
        videos: all videos of the dataset.

    Raises:
        DataError: a video, a group, a file or a pair of near-duplicates is in two splits.
    """
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    by_id = {video.video_id: video for video in videos}
    clips = ((split, clip) for split in sorted(SPLITS) for clip in read_clips(dataset_path, split))
    for split, clip in clips:
        for kind, name in _belongs_to(by_id[clip.video_id], clip.group):
            other_split, other_id = seen.setdefault((kind, name), (split, clip.video_id))
            if other_split != split:
                raise DataError(
                    f"leak: the {kind} {name!r} is in {other_split} (video {other_id!r}) and in {split} (video {clip.video_id!r}); "
                    "take one of the videos out of the manifest, or give both the same group."
                )


def _belongs_to(video: VideoOutcome, group: str) -> Iterator[tuple[str, str]]:
    """Yields what may be on one side only, each as its kind and name."""
    yield "video", video.video_id
    yield "group", group
    yield "group", video.group
    yield "file", video.sha256
    for other in video.near_duplicates:
        yield "recording", " = ".join(sorted([video.video_id, other]))
