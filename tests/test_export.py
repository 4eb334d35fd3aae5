"""Files that plain MXNet loads, checked before they are kept."""

import os
import shutil
import subprocess
import warnings
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import kernels as k
from gluon_linalg import native
from plain_mxnet import run_plain


def nd(value, dtype="float64"):
    return mx.nd.array(value, dtype=dtype)


def points(n, d=1, seed=0):
    return np.random.RandomState(seed).uniform(-2, 2, size=(1, n, d))


def layer(dtype="float64"):
    block = gl.GPLikelihoodLayer(k.RBF(1.7, 0.8) * k.Periodic(period=2.0), noise_variance=0.3)
    block.kernel.kernels[1].period.grad_req = "null"
    block.initialize()
    block.cast(dtype)
    return block


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictor_runs_without_this_package(dtype, tmp_path):
    x, y = points(8), np.random.RandomState(1).randn(1, 8)
    predictor = layer(dtype).condition(nd(x, dtype), nd(y, dtype), include_noise=True)
    new = points(5, seed=3)
    path = str(tmp_path / "model")
    assert gl.export(predictor, path, nd(new, dtype)) == (
        path + "-symbol.json",
        path + "-0000.params",
    )
    expected = [a.asnumpy() for a in predictor(nd(new, dtype))]
    for found, wanted in zip(run_plain(path, [new], dtype, tmp_path), expected):
        assert found.dtype == np.dtype(dtype)
        np.testing.assert_allclose(found, wanted, rtol=1e-6 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_block_without_parameters_runs_without_this_package(dtype, tmp_path):
    a = np.array([[[4.0, 2.0], [2.0, 3.0]]])
    path = str(tmp_path / "cholesky")
    gl.export(gl.CholeskyBlock(), path, nd(a, dtype))
    found = run_plain(path, [a], dtype, tmp_path)[0]
    np.testing.assert_allclose(found, np.linalg.cholesky(a), rtol=1e-6)


def test_two_inputs_runs_without_this_package(tmp_path):
    x, y = points(6), np.random.RandomState(1).randn(1, 6)
    block = layer()
    path = str(tmp_path / "likelihood")
    gl.export(block, path, nd(x), nd(y))
    found = run_plain(path, [x, y], "float64", tmp_path)[0]
    np.testing.assert_allclose(found, block(nd(x), nd(y)).asnumpy(), rtol=1e-13)


def test_loading_keeps_what_is_not_trained(tmp_path):
    x, y = nd(points(6)), nd(np.ones((1, 6)))
    path = str(tmp_path / "likelihood")
    gl.export(layer(), path, x, y)
    frozen = [p.name for p in gl.load(path).collect_params().values() if p.grad_req == "null"]
    assert len(frozen) == 1
    assert frozen[0].endswith("period")


def test_float64_after_a_run_in_float32(tmp_path):
    """No trace of float32 is left in the graph, for our loader and for both of Gluon's.

    `load_parameters` needs the inputs' dtype: without it, Gluon takes all to be float32.
    """
    block = layer("float32")
    x, y = points(6), np.random.RandomState(1).randn(1, 6)
    block.hybridize()
    block(nd(x, "float32"), nd(y, "float32"))
    block.cast("float64")
    expected = block(nd(x), nd(y)).asnumpy()
    path = str(tmp_path / "model")
    files = gl.export(block, path, nd(x), nd(y))
    with open(files[0]) as file:
        assert '"__dtype__": "0"' not in file.read()
    np.testing.assert_allclose(gl.load(path)(nd(x), nd(y)).asnumpy(), expected, rtol=1e-13)
    symbol = mx.sym.load(files[0])
    names = ["data0", "data1"]
    plain = mx.gluon.SymbolBlock(symbol, [mx.sym.var(name, dtype="float64") for name in names])
    plain.load_parameters(files[1])
    np.testing.assert_allclose(plain(nd(x), nd(y)).asnumpy(), expected, rtol=1e-13)
    imported = mx.gluon.SymbolBlock.imports(files[0], names, files[1])
    np.testing.assert_allclose(imported(nd(x), nd(y)).asnumpy(), expected, rtol=1e-13)


def test_export_leaves_the_block_as_it_was(tmp_path):
    x, y = nd(points(6)), nd(np.ones((1, 6)))
    for flags in (None, {"static_alloc": True, "static_shape": True}):
        block = layer()
        if flags is not None:
            block.hybridize(**flags)
        before = block(x, y).asscalar()
        gl.export(block, str(tmp_path / "model"), x, y)
        assert block._active == (flags is not None)
        assert block(x, y).asscalar() == before


def test_train_condition_export(tmp_path):
    """The usual order: a layer that was trained compiled, conditioned, then exported twice."""
    x, y = nd(points(6)), nd(np.random.RandomState(1).randn(1, 6))
    block = layer()
    block.hybridize(static_alloc=True, static_shape=True)
    trainer = mx.gluon.Trainer(block.collect_params(), "adam", {"learning_rate": 0.1})
    for _ in range(2):
        with mx.autograd.record():
            loss = block(x, y)
        loss.backward()
        trainer.step(1)
        predictor = block.condition(x, y)
        gl.export(predictor, str(tmp_path / "predictor"), x)
        gl.export(block, str(tmp_path / "likelihood"), x, y)
        for found, expected in zip(gl.load(str(tmp_path / "predictor"))(x), predictor(x)):
            np.testing.assert_allclose(found.asnumpy(), expected.asnumpy(), rtol=1e-12)


def test_a_disk_that_is_full_is_named(tmp_path, monkeypatch):
    def cut_off(self, path):
        Path(path).write_text('{"nodes": [')

    monkeypatch.setattr(mx.sym.Symbol, "save", cut_off)
    with pytest.raises(OSError, match="disk full"):
        gl.export(gl.CholeskyBlock(), str(tmp_path / "model"), nd([[[4.0]]]))
    assert os.listdir(tmp_path) == []


class Dishonest(mx.gluon.HybridBlock):
    """Another value in a graph than imperatively."""

    def hybrid_forward(self, F, x):
        return x * (1.0 if F is mx.nd else 1.001)


def test_a_graph_that_differs_is_not_written(tmp_path):
    with pytest.raises(gl.errors.ExportError, match="0.001"):
        gl.export(Dishonest(), str(tmp_path / "model"), nd([1.0, 2.0]))
    assert os.listdir(tmp_path) == []


class OfTwoMinds(mx.gluon.HybridBlock):
    """Another value where native operators compute."""

    def __init__(self, difference, **kwargs):
        super().__init__(**kwargs)
        self._difference = difference

    def hybrid_forward(self, F, x):
        return x * (1.0 + self._difference * native.applies(F, x))


@pytest.mark.skipif(not gl.backend_status().native, reason="there are no native operators")
@pytest.mark.parametrize("hybridized", [False, True])
def test_what_backends_round_differently_is_told(tmp_path, hybridized):
    path = str(tmp_path / "model")
    x = nd([1.0, 2.0]).astype("float64")
    for difference, is_told in ((1e-9, False), (1e-3, True)):
        block = OfTwoMinds(difference)
        if hybridized:
            block.hybridize()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            gl.export(block, path, x)
        np.testing.assert_array_equal(gl.load(path)(x).asnumpy(), x.asnumpy())
        texts = [str(own.message) for own in told if own.category is RuntimeWarning]
        assert any("by 0.001 with native operators" in text for text in texts) is is_told


def test_a_failing_block_leaves_the_old_files(tmp_path):
    path = str(tmp_path / "model")
    good, bad = nd([[[4.0]]]), nd([[[-4.0]]])
    files = gl.export(gl.CholeskyBlock(), path, good)
    before = [Path(name).read_bytes() for name in files]
    with pytest.raises(gl.errors.NotPositiveDefiniteError):
        gl.export(gl.CholeskyBlock(), path, bad)
    assert [Path(name).read_bytes() for name in files] == before
    assert len(os.listdir(tmp_path)) == 2


def test_missing_folder_and_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        gl.export(gl.CholeskyBlock(), str(tmp_path / "nowhere" / "model"), nd([[[4.0]]]))
    with pytest.raises(FileNotFoundError, match="model-symbol.json"):
        gl.load(str(tmp_path / "model"))
    with pytest.raises(TypeError, match="example"):
        gl.export(gl.CholeskyBlock(), str(tmp_path / "model"))


def test_a_damaged_graph_is_named(tmp_path):
    """MXNet's own error for half of a graph cannot even be decoded. The path may be a Path."""
    example = nd([[[4.0]]])
    files = gl.export(gl.CholeskyBlock(), tmp_path / "model", example)
    assert gl.load(tmp_path / "model")(example).asscalar() == 2.0
    whole = Path(files[0]).read_text()
    for part in ("{", whole[: len(whole) // 2], "[]", ""):
        Path(files[0]).write_text(part)
        with pytest.raises(ValueError, match="model-symbol.json is damaged"):
            gl.load(tmp_path / "model")


def test_inputs_and_outputs_are_flat(tmp_path):
    """Lists of arrays would not survive the file: every block takes and returns plain arrays."""
    for block, example in ((gl.LQBlock(), nd(np.ones((1, 1, 2)))), (gl.EigBlock(), nd([[[2.0]]]))):
        outputs = block(example)
        assert all(isinstance(output, mx.nd.NDArray) for output in outputs)
        path = str(tmp_path / "model")
        gl.export(block, path, example)
        assert len(gl.load(path)(example)) == len(outputs)


def test_more_than_ten_inputs_keep_their_order(tmp_path):
    class Weighted(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, *inputs):
            return sum(value * (10.0 ** (-i)) for i, value in enumerate(inputs))

    inputs = [nd([float(i % 7)]) for i in range(12)]
    block = Weighted()
    path = str(tmp_path / "model")
    gl.export(block, path, *inputs)
    assert gl.load(path)(*inputs).asscalar() == block(*inputs).asscalar()


def test_the_graph_names_no_object_of_this_process(tmp_path):
    """Two runs of one job write the same file, to the last byte."""
    x, y = mx.nd.array([[[0.0], [1.0]]]), mx.nd.array([[1.0, 2.0]])
    layer = gl.GPLikelihoodLayer(gl.kernels.RBF(), noise_variance=0.1)
    layer.initialize()
    gl.export(layer.condition(x, y), str(tmp_path / "model"), x)
    assert "Constant_" not in (tmp_path / "model-symbol.json").read_text()


def test_the_device_of_a_loaded_model(tmp_path):
    """By position or name; by its earlier name with a warning, not by both."""
    block, path = gl.CholeskyBlock(), str(tmp_path / "model")
    gl.export(block, path, mx.nd.ones((1, 1, 1)))
    expected = gl.load(path, mx.cpu(0))(mx.nd.ones((1, 1, 1)))
    with pytest.warns(DeprecationWarning, match="'ctx' is called 'device' now"):
        found = gl.load(path, ctx=mx.cpu(0))(mx.nd.ones((1, 1, 1)))
    assert found.asscalar() == expected.asscalar() == 1.0
    with pytest.raises(TypeError, match="give one"):
        gl.load(path, device=mx.cpu(), ctx=mx.cpu())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_a_program_in_cpp(tmp_path):
    """examples/cpp/predict.cc, by its first lines: MXNet's wheel alone has all that it needs."""
    program = Path(__file__).resolve().parent.parent / "examples" / "cpp" / "predict.cc"
    folder = mx.__path__[0]
    linked = [f"-I{folder}/include", f"-L{folder}", "-lmxnet", f"-Wl,-rpath,{folder}"]
    built = tmp_path / "predict"
    subprocess.run(["g++", "-w", str(program), *linked, "-o", str(built)], check=True)
    block, x = layer("float32"), points(5)
    predictor = block.condition(x, np.sin(x[..., 0]))
    new = points(3, seed=1)
    gl.export(predictor, str(tmp_path / "model"), nd(new, "float32"))
    words = [str(number) for number in (*new.shape, *new.ravel())]
    command = [str(built), str(tmp_path / "model"), *words]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = [np.array(line.split(), dtype=float) for line in printed.strip().splitlines()]
    for one, expected in zip(found, predictor(nd(new, "float32"))):
        np.testing.assert_allclose(one, expected.asnumpy().ravel(), rtol=1e-4)
    assert len(found) == 2
