"""From the listed videos to the splits: how many are left at each stage, why others are not, their licences, and whether one leaks."""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Sequence

from components.core.records.clips import SPLITS
from components.evaluate.video_facts import VideoFacts, usable

MAX_EXAMPLES = 5


@dataclasses.dataclass(frozen=True)
class SplitCount:
    """What a split holds: videos, groups and clips, and videos by class."""

    videos: int
    groups: int
    clips: int
    videos_by_class: dict[str, int]


@dataclasses.dataclass(frozen=True)
class LeakCheck:
    """Whether something is on two sides of the split.

    Attributes:
        subject: what was compared.
        was_checked: whether the dataset states what the check needs.
        num_offences: how much of it is in more than one split.
        examples: the first of them.
    """

    subject: str
    was_checked: bool
    num_offences: int
    examples: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class DataFlow:
    """How the listed videos became the splits.

    Attributes:
        listed: videos in the manifest.
        stored: those that ingest stored.
        usable: those that gave clips.
        splits: by name, what each holds.
        reasons: why videos were lost, with their number, the most frequent first.
        licences: of the usable videos, with their number, the most frequent first.
        leaks: what was looked for on two sides of the split.
    """

    listed: int
    stored: int
    usable: int
    splits: dict[str, SplitCount]
    reasons: dict[str, int]
    licences: dict[str, int]
    leaks: tuple[LeakCheck, ...]


def data_flow(facts: Sequence[VideoFacts], class_names: list[str]) -> DataFlow:
    """Counts what a dataset states about its videos."""
    videos = usable(facts)
    return DataFlow(
        listed=len(facts),
        stored=sum(video.is_stored for video in facts),
        usable=len(videos),
        splits={split: _split_count(usable(facts, split), class_names) for split in SPLITS},
        reasons=_counted(video.reason for video in facts if not video.num_clips),
        licences=_counted(video.license for video in videos),
        leaks=(
            _leak_check("groups", videos, lambda video: [video.group]),
            _leak_check("files of equal content", videos, lambda video: None if video.sha256 is None else [video.sha256]),
            _leak_check("pairs of near-duplicate videos", videos, _pairs),
        ),
    )


def _split_count(videos: list[VideoFacts], class_names: list[str]) -> SplitCount:
    counts = collections.Counter(video.class_name for video in videos)
    return SplitCount(
        videos=len(videos),
        groups=len({video.group for video in videos}),
        clips=sum(video.num_clips for video in videos),
        videos_by_class={name: counts[name] for name in class_names},
    )


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(collections.Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _pairs(video: VideoFacts) -> list[str] | None:
    """Returns a name for each pair of a video and a near duplicate, which name each other; a copy of a copy need not be near."""
    if video.near_duplicates is None:
        return None
    return ["\n".join(sorted([video.video_id, other])) for other in video.near_duplicates]


def _leak_check(subject: str, videos: list[VideoFacts], keys_of: Callable[[VideoFacts], list[str] | None]) -> LeakCheck:
    """Looks for videos with a key in common in several splits; None is not stated."""
    members: dict[str, list[VideoFacts]] = collections.defaultdict(list)
    for video in videos:
        for key in keys_of(video) or ():
            members[key].append(video)
    offences = [
        ", ".join(f"{video.video_id} ({video.split})" for video in alike)
        for _, alike in sorted(members.items())
        if len({video.split for video in alike}) > 1
    ]
    was_checked = any(keys_of(video) is not None for video in videos)
    return LeakCheck(subject, was_checked, len(offences), tuple(offences[:MAX_EXAMPLES]))
