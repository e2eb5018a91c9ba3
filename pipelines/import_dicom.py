"""The pipeline that imports DICOM: a single step, apart from training, so that nothing that identifies enters there."""

from kfp import dsl

from components.import_dicom.component import import_dicom as import_dicom_step
from pipelines.wiring import Given, add_step, pipeline_of

PIPELINE_NAME = "lung-ultrasound-dicom-import"


def _import_dicom(given: Given) -> dsl.Markdown:
    return add_step(import_dicom_step, given, cached=False).outputs["summary"]


import_dicom = pipeline_of(PIPELINE_NAME, import_dicom_step.component_spec.description, _import_dicom, (import_dicom_step,))
