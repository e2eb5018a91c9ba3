"""What became of the rows, as Markdown for the Kubeflow UI."""

import collections

from components.core.records.video_records import Status, VideoRecord


def summary(records: list[VideoRecord]) -> str:
    """Returns a table by source, the reasons in numbers, and every row that gave no video with its reason."""
    by_source: dict[str, list[VideoRecord]] = collections.defaultdict(list)
    for record in records:
        by_source[record.row.source or "(not stated)"].append(record)
    lines = ["# Ingest", "", f"| source | listed | {' | '.join(Status)} | MB | licences |", f"|{'---|' * (len(Status) + 4)}"]
    lines += [_source_line(source, members) for source, members in sorted(by_source.items())]
    absent = [record for record in records if record.status is not Status.STORED]
    if absent:
        reasons = collections.Counter((record.status.value, _cell(record.reason)) for record in absent)
        lines += ["", "| status | reason | videos |", "|---|---|---|"]
        lines += [f"| {status} | {reason} | {count} |" for (status, reason), count in reasons.most_common()]
        lines += ["", "| video | status | reason |", "|---|---|---|"]
        lines += [f"| {_cell(record.row.video_id)} | {record.status.value} | {_cell(record.reason)} |" for record in absent]
    return "\n".join(lines) + "\n"


def _source_line(source: str, members: list[VideoRecord]) -> str:
    counts = collections.Counter(record.status for record in members)
    licenses = ", ".join(sorted({record.row.license or "not stated" for record in members}))
    megabytes = sum(record.num_bytes for record in members) / 1e6
    statuses = " | ".join(str(counts[status]) for status in Status)
    return f"| {_cell(source)} | {len(members)} | {statuses} | {megabytes:.1f} | {_cell(licenses)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
