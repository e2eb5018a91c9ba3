"""A tiny set of phantom videos for tests of whole steps and of the whole pipeline."""

from pathlib import Path

from components.phantoms.phantoms import generate_phantoms


def tiny_phantoms(folder: Path, patients_per_class: int = 3) -> Path:
    """Draws one video a patient; returns the manifest."""
    return generate_phantoms(folder / "phantoms", patients_per_class=patients_per_class, videos_per_patient=1, seed=0)
