"""Interface of the step that tells people how a scheduled run ended."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.INGEST, packages_to_install=[], install_kfp_package=False)
def notify(status: dsl.PipelineTaskFinalStatus, storage: str):
    """Tells how a run ended, by a webhook and by e-mail.

    The environment says where to. LUS_WEBHOOK_URL is the webhook, which takes Slack's form. LUS_SMTP_URL (smtp:// or smtps://, with user
    and password), LUS_MAIL_FROM and LUS_MAIL_TO are for e-mail, which goes over TLS wherever the server offers it. They come from a
    Kubernetes Secret; without them the step only prints the message.

    Args:
        status: State of the run, its name and its error, as Kubeflow gives it to an exit handler.
        storage: Where the project keeps videos, splits and models; the message names the champion there.
    """
    import os

    from components.core import process
    from components.notify.notify import Outcome, send

    with process.exit_with_message():
        outcome = Outcome(status.state, status.pipeline_job_resource_name, status.error_message or "")
        send(outcome, storage, os.environ)
