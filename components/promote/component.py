"""Interface of the promote step."""

from kfp import dsl

from components.core import images


# 0.5: answering one class throughout gives at most 1/3 with three classes (0.21 on the real videos), a classifier trained from scratch
# about 0.63 with a spread of 0.10, so the threshold keeps out what has learned nothing and lets a fair result pass.
@dsl.component(base_image=images.INGEST, packages_to_install=[], install_kfp_package=False)
def promote(
    model: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    report: dsl.Input[dsl.HTML],
    storage: str,
    decision: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    min_macro_f1: float = 0.5,
    tolerance: float = 0.0,
    max_p_value: float = 0.05,
):
    """Makes the pruned model the champion if it is good enough.

    It must also be no worse than the champion on the same test videos: its Brier score is not above the champion's, and its macro-F1 is not
    shown to be lower. A model that is not promoted is a normal outcome, and the step succeeds.

    Args:
        model: The pruned model.
        evaluation: The evaluation.json of this model.
        report: The report of this model, kept with the version.
        storage: Where the project keeps videos, splits and models; versions and the champion pointer go to models/ there.
        min_macro_f1: Macro-F1 per video that a champion must reach; with three classes, answering one class throughout gives at most 0.33.
        tolerance: How much worse than the champion the 95 % interval of the difference, paired over the test groups, may show it to be.
        max_p_value: Largest probability of its macro-F1 when labels are dealt at random over the test groups; 1 for tiny test splits.

    Returns:
        decision: Whether the model was promoted, with the reasons.
        metrics: Macro-F1 and Brier score of challenger and champion, the limits of the rule, and promoted as 1 or 0.
    """
    from pathlib import Path

    from components.core import process
    from components.core.files import outputs
    from components.promote.decision import Rule
    from components.promote.promote import promote_model

    with process.exit_with_message():
        rule = Rule(min_macro_f1, tolerance, max_p_value)
        promotion = promote_model(Path(model.path), Path(evaluation.path), Path(report.path), storage, rule)
        outputs.write_files({decision.path: promotion.to_markdown().encode()})
        for name, value in promotion.metrics().items():
            metrics.log_metric(name, value)
        if promotion.version:
            decision.metadata["version"] = promotion.version
        print(promotion.to_markdown())
