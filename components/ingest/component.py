"""Interface of the ingest step."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.INGEST, packages_to_install=[], install_kfp_package=False)
def ingest(
    manifest: str, storage: str, videos: dsl.Output[dsl.Dataset], summary: dsl.Output[dsl.Markdown], metrics: dsl.Output[dsl.Metrics]
):
    """Collects the videos of a manifest into storage, each stored once by its content.

    Args:
        manifest: CSV of videos, a local path or a gs:// URI, with the columns video_id, uri, label, group.
        storage: Where the project keeps videos, splits and models: a local folder or a gs:// URI.

    Returns:
        videos: One JSON line per row of the manifest: stored, missing or rejected, with the reason.
        summary: What came from each source, and what did not, with the reason.
        metrics: Counts of stored, missing and rejected videos, and bytes.
    """
    from pathlib import Path

    from components.core import errors
    from components.ingest.ingest import ingest_videos

    with errors.exit_with_message():
        result = ingest_videos(manifest, storage)
        result.write(Path(videos.path), Path(summary.path))
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
