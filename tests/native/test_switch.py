"""Which operators compute, and what becomes of compiled and exported graphs."""

import json
import subprocess
import sys
import threading

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import compilation, native
from gluon_linalg.native import library, switch
from harness.modes import MODES

pytestmark = pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")


def positive(batch=3, size=4, dtype="float64", seed=0):
    a = np.random.RandomState(seed).normal(size=(batch, size, size))
    return mx.nd.array(a @ a.transpose(0, 2, 1) + np.eye(size), dtype=dtype)


@pytest.fixture(autouse=True)
def default():
    """Whatever the tests are run with, these begin with the default."""
    with gl.use_backend("auto"):
        yield


@pytest.fixture(autouse=True)
def kept_symbols(monkeypatch):
    """Compiled graphs remember what they were made of."""
    original = compilation.CachedOp.__init__

    def __init__(self, sym, *args, **kwargs):
        self.made_of = sym
        original(self, sym, *args, **kwargs)

    monkeypatch.setattr(compilation.CachedOp, "__init__", __init__)


def compiled_operators(block):
    """The names of the operators in the graph that runs."""
    return {node["op"] for node in json.loads(block._cached_op.made_of.tojson())["nodes"]}


def names_native(names):
    return any(name.startswith(library.PREFIX) for name in names)


def test_the_default_is_native_where_the_library_is():
    status = gl.backend_status()
    assert status.backend == "auto" and status.native
    assert status.level in ("plain", "avx2", "avx512")
    assert status.level in status.reason


def test_choosing_lasts_and_a_with_block_gives_back():
    with gl.use_backend("mxnet"):
        assert not gl.backend_status().native
        with gl.use_backend("native"):
            assert gl.backend_status().native
        assert gl.backend_status().backend == "mxnet"
    before = switch.chosen()
    try:
        gl.use_backend("mxnet")
        assert not native.applies(mx.nd, positive())
    finally:
        gl.use_backend(before)
    assert native.applies(mx.nd, positive())


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="the backend is 'gpu', expected one of"):
        gl.use_backend("gpu")
    assert gl.backend_status().backend == "auto"


@pytest.mark.parametrize(
    "backend, expected",
    [("mxnet", "mxnet None"), ("", "auto {level}"), ("native", "native {level}")],
)
def test_the_environment_chooses_at_the_start(monkeypatch, backend, expected):
    monkeypatch.setenv(switch.VARIABLE, backend)
    code = "import gluon_linalg as gl; print(*gl.backend_status()[:2])"
    found = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert found.stdout.strip() == expected.format(level=gl.backend_status().level)


def test_without_the_library_auto_is_mxnet_and_native_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(library, "_loaded", None)
    monkeypatch.setattr(library, "PATH", tmp_path / "operators.so")
    status = gl.backend_status()
    assert not status.native and "it was not compiled" in status.reason
    assert not native.applies(mx.nd, positive())
    gl.CholeskyBlock()(positive()).wait_to_read()
    with pytest.raises(RuntimeError, match="no native operators: it was not compiled"):
        gl.use_backend("native")
    (tmp_path / "operators.so").write_bytes(b"no library")
    monkeypatch.setattr(library, "_loaded", None)
    assert "does not load" in gl.backend_status().reason


def test_a_compiled_block_follows_the_switch():
    block = gl.CholeskyBlock()
    block.hybridize()
    block(positive())
    assert names_native(compiled_operators(block))
    with gl.use_backend("mxnet"):
        block(positive())
        assert not names_native(compiled_operators(block))
    block(positive())
    assert names_native(compiled_operators(block))


class Around(mx.gluon.HybridBlock):
    """A network of the user's with a layer of this package inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.dense = mx.gluon.nn.Dense(4, flatten=False)
            self.factor = gl.CholeskyBlock()

    def hybrid_forward(self, F, x):
        hidden = self.dense(x)
        return self.factor(F.batch_dot(hidden, hidden, transpose_b=True) + x)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "exported"])
def test_what_gluon_exports_is_plain(mode, tmp_path):
    net = Around()
    net.initialize()
    net.cast("float64")
    if MODES[mode] is None:
        with pytest.raises(RuntimeError):
            net.export(str(tmp_path / "model"))
        return
    net.hybridize(**MODES[mode])
    x = positive(size=4)
    expected = net(x).asnumpy()
    assert names_native(compiled_operators(net))
    net.export(str(tmp_path / "model"))
    text = (tmp_path / "model-symbol.json").read_text()
    assert library.PREFIX not in text and "linalg_potrf" in text
    data = mx.sym.var("data", dtype="float64")
    loaded = mx.gluon.SymbolBlock(mx.sym.load(str(tmp_path / "model-symbol.json")), data)
    loaded.load_parameters(
        str(tmp_path / "model-0000.params"), cast_dtype=True, dtype_source="saved"
    )
    np.testing.assert_allclose(loaded(x).asnumpy(), expected, rtol=1e-13, atol=1e-13)
    # And the graph that runs is the same as before.
    assert names_native(compiled_operators(net))


def test_symbols_that_a_user_composes_are_plain():
    symbol = gl.CholeskyBlock()(mx.sym.var("a"))
    assert library.PREFIX not in symbol.tojson()


def test_shapes_that_are_deferred_are_inferred(tmp_path):
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(4, flatten=False), mx.gluon.nn.HybridLambda(_gram), gl.LogDetBlock())
    net.initialize()
    net.hybridize()
    assert net(mx.nd.random.normal(shape=(2, 5, 3))).shape == (2,)


def _gram(F, x):
    return F.broadcast_add(F.batch_dot(x, x, transpose_a=True), 10.0 * F.eye(4).expand_dims(0))


def test_threads_that_trace_do_not_disturb_one_another():
    seen = []

    def trace():
        with native.native_tracing(True):
            waiting.wait()
            seen.append(native.applies(mx.sym, None))

    waiting = threading.Event()
    thread = threading.Thread(target=trace)
    thread.start()
    assert not native.applies(mx.sym, None)
    waiting.set()
    thread.join()
    assert seen == [True]


def test_an_operator_refuses_with_its_reason():
    with pytest.raises(mx.base.MXNetError, match="square matrices"):
        native.call(mx.nd, "potrf", mx.nd.ones((2, 3, 4))).wait_to_read()


def test_arrays_of_different_dtypes_are_refused():
    name = next(n for n in ("trsm", "cholesky_solve") if n in library.library().functions[mx.nd])
    with pytest.raises(mx.base.MXNetError, match="different dtypes"):
        native.call(mx.nd, name, mx.nd.ones((2, 3, 3)), mx.nd.ones((2, 3, 1), dtype="float64"))
