"""Augmentation: plausible other recordings of a training clip, made inside tf.data after the split.

One draw holds for a whole clip: its frames are moved, brightened and speckled alike, because a transducer and its settings do not change
within a second and a half. A draw depends on a seed alone, so a run can be repeated.
"""

import dataclasses
import math

import tensorflow as tf

SPECKLE_GRAIN_PX = 4


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How far a clip may be changed; amounts are drawn uniformly, either way.

    Attributes:
        flip: probability that left and right are exchanged, as when the transducer is turned.
        time_reversal: probability that the frames run backwards.
        rotation_deg: largest rotation about the centre, in degrees.
        scale: largest change of the width and, by itself, of the depth that a frame shows; natural logarithm of a factor.
        shift: largest shift along each axis, as a part of the frame.
        gain: largest change of brightness; natural logarithm of a factor.
        gamma: largest change of the grey curve's exponent; natural logarithm of a factor.
        depth_gain: largest change of brightness at the top and, the other way, at the bottom, as a time gain compensation makes it;
            relative, and linear in between.
        speckle: standard deviation of the noise that multiplies the pixels, in grains of SPECKLE_GRAIN_PX.
    """

    flip: float = 0.5
    time_reversal: float = 0.5
    rotation_deg: float = 8.0
    scale: float = 0.2
    shift: float = 0.07
    gain: float = 0.35
    gamma: float = 0.25
    depth_gain: float = 0.25
    speckle: float = 0.1


def augment(clip: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Changes a clip at random, all of its frames alike.

    Args:
        clip: [frames, height, width, channels] uint8.
        seed: [2] integers; equal seeds give equal changes.
        augmentation: how far the clip may be changed.

    Returns:
        A clip of the same shape and type. What moves in from outside of the frame is black, like the surroundings of a sector.
    """
    draw_seed, speckle_seed = tf.unstack(tf.random.split(seed, 2))
    flip, reversal, *amounts = tf.unstack(tf.random.stateless_uniform([10], draw_seed))
    angle, width, depth, shift_x, shift_y, gain, gamma, depth_gain = (2 * amount - 1 for amount in amounts)

    frames = _in_order(clip, backwards=reversal < augmentation.time_reversal)
    frames = _moved(
        frames,
        mirrored=flip < augmentation.flip,
        angle_rad=angle * augmentation.rotation_deg * math.pi / 180,
        scale=tf.exp(tf.stack([width, depth]) * augmentation.scale),
        shift=tf.stack([shift_x, shift_y]) * augmentation.shift,
    )
    grey_levels = _grey_curve(gain=tf.exp(gain * augmentation.gain), gamma=tf.exp(gamma * augmentation.gamma))
    brightened = tf.gather(grey_levels, tf.cast(frames, tf.int32))
    over_depth = 1 + depth_gain * augmentation.depth_gain * tf.linspace(-1.0, 1.0, clip.shape[1])[:, tf.newaxis, tf.newaxis]
    speckled = brightened * over_depth * _speckle(clip.shape[1], clip.shape[2], augmentation.speckle, speckle_seed)
    return tf.saturate_cast(tf.round(speckled), tf.uint8)


def _in_order(clip: tf.Tensor, backwards: tf.Tensor) -> tf.Tensor:
    forwards = tf.range(clip.shape[0])
    return tf.gather(clip, tf.where(backwards, forwards[::-1], forwards))


def _moved(frames: tf.Tensor, mirrored: tf.Tensor, angle_rad: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Mirrors, rotates, scales and shifts the frames about their centre; `scale` and `shift` are (x, y), the latter parts of the frame."""
    size = tf.constant([frames.shape[2], frames.shape[1]], tf.float32)
    centre = (size - 1) / 2
    cosine, sine = tf.cos(angle_rad), tf.sin(angle_rad)
    sign = tf.where(mirrored, -1.0, 1.0)
    source_x, source_y = sign * tf.stack([cosine, -sine]) / scale[0], tf.stack([sine, cosine]) / scale[1]
    offset = centre - shift * size - tf.stack([tf.tensordot(source_x, centre, 1), tf.tensordot(source_y, centre, 1)])
    matrix = tf.concat([source_x, offset[:1], source_y, offset[1:], [0.0, 0.0]], axis=0)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=frames,
        transforms=matrix[tf.newaxis],
        output_shape=frames.shape[1:3].as_list(),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _grey_curve(gain: tf.Tensor, gamma: tf.Tensor) -> tf.Tensor:
    """Returns the new value of each of the 256 grey levels, float32; black stays black."""
    return 255 * gain * (tf.range(256, dtype=tf.float32) / 255) ** gamma


def _speckle(height: int, width: int, amount: float, seed: tf.Tensor) -> tf.Tensor:
    """Returns a factor for each pixel of a frame, [height, width, 1] float32."""
    grains = tf.random.stateless_normal([height // SPECKLE_GRAIN_PX, width // SPECKLE_GRAIN_PX, 1], seed)
    return 1 + amount * tf.image.resize(grains, [height, width])
