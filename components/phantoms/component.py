"""Interface of the phantoms step."""

from kfp import dsl

from components.core import images


@dsl.component(base_image=images.PREPROCESS, packages_to_install=[], install_kfp_package=False)
def phantoms(destination: str, patients_per_class: int = 12, videos_per_patient: int = 2, seed: int = 0) -> str:
    """Draws phantom lung-ultrasound videos and their manifest.

    They are a toy for trying the pipeline, never medical evidence.

    Args:
        destination: Local folder for the videos and manifest.csv; it must be new or empty, or hold phantoms, which are replaced.
        patients_per_class: Simulated patients in each of the three classes.
        videos_per_patient: Videos of each patient; mp4, avi and gif, convex and linear probes take turns.
        seed: The same seed gives the same bytes; another one gives other patients.

    Returns:
        Output: Path of the manifest, to be given to ingest.
    """
    from components.core import process
    from components.phantoms.phantoms import generate_phantoms, local_folder_of

    with process.exit_with_message():
        folder = local_folder_of(destination)
        manifest = generate_phantoms(folder, patients_per_class=patients_per_class, videos_per_patient=videos_per_patient, seed=seed)
    return str(manifest)
