"""The process that fine-tunes with simulated quantisation; `leukolite.convert.qat` starts it. Not for use by hand.

tensorflow-model-optimization knows only Keras 2 (tf_keras) and switches a whole process to it: hence a process of its own.
It reads job.json, model.keras, pixels.npy and truth.npy of the folder it is given, says on stdout how far it is, a line of
JSON each, and leaves model.tflite there.

Method: Jacob et al. 2018, doi 10.1109/CVPR.2018.00286, as tensorflow-model-optimization has it, with the float model's own
probabilities as the target (distillation, Hinton et al. 2015, arXiv 1503.02531): the aim is to undo what quantisation changes,
not to train further. So batch statistics stay as they are and nothing is dropped out.
"""

import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from leukolite.convert.qat import JOB, PIXELS, TFLITE, TRUTH, Job
from leukolite.convert.quantise import to_tflite
from leukolite.convert.variants import VARIANTS
from leukolite.errors import ConversionError, LeukoliteError
from leukolite.quiet import quiet
from leukolite.train.balance import doubled
from leukolite.train.batches import EpochItem, to_float, variant
from leukolite.train.runs import load_model

RANGE_BATCHES = 13  # that set where each activation's range starts

# layer -> what of its configuration Keras 2 knows under the same name
LAYERS = {
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "activation", "use_bias"),
    "DepthwiseConv2D": ("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate", "activation", "use_bias"),
    "BatchNormalization": ("axis", "momentum", "epsilon", "center", "scale"),
    "Dense": ("units", "activation", "use_bias"),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Activation": ("activation",),
    "ZeroPadding2D": ("padding",),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "GlobalAveragePooling2D": ("keepdims",),
    "Flatten": (),
    "Reshape": ("target_shape",),
    "Add": (),
    "Concatenate": ("axis",),
}


def main(folder: Path) -> None:
    """Do the job in `folder`."""
    try:
        job = Job.model_validate_json((folder / JOB).read_bytes())
        with quiet():
            teacher = translate(load_model(folder))
        batches = FineTuningBatches(job, np.load(folder / PIXELS, mmap_mode="r"), np.load(folder / TRUTH))
        with quiet():
            trained = _with_quantisers(teacher, job, job.epochs * batches.steps)
        _set_ranges(trained, teacher, job, batches)
        _fine_tune(trained, teacher, job, batches)
        _say(stage="quantising", done=0, total=0)
        (folder / TFLITE).write_bytes(to_tflite(trained, VARIANTS["int8-qat"], job.spec))
        _say(result=TFLITE)
    except LeukoliteError as error:
        _say(error=str(error))
        sys.exit(1)


def translate(source: Any) -> Any:
    """A Keras 3 model as a tf_keras model that computes the same, its batch norms of flat features folded into the Dense
    layers behind them, because quantisation-aware training knows no other place for them.

    Raises:
        ConversionError: names the layer that has no counterpart, or the batch norm that cannot be folded.
    """
    import tf_keras

    made: dict[int, Any] = {}
    folded: dict[int, Any] = {}  # output of a batch norm of flat features -> its layer
    taken: set[int] = set()  # those outputs that a Dense layer has taken
    for tensor in source.inputs:
        made[id(tensor)] = tf_keras.Input(tensor.shape[1:])
    for layer in source.operations:
        kind, name = type(layer).__name__, layer.name
        if kind == "InputLayer":
            continue
        if kind == "Dropout":
            made[id(layer.output)] = made[id(layer.input)]
            continue
        if kind not in LAYERS or len(layer._inbound_nodes) != 1:
            reason = "is used more than once" if kind in LAYERS else "has no counterpart"
            raise ConversionError(f"layer {name} ({kind}) {reason} in quantisation-aware training; use int8")
        node = layer._inbound_nodes[0]
        inputs, output = [made[id(tensor)] for tensor in node.input_tensors], node.output_tensors[0]
        if kind == "BatchNormalization" and len(output.shape) == 2:
            made[id(output)], folded[id(output)] = inputs[0], layer
            continue
        config = layer.get_config()
        copy = getattr(tf_keras.layers, kind)(name=name, **{key: config[key] for key in LAYERS[kind]})
        made[id(output)] = copy(inputs if kind in ("Add", "Concatenate") else inputs[0])
        norm = folded.get(id(node.input_tensors[0]))
        taken.add(id(node.input_tensors[0]))
        weights = [np.asarray(weight) for weight in layer.get_weights()]
        if norm is not None and kind != "Dense":
            raise ConversionError(f"the batch norm {norm.name} stands before a {kind}, not a Dense layer; use int8")
        if weights:
            copy.set_weights(weights if norm is None else fold_into_dense(norm, weights))
    if set(folded) - taken:
        raise ConversionError("a batch norm of flat features stands before no Dense layer; use int8")
    model = tf_keras.Model([made[id(tensor)] for tensor in source.inputs], [made[id(tensor)] for tensor in source.outputs])
    for layer in model.layers:
        consumers = [node.outbound_layer for node in layer.outbound_nodes]
        if type(layer).__name__ == "DepthwiseConv2D" and [type(one).__name__ for one in consumers] == ["BatchNormalization"]:
            even_out(layer, consumers[0])
    return model


def even_out(depthwise: Any, norm: Any) -> None:
    """Give every channel of a depthwise kernel the same largest weight, and the batch norm behind it the factors back.

    The two compute the same as before. tensorflow-model-optimization quantises a depthwise kernel with one scale for all
    channels, which are otherwise orders of magnitude apart.
    """
    if depthwise.use_bias or depthwise.get_config()["activation"] != "linear":
        return
    (kernel,), weights = depthwise.get_weights(), norm.get_weights()
    largest = np.abs(kernel).max(axis=(0, 1)).ravel()
    factor = np.where(largest > 0, largest.max() / np.where(largest > 0, largest, 1), 1)  # 1 or more: variances stay positive
    mean, variance = weights[-2] * factor, (weights[-1] + norm.epsilon) * factor**2 - norm.epsilon
    depthwise.set_weights([kernel * factor.reshape(kernel.shape[2:])])
    norm.set_weights([*weights[:-2], mean, variance])


def fold_into_dense(norm: Any, weights: list[np.ndarray]) -> list[np.ndarray]:
    """A Dense layer's kernel and bias that do the batch norm before it, too.

    Args:
        norm: Keras layer on features of shape (n, features).
        weights: kernel, shape (features, units), and bias, shape (units,).

    Raises:
        ConversionError: the Dense layer has no bias to take the shift.
    """
    if len(weights) != 2:
        raise ConversionError(f"the Dense layer behind the batch norm {norm.name} has no bias; use int8")
    mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
    gain = (np.asarray(norm.gamma) if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
    shift = (np.asarray(norm.beta) if norm.center else 0.0) - mean * gain
    kernel, bias = weights
    return [kernel * np.reshape(gain, (-1, 1)), bias + shift @ kernel]


class FineTuningBatches:
    """Training images as the run's recipe augments and balances them, in an order of the job's seed."""

    def __init__(self, job: Job, pixels: np.ndarray, truth: np.ndarray) -> None:
        self._job, self._pixels = job, pixels
        self._shown = [EpochItem(i) for i in range(len(truth))]
        if job.balance == "desaturate":
            self._shown += [EpochItem(i, is_copy=True) for i in doubled(truth, range(len(truth)))]
        self.steps = max(1, len(self._shown) // job.batch_size)

    def epoch(self, epoch: int) -> Iterator[np.ndarray]:
        """Network inputs, float32, shape (job.batch_size, height, width, 3), `steps` times."""
        job = self._job
        order = np.random.default_rng([job.seed, epoch]).permutation(len(self._shown))
        for step in range(self.steps):
            batch = [self._shown[i] for i in order[step * job.batch_size : (step + 1) * job.batch_size]]
            seen = [variant(self._pixels, one, job.augmentation, seed=job.seed, epoch=epoch) for one in batch]
            yield to_float(np.stack(seen), job.spec)


def _with_quantisers(teacher: Any, job: Job, steps: int) -> Any:
    import tensorflow_model_optimization as tfmot
    import tf_keras

    quantised = tfmot.quantization.keras.quantize_model(teacher)
    for layer in quantised.layers:
        if isinstance(getattr(layer, "layer", layer), tf_keras.layers.BatchNormalization):
            layer.trainable = False
    rate = tf_keras.optimizers.schedules.PolynomialDecay(job.learning_rate, steps, 0.0)
    quantised.compile(optimizer=tf_keras.optimizers.legacy.Adam(rate), loss="categorical_crossentropy")
    return quantised


def _set_ranges(quantised: Any, teacher: Any, job: Job, batches: FineTuningBatches) -> None:
    """Start each activation's range at what the float model shows; the optimiser's moving average alone would take thousands
    of steps from its start at -6..6. The input's is that of bytes, whatever the images show, so that raw bytes go in."""
    import tf_keras

    layers = {layer.name: layer for layer in teacher.layers}
    ranges = {}
    for wrapper in quantised.layers:
        bounds = {
            w.name.rpartition("_")[2][:3]: w
            for w in wrapper.weights
            if w.name[-6:] in ("_min:0", "_max:0") and "kernel" not in w.name
        }
        if len(bounds) == 2:
            ranges[wrapper.name] = bounds
    watched = [name for name in ranges if name.removeprefix("quant_") in layers]
    probe = tf_keras.Model(teacher.inputs, [layers[name.removeprefix("quant_")].output for name in watched])
    lows, highs = [], []
    for batch in itertools.islice(batches.epoch(0), RANGE_BATCHES):
        outputs = [np.asarray(output) for output in probe(batch, training=False)]
        lows.append([output.min() for output in outputs])
        highs.append([output.max() for output in outputs])
    for name, low, high in zip(watched, np.min(lows, axis=0), np.max(highs, axis=0), strict=True):
        ranges[name]["min"].assign(min(0.0, float(low)))
        ranges[name]["max"].assign(max(1e-3, float(high)))
    for name in set(ranges) - set(watched):
        ranges[name]["min"].assign(job.spec.offset)
        ranges[name]["max"].assign(job.spec.offset + 255 * job.spec.scale)


def _fine_tune(model: Any, teacher: Any, job: Job, batches: FineTuningBatches) -> None:
    for epoch in range(job.epochs):
        for step, batch in enumerate(batches.epoch(epoch)):
            target = np.asarray(teacher(batch, training=False))
            loss = model.train_on_batch(batch, target)
            if not np.isfinite(loss):
                raise ConversionError("the loss left the numbers (NaN or infinity); use int8")
            _say(stage=f"fine-tuning {epoch + 1}/{job.epochs}", done=step + 1, total=batches.steps)


def _say(**values: object) -> None:
    os.write(_ANSWERS, (json.dumps(values) + "\n").encode())


if __name__ == "__main__":
    _ANSWERS = os.dup(1)  # the libraries may write to stdout what they like
    os.dup2(2, 1)
    main(Path(sys.argv[1]))
