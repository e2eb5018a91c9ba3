"""The `lus` command: its sub-commands, put together."""

import logging

import click

from components.__main__ import step_command
from components.command_line import Commands, example
from pipelines.commands import champion, compile, dataset, explain, gc, import_dicom, predict, run, runs, schedule, search, submit


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example("lus run --manifest phantoms/manifest.csv --storage lungs --backbone small"),
)
@click.version_option(package_name="lung-ultrasound-pipeline")
def main() -> None:
    """Lung-ultrasound video classification: from public videos to a pruned, evaluated, promoted classifier.

    For research and education only, not for diagnosis.
    """
    logging.basicConfig(format="%(message)s")
    logging.getLogger("components").setLevel(logging.INFO)


for command in (
    run.run_command,
    search.search_command,
    import_dicom.import_dicom_command,
    champion.champion,
    predict.predict,
    step_command("crossval", "lus"),
    *dataset.COMMANDS,
    compile.compile_command,
    submit.submit_command,
    runs.runs_group,
    schedule.schedule_group,
    explain.explain_command,
    gc.gc_command,
):
    main.add_command(command)
