"""What evaluate tells promote, for tests that do not evaluate."""

from typing import Any


def convincing_comparison(sha256: str, macro_f1: float) -> dict[str, Any]:
    """Returns the comparison of a model far above chance, where there is no champion yet."""
    return {
        "challenger_sha256": sha256,
        "challenger_macro_f1": macro_f1,
        "challenger_interval": [macro_f1 - 0.125, macro_f1 + 0.125],
        "chance_p_value": 0.001,
        "majority_macro_f1": 0.2,
        "champion_version": None,
        "champion_macro_f1": None,
        "difference_interval": None,
        "remark": "",
        "challenger_brier": 1 - macro_f1,
        "champion_brier": None,
    }
