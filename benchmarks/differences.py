"""How often a paired difference is seen between two models that are equally good, by simulation.

    python benchmarks/differences.py [--simulations 1000]

Each patient is of one of three classes and has five videos. A model gives a video a normal variable for each class, raised for the true
one, made probabilities by a softmax; half of the variance is common to the videos of a patient and to both models, since some patients are
hard for every model; the rest is half the patient's and half the video's own. The models are equally good, so that an interval of 95 %
should leave zero out in 5 %.
"""

import argparse
from collections import Counter

import numpy as np

from components.core.models.predictions import Predictions
from components.core.statistics.bootstrap import Estimate, sample_and_replicates, weighted_metrics
from components.core.statistics.comparisons import macro_f1_difference, patient_scores

CLASS_NAMES = ["covid", "pneumonia", "normal"]
NUM_BOOTSTRAP = 400
VIDEOS_PER_PATIENT = 5
SKILL = 1.0
PATIENTS = (9, 18, 30, 51)


def two_models(rng: np.random.Generator, num_patients: int) -> tuple[Predictions, Predictions]:
    """Returns what two equally good models say of the same videos."""
    num_videos = num_patients * VIDEOS_PER_PATIENT
    patients = np.repeat(np.arange(num_patients), VIDEOS_PER_PATIENT)
    labels, names, ids = patients % len(CLASS_NAMES), patients.astype(str), np.arange(num_videos).astype(str)
    shared = rng.normal(size=(num_patients, len(CLASS_NAMES)))[patients]

    def model() -> Predictions:
        of_patient, of_video = (0.5**0.5 * rng.normal(size=(num, len(CLASS_NAMES))) for num in (num_patients, num_videos))
        exponentials = np.exp(shared + of_patient[patients] + of_video + SKILL * np.eye(len(CLASS_NAMES))[labels])
        return Predictions(labels, exponentials / exponentials.sum(axis=1, keepdims=True), ids, names, ids)

    return model(), model()


def plain_percentile(one: Predictions, other: Predictions, seed: int) -> Estimate:
    """Returns the difference in macro-F1 with the interval that it would have if few groups were not allowed for."""
    weights = sample_and_replicates(one.groups, NUM_BOOTSTRAP, seed)
    first, second = (weighted_metrics(of, weights).overall["macro_f1"] for of in (one, other))
    return Estimate.of(first - second)


def main() -> None:
    """Prints how often each interval leaves zero out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1000)
    num_simulations = parser.parse_args().simulations
    for num_patients in PATIENTS:
        seen: Counter[str] = Counter()
        for simulation in range(num_simulations):
            one, other = two_models(np.random.default_rng([simulation, num_patients]), num_patients)
            differences = {
                "macro-F1": macro_f1_difference([one], [other], NUM_BOOTSTRAP, simulation),
                "AUC per patient": patient_scores([one], other, CLASS_NAMES, NUM_BOOTSTRAP, simulation)["covid"].difference,
                "macro-F1, plain percentiles": plain_percentile(one, other, simulation),
            }
            seen.update(name for name, difference in differences.items() if difference.excludes_zero)
        print(f"{num_patients} patients:", {name: round(seen[name] / num_simulations, 3) for name in differences}, flush=True)


if __name__ == "__main__":
    main()
