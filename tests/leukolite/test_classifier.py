import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite import classifier as classifying
from leukolite.bundle import Bundle, Golden, write_bundle
from leukolite.classes import Classes
from leukolite.classifier import Classifier, Latency, open_classifier
from leukolite.clock import Clock
from leukolite.decision import UNCALIBRATED, Decision, calibrate
from leukolite.errors import BundleError, RuntimeUnavailable
from leukolite.manifest import GoldenSpec, RuntimeCheck, TensorFormat
from leukolite.preprocess import InputSpec, to_input
from leukolite.runtime import RuntimeInfo, RuntimeOptions, Tensor

RED, BLUE = (np.full((50, 60, 3), colour, np.uint8) for colour in ((200, 120, 80), (80, 120, 200)))
SPEC = InputSpec(height=32, width=32)


class FixedRuntime:
    """Answers the same to everything, and keeps what it was asked."""

    info = RuntimeInfo(name="fixed", version="1", threads=1)
    output = Tensor((1, 2), TensorFormat(dtype="float32"))

    def __init__(self, *probabilities: float, dtype: str = "uint8", zero_point: int = 0) -> None:
        self.input = Tensor((1, 32, 32, 3), TensorFormat(dtype=dtype, scale=1 / 255, zero_point=zero_point))
        self.probabilities = np.array(probabilities, np.float32)
        self.batches: list[np.ndarray] = []

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(batch)
        return self.probabilities


def fixed_classifier(runtime: FixedRuntime, *, decision: Decision = UNCALIBRATED, clock: Clock = lambda: 0) -> Classifier:
    return Classifier(runtime, Classes.of(["healthy", "blast"], ["blast"]), SPEC, decision=decision, clock=clock)


def changed(bundle: Bundle, **fields: object) -> Bundle:
    return replace(bundle, manifest=bundle.manifest.model_copy(update=fields))


def test_a_sound_bundle_classifies(bundle):
    classifier = open_classifier(bundle)
    assert [classifier(pixels).label for pixels in (RED, BLUE)] == ["healthy", "blast"]


@pytest.mark.parametrize("kernel", ["area", "halve-linear"])
def test_a_bundle_of_either_kernel_reads_back_and_classifies(tmp_path, bundle, kernel):
    spec = SPEC.model_copy(update={"kernel": kernel})
    frames = np.random.default_rng(0).integers(0, 256, (3, 70, 83, 3), dtype=np.uint8)
    inputs = np.concatenate([to_input(frame, spec, None) for frame in frames])
    runtime = open_classifier(bundle).runtime
    golden = Golden(frames, inputs, np.stack([runtime.invoke(batch[np.newaxis]) for batch in inputs]))
    write_bundle(tmp_path / kernel, bundle.manifest.model_copy(update={"input": spec}), bundle.model, golden, "")
    loaded = Bundle.load(tmp_path / kernel)
    assert loaded.manifest.input == spec
    assert [open_classifier(loaded)(pixels).label for pixels in (RED, BLUE)] == ["healthy", "blast"]


def test_golden_inputs_made_by_the_other_kernel_are_refused(bundle):
    spec = SPEC.model_copy(update={"kernel": "halve-linear"})
    with pytest.raises(BundleError, match=r"golden\.npz input 0: preprocessing differs from the reference"):
        open_classifier(changed(bundle, input=spec))


def test_swapped_channels_turn_the_verdict_of_the_tiny_network_round(bundle):
    assert open_classifier(bundle)(BLUE[..., ::-1]).label == "healthy"


def test_a_verdict_says_the_probability_of_its_label(bundle):
    verdict = open_classifier(bundle)(BLUE)
    assert verdict.index == 1
    assert verdict.probability == verdict.probabilities[1] == verdict.probabilities.max()


def test_a_bundles_decision_is_followed(bundle):
    classifier = open_classifier(changed(bundle, decision=Decision(temperature=4.0, abstain=(0.0, 1.0))))
    verdict, plain = classifier(BLUE), open_classifier(bundle)(BLUE)
    assert verdict.label == "abstain"
    np.testing.assert_allclose(verdict.probabilities, calibrate(plain.probabilities, 4.0))


def test_labels_that_the_model_has_no_outputs_for_are_refused(bundle):
    with pytest.raises(BundleError, match=r"output shape: expected \(1, 3\) \(3 labels\), found \(1, 2\)"):
        open_classifier(changed(bundle, labels=["healthy", "blast", "other"]))


def test_another_input_size_is_refused(bundle):
    with pytest.raises(BundleError, match=r"input shape: expected \(1, 24, 24, 3\), found \(1, 32, 32, 3\)"):
        open_classifier(changed(bundle, input=InputSpec(height=24, width=24)))


@pytest.mark.parametrize("field", ["input_tensor", "output_tensor"])
@pytest.mark.parametrize("change", [{"scale": 1 / 127}, {"zero_point": 3}, {"dtype": "int8"}])
def test_another_tensor_format_is_refused(bundle, field, change):
    tensor = getattr(bundle.manifest, field).model_copy(update=change)
    with pytest.raises(BundleError, match=rf"manifest\.json {field}: expected .* in the model"):
        open_classifier(changed(bundle, **{field: tensor}))


def test_another_golden_output_is_refused(bundle):
    outputs = bundle.golden.outputs.copy()
    outputs[2] = outputs[2][::-1]
    with pytest.raises(BundleError, match=r"golden\.npz output 2 on litert .* at most 0\.01"):
        open_classifier(replace(bundle, golden=replace(bundle.golden, outputs=outputs)))


def test_a_golden_output_that_is_no_number_is_refused(bundle):
    outputs = np.full_like(bundle.golden.outputs, np.nan)
    with pytest.raises(BundleError, match=r"golden\.npz output 0"):
        open_classifier(replace(bundle, golden=replace(bundle.golden, outputs=outputs)))


@pytest.mark.parametrize("steps", [1, 2])
def test_preprocessing_may_differ_by_one_step_and_no_more(bundle, steps):
    inputs = bundle.golden.inputs.copy()
    inputs[1, 5, 5, 0] += steps
    drifted = replace(bundle, golden=replace(bundle.golden, inputs=inputs))
    if steps == 1:
        open_classifier(drifted)
    else:
        with pytest.raises(BundleError, match=r"golden\.npz input 1: preprocessing differs from the reference by up to 2 steps"):
            open_classifier(drifted)


def test_another_golden_frame_is_refused(bundle):
    frames = bundle.golden.frames.copy()
    frames[0] = frames[1]
    with pytest.raises(BundleError, match=r"golden\.npz input 0: preprocessing differs"):
        open_classifier(replace(bundle, golden=replace(bundle.golden, frames=frames)))


def test_preprocessing_that_swaps_channels_is_refused(bundle, monkeypatch):
    monkeypatch.setattr(classifying, "to_input", lambda pixels, spec, table: to_input(pixels[..., ::-1], spec, table))
    with pytest.raises(BundleError, match="preprocessing differs"):
        open_classifier(bundle)


def test_a_runtime_without_a_tolerance_is_refused(bundle):
    golden = GoldenSpec(runtime="tflite-runtime", tolerance={"tflite-runtime": 0.1})
    with pytest.raises(BundleError, match=r"golden\.tolerance has no entry for litert \(it has tflite-runtime\)"):
        open_classifier(changed(bundle, golden=golden))


def test_a_runtime_that_was_refused_when_the_bundle_was_made_is_told_why_and_how_to_go_on(bundle):
    golden = GoldenSpec(runtime="litert", tolerance={"tflite-runtime": 0.1})
    refused = RuntimeCheck(name="litert", version="2.3.0", outcome="refused", reason="_ARRAY_API not found")
    with pytest.raises(BundleError, match=r"did not run the model when .* made \(_ARRAY_API not found\); use another"):
        open_classifier(changed(bundle, golden=golden, runtimes=[refused]))


def test_a_runtime_that_is_not_installed_is_named_with_the_remedy(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(RuntimeUnavailable, match=r"tflite-runtime cannot be loaded .*pip install 'leukolite\[tflite-runtime\]'"):
        open_classifier(bundle, RuntimeOptions(name="tflite-runtime"))


def test_a_truncated_model_with_the_right_hash_is_refused(tmp_path, manifest, tiny_model, golden):
    model = tiny_model[: len(tiny_model) // 2]
    truthful = manifest.model_copy(update={"model_sha256": hashlib.sha256(model).hexdigest()})
    write_bundle(tmp_path / "cut", truthful, model, golden, "")
    with pytest.raises(BundleError, match=r"cut: litert [\d.]+ refuses the model"):
        open_classifier(Bundle.load(tmp_path / "cut"))


def ticks(*milliseconds: float) -> Iterator[int]:
    return iter([round(1e6 * time) for time in milliseconds])


def test_the_parts_of_a_latency_add_up():
    readings = ticks(100, 101.5, 101.5, 102, 109.5)  # started, shrunk; started, prepared, decided
    latency = fixed_classifier(FixedRuntime(0.1, 0.9), clock=lambda: next(readings))(RED, capture_ms=5).latency
    assert latency == Latency(capture=5, locate=0, preprocess=2, invoke=7.5)
    assert latency.total == 14.5


def test_what_was_spent_before_goes_into_the_latency_of_a_shrunk_picture():
    readings = ticks(0, 0.25, 3.25)  # started, prepared, decided
    classifier = fixed_classifier(FixedRuntime(0.1, 0.9), clock=lambda: next(readings))
    verdict = classifier.classify(classifier.shrink(RED), capture_ms=5, locate_ms=4, preprocess_ms=1)
    assert verdict.latency == Latency(capture=5, locate=4, preprocess=1.25, invoke=3)
    assert verdict.latency.total == 13.25


@given(*[st.floats(0, 1e6)] * 4)
def test_a_latency_has_four_digits_and_its_total_is_the_sum_of_its_stages(capture, locate, preprocess, invoke):
    latency = Latency.of(capture, locate, preprocess, invoke)
    stages = [latency.capture, latency.locate, latency.preprocess, latency.invoke]
    assert [round(stage, 4) for stage in stages] == stages
    assert latency.total == pytest.approx(sum(stages), abs=1e-4)


def test_a_shrunk_picture_is_classified_as_the_whole_one_is(bundle):
    classifier = open_classifier(bundle)
    square = classifier.shrink(BLUE)
    assert square.shape == (32, 32, 3)
    assert np.array_equal(classifier.classify(square).probabilities, classifier(BLUE).probabilities)


def test_an_abstention_shows_the_top_class_probability():
    verdict = fixed_classifier(FixedRuntime(0.45, 0.55), decision=Decision(abstain=(0.4, 0.6)))(RED)
    assert (verdict.index, verdict.label) == (None, "abstain")
    assert verdict.probability == pytest.approx(0.55)


def test_a_threshold_can_choose_the_less_probable_label():
    verdict = fixed_classifier(FixedRuntime(0.6, 0.4), decision=Decision(threshold=0.3))(RED)
    assert (verdict.index, verdict.label) == (1, "blast")
    assert verdict.probability == pytest.approx(0.4)


def test_an_int8_network_is_given_int8():
    runtime = FixedRuntime(0.1, 0.9, dtype="int8", zero_point=-128)
    fixed_classifier(runtime)(RED)
    assert runtime.batches[0].dtype == np.int8
    assert tuple(runtime.batches[0][0, 0, 0]) == (200 - 128, 120 - 128, 80 - 128)


def test_pixels_that_are_not_rgb_bytes_are_a_programming_error():
    with pytest.raises(ValueError, match="expected uint8 pixels"):
        fixed_classifier(FixedRuntime(0.1, 0.9))(RED.astype(float))
