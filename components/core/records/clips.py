"""Clips: the unit that is learned from, and how one is stored.

A clip is CLIP_FRAMES frames of one video. It is stored as one tf.train.SequenceExample with MediaSequence's keys
(https://github.com/google-ai-edge/mediapipe, util/sequence/README.md) and this project's own for group, source, probe and licence:

    context        clip/data_id, clip/group, clip/source, clip/probe, clip/license, clip/index,
                   clip/label/index, clip/label/string, image/format, image/height, image/width,
                   and where it is stated: clip/a_lines, clip/b_lines, clip/severity (grades from 0), clip/zone, clip/patient
    feature lists  image/encoded (one JPEG a frame), image/timestamp (microseconds in the video), image/frame_index (frames in the video)

The message type is built from its description (tensorflow/core/example/example.proto), so that Beam workers need no TensorFlow.
"""

import dataclasses
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from components.core.records.findings import FINDINGS, NOT_STATED

CLIP_FRAMES = 14
FRAME_SIZE_PX = 224
CLASS_NAMES = ("covid", "pneumonia", "normal")
# What is none of them; a fourth class if the user wants that.
OTHER = "other"
ALL_CLASS_NAMES = (*CLASS_NAMES, OTHER)
SPLITS = ("train", "validation", "test")

KEY_VIDEO_ID = "clip/data_id"
KEY_GROUP = "clip/group"
KEY_SOURCE = "clip/source"
KEY_LABEL = "clip/label/index"
KEY_CLIP_INDEX = "clip/index"
KEYS_OF_FINDINGS = {finding.name: f"clip/{finding.name}" for finding in FINDINGS}
KEY_FRAMES = "image/encoded"
# The fields of a ClipRecord by their keys: texts, numbers, and numbers of each frame.
_TEXTS = {KEY_VIDEO_ID: "video_id", KEY_GROUP: "group", KEY_SOURCE: "source", "clip/probe": "probe", "clip/license": "license"}
_NUMBERS = {KEY_LABEL: "label", KEY_CLIP_INDEX: "clip_index"}
# The same for what may be absent, with what a record then says.
_OPTIONAL_TEXTS = {"clip/zone": "zone", "clip/patient": "patient_id"}
_OPTIONAL_NUMBERS = {key: name for name, key in KEYS_OF_FINDINGS.items()}
_SERIES = {"image/timestamp": "timestamps_us", "image/frame_index": "frame_indices"}


def class_names(keep_other: bool) -> tuple[str, ...]:
    """Returns the classes of a dataset, with or without OTHER."""
    return ALL_CLASS_NAMES if keep_other else CLASS_NAMES


@dataclasses.dataclass(frozen=True)
class ClipRecord:
    """One clip and where it came from.

    Attributes:
        frames: CLIP_FRAMES JPEG files, each FRAME_SIZE_PX × FRAME_SIZE_PX, grey; a reader makes three equal channels of them.
        label: index into ALL_CLASS_NAMES.
        video_id: the manifest's id of the video.
        group: what may not be split, as in the manifest.
        source: where the video was published.
        probe: the transducer, or an empty string.
        license: the licence stated for the video, or an empty string.
        clip_index: number of the clip in its video, from 0.
        timestamps_us: time of each frame in the video, in microseconds.
        frame_indices: number of each frame in the video, in decoding order from 0.
        a_lines: number of the grade of the finding (core.records.findings), or NOT_STATED; likewise b_lines and severity.
        zone: where on the chest, or an empty string.
        patient_id: the patient, where the group is something else, or an empty string.
    """

    frames: tuple[bytes, ...]
    label: int
    video_id: str
    group: str
    source: str
    probe: str
    license: str
    clip_index: int
    timestamps_us: tuple[int, ...]
    frame_indices: tuple[int, ...]
    a_lines: int = NOT_STATED
    b_lines: int = NOT_STATED
    severity: int = NOT_STATED
    zone: str = ""
    patient_id: str = ""


def serialize(record: ClipRecord) -> bytes:
    """Returns the record as the bytes of a SequenceExample; equal records give equal bytes."""
    example = _SequenceExample()
    context = example.context.feature
    texts = {key: getattr(record, name) for key, name in _TEXTS.items()}
    texts |= {key: text for key, name in _OPTIONAL_TEXTS.items() if (text := getattr(record, name))}
    numbers = {key: getattr(record, name) for key, name in _NUMBERS.items()}
    numbers |= {key: grade for key, name in _OPTIONAL_NUMBERS.items() if (grade := getattr(record, name)) != NOT_STATED}
    for key, text in {**texts, "clip/label/string": ALL_CLASS_NAMES[record.label], "image/format": "jpeg"}.items():
        context[key].bytes_list.value.append(text.encode())
    for key, number in {**numbers, "image/height": FRAME_SIZE_PX, "image/width": FRAME_SIZE_PX}.items():
        context[key].int64_list.value.append(number)
    lists = example.feature_lists.feature_list
    series = [getattr(record, name) for name in _SERIES.values()]
    for frame, *stamps in zip(record.frames, *series, strict=True):
        lists[KEY_FRAMES].feature.add().bytes_list.value.append(frame)
        for key, stamp in zip(_SERIES, stamps, strict=True):
            lists[key].feature.add().int64_list.value.append(stamp)
    return bytes(example.SerializeToString(deterministic=True))


def parse(data: bytes) -> ClipRecord:
    """Returns the record that `serialize` stored."""
    example = _SequenceExample.FromString(data)
    context, lists = example.context.feature, example.feature_lists.feature_list
    fields: dict[str, Any] = {"frames": tuple(feature.bytes_list.value[0] for feature in lists[KEY_FRAMES].feature)}
    for key, name in {**_TEXTS, **_OPTIONAL_TEXTS}.items():
        if key in context or key in _TEXTS:
            fields[name] = context[key].bytes_list.value[0].decode()
    for key, name in {**_NUMBERS, **_OPTIONAL_NUMBERS}.items():
        if key in context or key in _NUMBERS:
            fields[name] = context[key].int64_list.value[0]
    for key, name in _SERIES.items():
        fields[name] = tuple(feature.int64_list.value[0] for feature in lists[key].feature)
    return ClipRecord(**fields)


def _sequence_example_class() -> Any:
    """Builds the SequenceExample message in a pool of its own, so that it can live beside TensorFlow's."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="components/core/sequence_example.proto", package="lus", syntax="proto3")

    def add_field(message: Any, name: str, number: int, kind: int, type_name: str = "", repeated: bool = False) -> Any:
        label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
        return message.field.add(name=name, number=number, type=kind, type_name=type_name or None, label=label)

    def add_map(message: Any, name: str, entry_name: str, value_type: str) -> None:
        entry = message.nested_type.add(name=entry_name)
        entry.options.map_entry = True
        add_field(entry, "key", 1, field.TYPE_STRING)
        add_field(entry, "value", 2, field.TYPE_MESSAGE, value_type)
        add_field(message, name, 1, field.TYPE_MESSAGE, f".lus.{message.name}.{entry_name}", repeated=True)

    for name, kind in (("BytesList", field.TYPE_BYTES), ("FloatList", field.TYPE_FLOAT), ("Int64List", field.TYPE_INT64)):
        add_field(file.message_type.add(name=name), "value", 1, kind, repeated=True)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, type_name) in enumerate((("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List")), 1):
        add_field(feature, name, number, field.TYPE_MESSAGE, f".lus.{type_name}").oneof_index = 0
    add_map(file.message_type.add(name="Features"), "feature", "FeatureEntry", ".lus.Feature")
    add_field(file.message_type.add(name="FeatureList"), "feature", 1, field.TYPE_MESSAGE, ".lus.Feature", repeated=True)
    add_map(file.message_type.add(name="FeatureLists"), "feature_list", "FeatureListEntry", ".lus.FeatureList")
    example = file.message_type.add(name="SequenceExample")
    add_field(example, "context", 1, field.TYPE_MESSAGE, ".lus.Features")
    add_field(example, "feature_lists", 2, field.TYPE_MESSAGE, ".lus.FeatureLists")

    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("lus.SequenceExample"))


_SequenceExample = _sequence_example_class()
