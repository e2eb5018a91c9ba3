"""Interface of the ingest step."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.INGEST, packages_to_install=[], install_kfp_package=False)
def ingest(
    manifest: str,
    storage: str,
    videos: dsl.Output[dsl.Dataset],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    videos_uri: dsl.OutputPath(str),  # type: ignore[valid-type]
    sources: str = "any",
    classes: str = "any",
    probes: str = "any",
    anatomies: str = "lung",
    licences: str = "any",
    drop_in: str = "",
    cookies: str = "",
    recheck: bool = False,
    max_gigabytes: float = 50,
    min_videos_per_class: int = 0,
):
    """Collects the videos of a manifest into storage.

    Each is stored once, by its content.

    Args:
        manifest: CSV of videos, a local path, a gs:// or an s3:// URI; or the word catalog, for the public videos of eleven sources.
        storage: Where the project keeps videos, splits and models: a local folder, a gs:// or an s3:// URI.
        sources: Take only videos of these sources: any, or names with commas between them.
        classes: Take only videos of these classes: any, or names with commas between them.
        probes: Take only videos of these probes: any, or convex, linear.
        anatomies: Take only videos that show this: any, or lung, or other names with commas between them.
        licences: Take only videos under these licences: any, open (no limits on use), or names with commas between them.
        drop_in: Folder with files that you have downloaded by hand, loose or zipped; they are taken before a source is asked.
        cookies: File with cookies of your browser in Netscape format, for sources that want a login (Vimeo).
        recheck: Ask the sources of stored videos again, and report those whose content has changed.
        max_gigabytes: Fetch no more than this in one run.
        min_videos_per_class: Fail when fewer videos of a class are stored.

    Returns:
        videos: One JSON line per row of the manifest: stored, missing, rejected or skipped, with the reason.
        summary: What came from each source, and what did not, with the reason.
        metrics: Counts of stored, missing, rejected and skipped videos, and bytes.
        videos_uri: Where the storage keeps videos without the times of fetching; named by content, so it is the same while the list is.
    """
    from pathlib import Path

    from components.core import parameters, process
    from components.core.files import outputs
    from components.core.records import selection
    from components.ingest.ingest import Options, ingest_videos

    with process.exit_with_message():
        parameters.check_values(min_videos_per_class=min_videos_per_class)
        selected = selection.Selection(sources, classes, probes, anatomies, licences)
        result = ingest_videos(manifest, storage, Options(selected, drop_in, cookies, recheck, max_gigabytes))
        result.write(Path(videos.path), Path(summary.path))
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
        result.check(min_videos_per_class)
        outputs.write_files({videos_uri: result.videos_uri.encode("utf-8", "surrogateescape")})
