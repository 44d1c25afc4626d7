"""Loading what users call a Keras model: whichever Keras saved it, told by its first bytes, and nothing of it run unasked."""

import base64
import gzip
import json
import marshal
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from leukolite.convert.fold import last_activation
from leukolite.convert.load_keras import load_keras
from leukolite.convert.quantise import to_tflite
from leukolite.convert.variants import VARIANTS
from leukolite.errors import ConversionError
from leukolite.preprocess import InputSpec
from leukolite.train.keras_config import OPENS_FILES, RUNS_CODE
from leukolite.train.keras_layers import LAYERS

pytestmark = [
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
    pytest.mark.filterwarnings("ignore:.*has not been built|.*not yet built:UserWarning"),
]
SIDE = 16
PICTURES = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
INPUTS = PICTURES / np.float32(255)
TINY = Path(__file__).parent.parent / "data" / "tiny.tflite"


def network(library, *first, dtype="float32", entry="float32", shape=(SIDE, SIDE, 3)):
    """A small network with what differs between the versions of Keras, after the layers `first`."""
    layers, mixed = library.layers, getattr(library, "mixed_precision", library)
    policy = mixed.set_global_policy if library.__name__ == "tf_keras" else library.config.set_dtype_policy
    policy(dtype)
    try:
        image = found = layers.Input(shape, dtype=entry)
        for layer in first:
            found = layer(found)
        found = layers.Conv2D(8, 3, activation="relu")(found)
        found = layers.DepthwiseConv2D(3, use_bias=False)(found)
        found = layers.BatchNormalization()(found)
        found = layers.Dropout(0.5)(found)
        found = layers.GlobalAveragePooling2D()(found)
        found = layers.Activation("softmax", dtype="float32")(layers.Dense(2)(found))
        return library.Model(image, found)
    finally:
        policy("float32")


@pytest.fixture(scope="module")
def keras_2():
    import tf_keras

    return tf_keras


@pytest.fixture(scope="module")
def keras_3():
    import keras

    return keras


@pytest.fixture(params=["keras_2", "keras_3"])
def library(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def model_2(keras_2):
    return network(keras_2)


def saved(model, place: Path) -> Path:
    model.save(place)
    return place


def answers(path: Path) -> np.ndarray:
    return np.asarray(load_keras(path).predict_on_batch(INPUTS))


def refusal(path: Path) -> str:
    with pytest.raises(ConversionError) as refused:
        load_keras(path)
    line = str(refused.value)
    assert line.startswith(f"{path}: ")
    assert len(line.splitlines()) == 1
    return line


# what is loaded


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_model_of_either_keras_answers_as_it_did(library, ending, tmp_path):
    model = network(library)
    np.testing.assert_allclose(answers(saved(model, tmp_path / f"net{ending}")), model.predict_on_batch(INPUTS), atol=1e-6)


@pytest.mark.parametrize(("made", "called"), [(".keras", ".h5"), (".h5", ".keras"), (".keras", ".bin"), (".h5", "")])
def test_the_first_bytes_say_what_a_file_is_and_not_its_ending(library, made, called, tmp_path):
    model = network(library)
    other = shutil.copy(saved(model, tmp_path / f"right{made}"), tmp_path / f"net{called}")
    np.testing.assert_allclose(answers(other), model.predict_on_batch(INPUTS), atol=1e-6)


@pytest.mark.parametrize("name", ["k2_depthwise.h5", "k2_functional.keras"])
def test_models_of_tensorflow_2_15_are_loaded(cases, name, keras_2):
    path = cases / "keras" / name
    pixels = np.random.default_rng(1).random((2, 64, 64, 3), dtype=np.float32)
    expected = keras_2.models.load_model(path, compile=False).predict_on_batch(pixels)
    np.testing.assert_allclose(load_keras(path).predict_on_batch(pixels), expected, atol=1e-6)


def test_saved_models_of_either_keras_answer_as_the_model_did(library, tmp_path):
    model = network(library)
    if library.__name__ == "keras":
        model.export(tmp_path / "net", verbose=False)
    else:
        model.save(tmp_path / "net", save_format="tf")
    np.testing.assert_allclose(answers(tmp_path / "net"), model.predict_on_batch(INPUTS), atol=1e-6)


@pytest.mark.parametrize("form", ["keras 2 file", "saved model of keras 2", "saved model of keras 3"])
@pytest.mark.parametrize("end", ["sigmoid", "softmax"])
def test_the_function_at_the_end_is_known_whatever_the_model_was_saved_as(form, end, keras_2, keras_3, tmp_path):
    library = keras_3 if form.endswith("3") else keras_2
    image = library.layers.Input((SIDE, SIDE, 3))
    model = library.Model(image, library.layers.Dense(2, end)(library.layers.GlobalAveragePooling2D()(image)))
    if form == "keras 2 file":
        model.save(tmp_path / "net.h5")
    elif library is keras_2:
        model.save(tmp_path / "net.h5", save_format="tf")
    else:
        model.export(tmp_path / "net.h5", verbose=False)
    assert last_activation(load_keras(tmp_path / "net.h5")) == end


@pytest.mark.parametrize("form", ["keras 2 file", "saved model"])
def test_what_is_loaded_stands_in_a_keras_3_graph_and_becomes_int8(form, model_2, keras_3, tmp_path):
    path = tmp_path / "net"
    if form == "saved model":
        model_2.save(path, save_format="tf")
    else:
        path = saved(model_2, tmp_path / "net.h5")
    image = keras_3.layers.Input((SIDE, SIDE, 3))
    scaled = keras_3.Model(image, load_keras(path)(keras_3.layers.Rescaling(2.0, -1.0)(image)))
    expected = model_2.predict_on_batch(2 * INPUTS - 1)
    np.testing.assert_allclose(scaled.predict_on_batch(INPUTS), expected, atol=1e-6)
    with pytest.warns(UserWarning, match="Statistics for quantized inputs"):
        content = to_tflite(scaled, VARIANTS["int8"], InputSpec(height=SIDE, width=SIDE, kernel="halve-linear"), PICTURES)
    assert content[4:8] == b"TFL3"


def test_arithmetic_written_between_keras_2_layers_is_loaded(keras_2, tmp_path):
    import tensorflow as tf

    image = keras_2.layers.Input((SIDE, SIDE, 3))
    scaled = tf.concat([(image / 255.0 - 0.5) * 2, tf.nn.relu6(image)], -1)
    model = keras_2.Model(image, keras_2.layers.Dense(2, activation="softmax")(keras_2.layers.GlobalAveragePooling2D()(scaled)))
    np.testing.assert_allclose(answers(saved(model, tmp_path / "net.h5")), model.predict_on_batch(INPUTS), atol=1e-6)


def test_a_loss_of_the_users_own_is_of_training_and_not_missed(library, tmp_path):
    model = network(library)

    def own_loss(truth, found):
        return found - truth

    model.compile("adam", loss=own_loss)
    np.testing.assert_allclose(answers(saved(model, tmp_path / "net.keras")), model.predict_on_batch(INPUTS), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_model_of_another_precision_computes_in_float32(library, policy, ending, tmp_path):
    model = network(library, dtype=policy)
    loaded = load_keras(saved(model, tmp_path / f"net{ending}"))
    reference = network(library)
    reference.set_weights(model.get_weights())
    np.testing.assert_allclose(loaded.predict_on_batch(INPUTS), reference.predict_on_batch(INPUTS), atol=1e-6)


def test_a_float16_input_is_taken_as_float32(library, tmp_path):
    loaded = load_keras(saved(network(library, entry="float16"), tmp_path / "net.keras"))
    assert str(loaded.inputs[0].dtype) == "float32"


@pytest.mark.long
def test_the_environments_word_for_keras_2_changes_nothing(model_2, keras_3, tmp_path):
    old, new = saved(model_2, tmp_path / "old.h5"), saved(network(keras_3), tmp_path / "new.keras")
    program = "; ".join(
        [
            "import sys; from pathlib import Path; from leukolite.convert.options import start_keras; start_keras('x')",
            "from leukolite.convert.load_keras import load_keras",
            "print(*[load_keras(Path(path)).output_shape for path in sys.argv[1:]])",
        ]
    )
    environment = os.environ | {"TF_USE_LEGACY_KERAS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", program, old, new], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stdout == "(None, 2) (None, 2)\n", ended.stderr


# inputs that are none


@pytest.mark.parametrize("entry", ["uint8", "int32"])
def test_an_input_of_integers_is_refused_with_the_remedy(library, entry, tmp_path):
    model = network(library, library.layers.Rescaling(1 / 255), entry=entry)
    line = refusal(saved(model, tmp_path / "net.keras"))
    assert f"its input is of {entry}, expected float32; build the same layers on keras.Input((height, width, 3))" in line
    assert "values 0 to 255" in line


def test_channels_first_are_refused_with_the_remedy(library, tmp_path):
    model = library.Sequential([library.layers.Input((3, SIDE, SIDE)), library.layers.Flatten(), library.layers.Dense(2)])
    assert "has the channels first" in refusal(saved(model, tmp_path / "net.h5"))


@pytest.mark.parametrize("shape", [(SIDE * SIDE * 3,), (SIDE, SIDE), (5, SIDE, SIDE, 3)])
def test_an_input_of_another_rank_is_refused_with_the_remedy(library, shape, tmp_path):
    model = library.Sequential([library.layers.Input(shape), library.layers.Flatten(), library.layers.Dense(2)])
    assert "expected RGB images (batch, height, width, 3), found an input of shape" in refusal(saved(model, tmp_path / "net.h5"))


def test_a_network_that_never_saw_a_shape_is_refused(keras_3, tmp_path):
    model = keras_3.Sequential([keras_3.layers.Flatten(), keras_3.layers.Dense(2)])
    assert "its input has no shape yet" in refusal(saved(model, tmp_path / "net.keras"))


def test_two_inputs_are_refused(library, tmp_path):
    one, two = (library.layers.Input((SIDE, SIDE, 3)) for _ in range(2))
    model = library.Model([one, two], library.layers.Dense(2)(library.layers.Flatten()(library.layers.Add()([one, two]))))
    path = saved(model, tmp_path / "net.h5")
    if library.__name__ == "keras":
        assert len(load_keras(path).inputs) == 2, "its caller refuses it"
    else:
        assert "found 2 and 1" in refusal(path)


# code in a file


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_lambda_layer_is_refused_unread(library, ending, tmp_path):
    model = network(library, library.layers.Lambda(lambda x: x * 2, output_shape=(SIDE, SIDE, 3)))
    assert "a Lambda layer holds Python code" in refusal(saved(model, tmp_path / f"net{ending}"))


def rewritten(path: Path, change) -> Path:
    """The .h5 file with another architecture."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config["config"]["layers"])
        file.attrs["model_config"] = json.dumps(config)
    return path


def layer(name: str, *, module: str | None = None, **config: object) -> dict[str, object]:
    return {"class_name": name, "config": {"name": "odd", **config}, "name": "odd", "inbound_nodes": [], "module": module}


def function(name: str, module: str) -> dict[str, object]:
    return {"class_name": "function", "config": name, "module": module, "registered_name": name}


HOSTILE = {
    "a Lambda within a wrapper": layer("TimeDistributed", layer=layer("Lambda", function=["4wE", None, None])),
    "a file written": layer("TFOpLambda", function="io.write_file"),
    "a folder deleted": layer("TFOpLambda", function="io.gfile.rmtree"),
    "a library loaded": layer("TFOpLambda", function="load_op_library"),
    "a class's method": layer("ClassMethod", cls_symbol="io.gfile.GFile", method_name="write"),
    "a pickle of PyTorch's": layer("TorchModuleWrapper", module="keras.layers"),
    "another SavedModel": layer("TFSMLayer", filepath="/elsewhere"),
    "a module imported": layer("Popen", module="subprocess"),
    "a function imported": layer("Dense", activation={"class_name": "function", "config": "system", "module": "os"}),
    "a download": layer("Dense", activation={"class_name": "function", "config": "get_file", "module": "keras.utils"}),
    "a function of a module called ops": layer("Dense", activation=function("relu", "evil.ops")),
    "a file operator of TensorFlow's": layer("Dense", activation=function("write_file", "tensorflow.python.ops.gen_io_ops")),
    "a builtin": layer("Dense", activation=function("exec", "builtins")),
    "a function of Keras' that writes": layer("Dense", activation=function("save_model", "keras.models")),
    "a type called with arguments": layer(
        "Dense", units={"class_name": "__typespec__", "spec_name": "eval", "module": "builtins", "config": ["1"]}
    ),
    "marshalled code": layer("Dense", activation={"class_name": "__lambda__", "config": {"value": "4wAA"}}),
    "a class of builtins": layer("eval", module="builtins"),
    "a class of Keras' that is no layer": layer("FeatureSpace", module="keras.utils"),
    "a module called like Keras": layer("Dense", module="keras_evil"),
    "a layer of another package": layer("Dense") | {"registered_name": "evil>Dense"},
    "words from a file": layer("StringLookup", vocabulary="/etc/passwd"),
    "words from a server": layer("TextVectorization", vocabulary="http://127.0.0.1:9/x"),
    "numbers from a file": layer("IntegerLookup", vocabulary="/etc/passwd"),
    "columns that read words": layer("DenseFeatures", feature_columns=[]),
    "another library's code": layer("JaxLayer", call_fn=function("f", "evil")),
    "one operator of a graph": layer("TensorFlowOpLayer", node_def='name: "x" op: "WriteFile"', constants={}),
    "two operators of a graph": layer("TensorFlowOpLayer", node_def='op: "Add" op: "WriteFile"', constants={}),
    "a setting of Keras'": layer("TFOpLambda", function="keras.backend.set_session"),
    "a class that is no name": {"class_name": ["Lambda"], "config": {}},
    "an optimiser": layer("Adam", module="keras.optimizers"),
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_what_would_run_code_or_touch_files_is_refused_before_it_is_loaded(model_2, hostile, tmp_path, monkeypatch):
    path = rewritten(saved(model_2, tmp_path / "net.h5"), lambda layers: layers.append(hostile))
    monkeypatch.setattr("leukolite.convert.load_keras._keras_2", lambda _: pytest.fail("it was loaded"))
    assert "save it again" in refusal(path)


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_the_same_in_an_archive_of_keras_3(keras_file, hostile, tmp_path, monkeypatch):
    path = with_members(keras_file, tmp_path / "net.keras", config=lambda config: config["config"]["layers"].append(hostile))
    monkeypatch.setattr("leukolite.convert.load_keras._keras_3", lambda: pytest.fail("it was loaded"))
    assert "save it again" in refusal(path)


def with_members(given: Path, place: Path, *, config=None, **members: bytes) -> Path:
    """A .keras file with another architecture, and more members beside, under or instead of its own."""
    with zipfile.ZipFile(given) as old, zipfile.ZipFile(place, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json" and config is not None:
                architecture = json.loads(content)
                config(architecture)
                content = json.dumps(architecture)
            if name not in members:
                new.writestr(name, content)
        for name, content in members.items():
            if content is not None:
                new.writestr(name, content)
    return place


@pytest.fixture(scope="module")
def keras_file(keras_3, tmp_path_factory) -> Path:
    return saved(network(keras_3), tmp_path_factory.mktemp("sound") / "net.keras")


def marshalled(canary: Path) -> str:
    """A function that leaves a file, as Keras writes those of Lambda layers."""
    code = compile(f"lambda x: open({str(canary)!r}, 'w').close() or x", "x", "eval").co_consts[0]
    return base64.b64encode(marshal.dumps(code)).decode()


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("form", ["keras 2", "keras 3", "within a wrapper", "as an activation", "in a network's training"])
def test_code_in_a_file_leaves_no_trace(ending, form, keras_file, model_2, tmp_path):
    canary = tmp_path / "canary"
    code = marshalled(canary)
    lambda_3 = layer("Lambda", module="keras.layers", function={"class_name": "__lambda__", "config": {"code": code}})
    hostile = {
        "keras 2": layer("Lambda", function=[code, None, None], function_type="lambda", module="x"),
        "keras 3": lambda_3,
        "within a wrapper": layer("TimeDistributed", layer=lambda_3),
        "as an activation": layer("Dense", units=2, activation={"class_name": "__lambda__", "config": {"value": code}}),
        "in a network's training": layer("Sequential", layers=[])
        | {"compile_config": {"optimizer": "adam", "loss": {"class_name": "__lambda__", "config": {"value": code}}}},
    }[form]
    if ending == ".keras":
        path = with_members(keras_file, tmp_path / "net.keras", config=lambda config: config["config"]["layers"].append(hostile))
    else:
        path = rewritten(saved(model_2, tmp_path / "net.h5"), lambda layers: layers.append(hostile))
    assert "save it again" in refusal(path)
    assert not canary.exists()


def test_how_a_network_within_was_trained_is_not_loaded(keras_3, tmp_path):
    inner = network(keras_3)
    inner.compile("adam", loss=lambda truth, found: found)
    image = keras_3.layers.Input((SIDE, SIDE, 3))
    model = keras_3.Model(image, inner(image))
    path = saved(model, tmp_path / "net.keras")
    np.testing.assert_allclose(answers(path), model.predict_on_batch(INPUTS), atol=1e-6)


def test_arithmetic_of_keras_3_between_layers_is_loaded(keras_3, tmp_path):
    image = keras_3.layers.Input((SIDE, SIDE, 3))
    found = keras_3.ops.mean(keras_3.ops.relu(image * 2 - 1), axis=(1, 2))
    model = keras_3.Model(image, keras_3.layers.Dense(2, activation=keras_3.activations.silu)(found))
    path = saved(model, tmp_path / "net.keras")
    np.testing.assert_allclose(answers(path), model.predict_on_batch(INPUTS), atol=1e-6)


def test_every_layer_that_either_keras_has_was_looked_at(keras_2, keras_3):
    names = {name for library in (keras_2, keras_3) for name in dir(library.layers) if name[0].isupper()}
    abstract = {"AbstractRNNCell", "Input", "Layer", "Wrapper"}
    assert names - LAYERS == abstract | (OPENS_FILES & names) | (RUNS_CODE & names), (
        "list it in train/keras_layers.py, or refuse it"
    )


# weights that lie elsewhere


def elsewhere(tmp_path: Path) -> Path:
    place = tmp_path / "secret.h5"
    with h5py.File(place, "w") as file:
        file["numbers"] = np.arange(4.0)
    return place


def linked(file: h5py.File, secret: Path) -> None:
    file["odd"] = h5py.ExternalLink(str(secret), "/numbers")


def linked_softly(file: h5py.File, secret: Path) -> None:
    file.create_group("deep")["odd"] = h5py.SoftLink("/numbers")


def stored_outside(file: h5py.File, secret: Path) -> None:
    file.create_dataset("odd", (4,), "f8", external=[(str(secret), 0, 32)])


def virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(secret), "numbers", (4,))
    file.create_virtual_dataset("odd", layout)


def enormous(file: h5py.File, secret: Path) -> None:
    file.create_dataset("odd", (50_000_000, 50_000_000), "f4", chunks=(1024, 1024))


WEIGHTS = {
    linked: "is a link, maybe to another file",
    linked_softly: "is a link, maybe to another file",
    stored_outside: "lie in another file",
    virtual: "lie in another file",
    enormous: "which no small machine runs",
}


@pytest.mark.parametrize(("change", "says"), WEIGHTS.items(), ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_weights_that_are_not_in_the_file_are_refused(change, says, ending, keras_file, model_2, tmp_path):
    secret = elsewhere(tmp_path)
    path = tmp_path / f"net{ending}"
    if ending == ".h5":
        with h5py.File(saved(model_2, path), "r+") as file:
            change(file, secret)
    else:
        with zipfile.ZipFile(keras_file) as archive:
            weights = Path(archive.extract("model.weights.h5", tmp_path))
        with h5py.File(weights, "r+") as file:
            change(file, secret)
        with_members(keras_file, path, **{"model.weights.h5": weights.read_bytes()})
    assert says in refusal(path)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"../out.txt": b"x"}, "lies outside of it"),
        ({"/etc/out.txt": b"x"}, "lies outside of it"),
        ({"assets/layers/lookup/vocabulary.txt": b"x"}, "besides its weights"),
        ({"model.weights.h5": None, "model.weights.npz": pickle.dumps([1])}, "which may be a pickle"),
        ({"model.weights.pkl": pickle.dumps([1])}, "which may be a pickle"),
    ],
    ids=str,
)
def test_an_archive_with_more_than_a_network_is_refused(members, says, keras_file, tmp_path):
    assert says in refusal(with_members(keras_file, tmp_path / "net.keras", **members))


def test_two_members_of_one_name_are_refused(keras_file, tmp_path):
    path = Path(shutil.copy(keras_file, tmp_path / "net.keras"))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", archive.read("config.json"))
    assert "two members called 'config.json'" in refusal(path)


def test_a_layer_of_the_users_own_is_named_with_the_remedy(library, tmp_path):
    class Own(library.layers.Layer):
        def call(self, x):
            return x

    path = saved(network(library, Own()), tmp_path / "net.keras")
    assert "a layer that is not Keras' own" in refusal(path)


# SavedModels


def saved_function(place: Path, compute, *, shape=(None, SIDE, SIDE, 3), dtype="float32", names=("serving_default",)) -> Path:
    """A plain `tf.Module` that serves `compute` of the means of colour, shape (n, 3)."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = tf.Variable(np.eye(3, 2, dtype=np.float32))

    def serve(images):
        return compute(tf.nn.softmax(tf.reduce_mean(tf.cast(images, tf.float32), [1, 2]) @ module.weights))

    module.serve = tf.function(tf.autograph.experimental.do_not_convert(serve), input_signature=[tf.TensorSpec(shape, dtype)])
    tf.saved_model.save(module, str(place), signatures=dict.fromkeys(names, module.serve))
    return place


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("batch", [None, 1])
def test_a_saved_model_without_keras_is_taken_by_its_signature(batch, tmp_path):
    path = saved_function(tmp_path / "net", lambda found: found, shape=(batch, SIDE, SIDE, 3))
    np.testing.assert_allclose(answers(path), softmax(INPUTS.mean(axis=(1, 2))[:, :2]), atol=1e-6)


EFFECTS = ("WriteFile", "ReadFile", "EagerPyFunc", "RandomUniform", "Abort", "ImmutableConst", "DebugIdentity", "CopyHost")


def effects(found):
    import tensorflow as tf

    def before(operation):
        with tf.control_dependencies([operation]):
            return tf.identity(found)

    def written():
        with tf.control_dependencies([tf.io.write_file("/nowhere/x", "x")]):
            return tf.identity(found)

    return {
        "WriteFile": written,
        "ReadFile": lambda: found + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32),
        "EagerPyFunc": lambda: tf.ensure_shape(tf.py_function(lambda x: x, [found], tf.float32), (None, 2)),
        "RandomUniform": lambda: found + tf.random.uniform(tf.shape(found)),
        "Abort": lambda: before(tf.raw_ops.Abort(error_msg="x")),
        "ImmutableConst": lambda: (
            found + tf.raw_ops.ImmutableConst(dtype=tf.float32, shape=(1,), memory_region_name="/etc/hostname")
        ),
        "DebugIdentity": lambda: tf.raw_ops.DebugIdentity(input=found, debug_urls=["file:///nowhere/x"]),
        "CopyHost": lambda: tf.raw_ops.CopyHost(input=found, debug_ops_spec=["DebugIdentity;file:///nowhere/x;0"]),
    }


@pytest.mark.parametrize("operator", EFFECTS)
def test_a_saved_model_that_does_more_than_arithmetic_is_refused_unrun(operator, tmp_path):
    path = saved_function(tmp_path / "net", lambda found: effects(found)[operator]())
    assert f"it holds {operator}, which is no arithmetic on a picture and is not run" in refusal(path)


def test_a_saved_model_of_two_graphs_is_refused_unloaded(tmp_path, monkeypatch):
    """TensorFlow loads it as one of TensorFlow 1, and runs what it names to be run first."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    path = saved_function(tmp_path / "net", lambda found: found)
    graph = path / "saved_model.pb"
    content = saved_model_pb2.SavedModel.FromString(graph.read_bytes())
    content.meta_graphs.append(content.meta_graphs[0])
    graph.write_bytes(content.SerializeToString())
    monkeypatch.setattr(tf.saved_model, "load", lambda *_: pytest.fail("it was loaded"))
    assert "a SavedModel of TensorFlow 1, or damaged" in refusal(path)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"shape": (8, SIDE, SIDE, 3)}, "its batch is fixed to 8; leave it open"),
        ({"dtype": "uint8"}, "its input is of uint8, expected float32"),
        ({"dtype": "float16"}, "16-bit floats"),
        ({"shape": (None, None)}, "found an input of shape (None, None)"),
        ({"names": ("a", "b")}, "expected the signature serving_default, found a, b"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_saved_model_that_serves_something_else_is_refused_with_the_remedy(said, says, tmp_path):
    import tensorflow as tf

    if said.get("shape") == (None, None):
        module = tf.Module()
        module.serve = tf.function(lambda x: x * 2, input_signature=[tf.TensorSpec((None, None), tf.float32)])
        tf.saved_model.save(module, str(tmp_path / "net"), signatures=module.serve)
    else:
        saved_function(tmp_path / "net", lambda found: found, **said)
    line = refusal(tmp_path / "net")
    assert says in line
    assert "model.export" in line


@pytest.mark.parametrize("change", ["no variables", "cut", "empty", "other bytes"])
def test_a_damaged_saved_model_is_one_line(change, tmp_path):
    path = saved_function(tmp_path / "net", lambda found: found)
    graph = path / "saved_model.pb"
    if change == "no variables":
        shutil.rmtree(path / "variables")
    else:
        graph.write_bytes({"cut": graph.read_bytes()[:-500], "empty": b"", "other bytes": b"\xff" * 99}[change])
    assert "export it again" in refusal(path)


# what is no model


def zipped(names: dict[str, bytes]):
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in names.items():
                archive.writestr(name, content)

    return write


def hdf5(**attributes: object):
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_group("layers" if attributes else "data")
            file.attrs.update(attributes)

    return write


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", b"")
        archive.writestr("config.json", b" " * 65_000_000)


OTHERS = {  # what users name -> content or who writes it, and what it is called
    "net.tflite": (TINY.read_bytes(), "a TFLite file, converted already"),
    "tflite.keras": (TINY.read_bytes(), "a TFLite file, converted already"),
    "net.onnx": (b"\x08\x08\x12\x07pytorch\x1a\x032.1", "an ONNX model"),
    "onnx.h5": (b"\x08\x08\x12\x07pytorch\x1a\x032.1", "an ONNX model"),
    "net.pt": (zipped({"net/data.pkl": b"x"}), "a PyTorch file"),
    "old.pth": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a PyTorch file"),
    "net.pkl": (pickle.dumps({"a": 1}), "a pickle, which may run any code and is not opened"),
    "net.joblib": (pickle.dumps([1], 3), "a pickle, which may run any code and is not opened"),
    "net.npz": (zipped({"a.npy": b"x"}), "holds weights alone"),
    "net.npy": (b"\x93NUMPY\x01\x00", "holds weights alone"),
    "net.weights.h5": (hdf5(vars="x"), "holds weights alone; build the network"),
    "k2_weights.h5": (hdf5(layer_names=["a"], keras_version="2.15.0"), "holds weights alone; build the network"),
    "data.h5": (hdf5(), "HDF5, but no Keras model in it"),
    "net.data-00000-of-00001": (b"\x00" * 9, "holds weights alone"),
    "net.index": (b"\x00" * 9, "holds weights alone"),
    "net.safetensors": (b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "holds weights alone"),
    "net.json": (b'{"class_name": "Functional"}', "at most a network's architecture"),
    "saved_model.pb": (b"\x08\x01\x12\x00", "a part of a SavedModel; name its folder"),
    "frozen.pb": (b"\n\x02ab", "a TensorFlow graph"),
    "net.keras.gz": (gzip.compress(b"x"), "packed by gzip; unpack it"),
    "net.zip": (zipped({"net/saved_model.pb": b"x"}), "a zip that holds net/saved_model.pb; unpack it"),
    "bundle.zip": (zipped({"b/manifest.json": b"x", "b/model.tflite": b"x"}), "a leukolite bundle"),
    "other.keras": (zipped({"a.txt": b"x"}), "a zip, but no Keras model"),
    "cut.keras": (b"PK\x03\x04" + b"x" * 99, "a damaged archive"),
    "empty.keras": (b"", "empty; expected a Keras model"),
    "page.h5": (b"\n<!DOCTYPE html><html>", "a web page and not the file itself"),
    "lfs.keras": (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    "text.keras": (b"not a model", "no Keras model, or damaged"),
    "listed.keras": (zipped({"config.json": b"[1]", "model.weights.h5": b""}), "its architecture names no class"),
    "words.keras": (zipped({"config.json": b"words", "model.weights.h5": b""}), "no Keras model, or damaged"),
    "bomb.keras": (bomb, "which no small machine runs"),
    "deep.keras": (zipped({"config.json": b"[" * 99999, "model.weights.h5": b""}), "no Keras model, or damaged"),
}


@pytest.mark.parametrize(("name", "content", "called"), [(name, *rest) for name, rest in OTHERS.items()], ids=OTHERS)
def test_what_is_no_whole_keras_model_is_called_by_its_name(tmp_path, name, content, called):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    assert called in refusal(path)


@pytest.mark.parametrize(
    ("files", "called"),
    [
        (["checkpoint", "net.index"], "a TensorFlow checkpoint, so it holds weights alone"),
        (["config.json", "model.weights.h5", "metadata.json"], "an unpacked .keras archive; zip the files"),
        (["run.json", "model.keras"], "a run of leukolite"),
        (["manifest.json", "model.tflite"], "a leukolite bundle"),
        (["1/saved_model.pb"], "name the one in it"),
        (["notes.txt"], "a folder without saved_model.pb"),
        ([], "a folder without saved_model.pb"),
    ],
    ids=str,
)
def test_a_folder_that_is_no_saved_model_is_called_by_its_name(tmp_path, files, called):
    for name in files:
        (tmp_path / "net" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "net" / name).touch()
    (tmp_path / "net").mkdir(exist_ok=True)
    assert called in refusal(tmp_path / "net")


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    assert "no such file; expected a Keras model: .keras, .h5, or a SavedModel's folder" in refusal(tmp_path / "net.keras")


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_a_file_that_was_cut_off_is_refused(library, ending, cut, tmp_path):
    path = saved(network(library), tmp_path / f"net{ending}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * cut)])
    assert "damaged" in refusal(path)


def test_weights_of_another_network_are_refused(model_2, tmp_path):
    def widen(layers):
        layers[-2]["config"]["units"] = 7

    assert "damaged" in refusal(rewritten(saved(model_2, tmp_path / "net.h5"), widen))


def test_a_model_of_a_keras_to_come_asks_for_that_keras(keras_3, tmp_path):
    path = saved(network(keras_3), tmp_path / "net.h5")

    def unknown(layers):
        layers[1]["config"]["of_the_future"] = 1

    rewritten(path, unknown)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "9.1.0"
    assert "saved by Keras 9.1.0" in refusal(path)
    assert "pip install -U keras" in refusal(path)


def test_a_network_that_keras_quantised_is_refused(keras_3, tmp_path):
    model = network(keras_3)
    model.quantize("int8")
    assert "quantised its weights already" in refusal(saved(model, tmp_path / "net.keras"))
