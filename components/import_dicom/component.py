"""Interface of the import_dicom step."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.DICOM, packages_to_install=[], install_kfp_package=False)
def import_dicom(
    source: str,
    labels: str,
    destination: str,
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    key_file: str = "",
    source_name: str = "dicom",
):
    """Turns DICOM ultrasound into de-identified videos.

    With them comes the manifest that ingest takes.

    Args:
        source: Folder with the DICOM files: a local one, a gs:// or an s3:// URI.
        labels: CSV with the columns path (a file or a folder in the source), label and, if need be, region (x,y,width,height).
        destination: Where videos and manifest.csv go: a local folder, a gs:// or an s3:// URI.
        key_file: File with the secret from which pseudonyms are made; without one, the environment variable LUS_PSEUDONYM_KEY holds it.
        source_name: What the manifest gives as the source of the videos.

    Returns:
        summary: How many files were imported, and which were rejected or should be looked at, with the reason.
        metrics: Counts of files imported and rejected, of frames, and of files by decoder.
    """
    from components.core import process
    from components.core.files import outputs
    from components.import_dicom.importing import import_dicom_files

    with process.exit_with_message():
        result = import_dicom_files(source, labels, destination, key_file, source_name)
        outputs.write_files({summary.path: result.to_markdown().encode()})
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
        print(result.to_markdown())
        result.check()
        print(f"the manifest is {result.manifest_uri}")
