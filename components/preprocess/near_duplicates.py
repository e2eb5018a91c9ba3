"""Near-duplicates: videos that are copies of one recording, re-encoded, shrunk, cut or cropped by whoever published them again.

Every second sampled frame, normalised to its sector, has a perceptual hash: the signs of its lowest HASH_SIDE × HASH_SIDE cosines but the
mean's (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, thresholds them at their median instead). The
distance of two videos is the part of the bits that differ, the median over the frames of one of them against their likest in the other.

Lung ultrasound looks alike everywhere, so coarser hashes do not tell copies from neighbours. On 96 real videos the pair that is known to be
one recording has 0.29, the nearest two of different patients 0.34, half of all pairs more than 0.44. Copies of 16 of them had at most 0.18
when they were re-encoded at 0.6 of their size, and at most 0.28 when their beginning was cut off. When a margin of 4 to 8 % was cropped
away on every side, part of the sector with it, 7 of 16 were found.
"""

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np

HASH_SIDE = 16
IMAGE_SIDE_PX = 64
FRAME_STEP = 2
MAX_DISTANCE = 0.3
# Flat images have no cosines to compare.
MIN_CONTRAST = 4.0
NUM_BITS = HASH_SIDE**2 - 1

Pair = tuple[str, str, float]


def hashes_of(frames: np.ndarray) -> list[str]:
    """Returns the hashes of a video as hexadecimal digits, one for every second frame that is not flat.

    Args:
        frames: [frames, height, width] uint8 grey, normalised to the sector.
    """
    return [_hash(frame) for frame in frames[::FRAME_STEP] if frame.std() > MIN_CONTRAST]


def find_near_duplicates(hashes: Mapping[str, Sequence[str]]) -> list[Pair]:
    """Returns the pairs of videos that are nearer than MAX_DISTANCE, with their distance, sorted by their ids.

    Args:
        hashes: what `hashes_of` says of each video, by its id.
    """
    ids = sorted(video_id for video_id, texts in hashes.items() if texts)
    distances = _distances([_packed(hashes[video_id]) for video_id in ids]) if ids else np.empty((0, 0))
    near = np.argwhere(np.triu(distances <= MAX_DISTANCE, 1))
    return [(ids[one], ids[other], round(float(distances[one, other]), 3)) for one, other in near]


def _distances(videos: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the distances of all videos, [videos, videos]; each video is [frames, bytes of a hash] uint8."""
    everything = np.concatenate(videos)
    lengths = np.array([len(video) for video in videos])
    starts = np.cumsum(lengths) - lengths
    rows_by_length = [(lengths == length, starts[lengths == length, None] + np.arange(length)) for length in np.unique(lengths)]
    one_sided = np.empty((len(videos), len(videos)), np.float32)
    for number, video in enumerate(videos):
        differing_bits, _ = cv2.batchDistance(everything, video, cv2.CV_32S, normType=cv2.NORM_HAMMING, K=1)  # of the likest frame
        for members, rows in rows_by_length:
            one_sided[members, number] = np.median(differing_bits[rows, 0], axis=1) / NUM_BITS
    return np.minimum(one_sided, one_sided.T)


def linked_groups(groups: Iterable[str], links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns the name that every group has when linked groups are one: the names of its members in order, with `+` between them."""
    members = {group: {group} for group in groups}
    for one, other in links:
        if members[one] is not members[other]:
            members[one] |= members[other]
            for group in members[other]:
                members[group] = members[one]
    return {group: "+".join(sorted(linked)) for group, linked in members.items()}


def _hash(frame: np.ndarray) -> str:
    small = cv2.resize(frame, (IMAGE_SIDE_PX, IMAGE_SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.packbits(cv2.dct(small)[:HASH_SIDE, :HASH_SIDE].ravel()[1:] > 0).tobytes().hex()


def _packed(texts: Sequence[str]) -> np.ndarray:
    return np.array([list(bytes.fromhex(text)) for text in texts], np.uint8)
