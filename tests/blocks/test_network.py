"""Blocks as parts of Gluon networks: data loaders, copies, casts, dtypes, threads, names."""

import copy
import pickle
import sys
import threading

import mxnet as mx
import numpy as np
import pytest
from families import (
    BLOCKS,
    Network,
    X,
    Y,
    arrays,
    difference,
    gp,
    listed,
    ready,
    structural,
    values,
)

import gluon_linalg as gl
from gluon_linalg import kernels as k

STATIC = {"static_alloc": True, "static_shape": True}
HOST = [mx.Context("cpu_shared", 0), mx.Context("cpu_pinned", 0)]


# Arrays of data loaders.


@pytest.mark.parametrize("name", BLOCKS)
def test_memory_of_data_loaders(name):
    """A loader's worker processes hand arrays over in shared memory; the gradient reaches them."""
    make, inputs = BLOCKS[name]
    block = make("float64")
    gradients = []
    for context in [mx.cpu(), *HOST]:
        given = arrays(inputs, "float64", context)
        given[0].attach_grad()
        with mx.autograd.record(train_mode=False):
            outputs = listed(block(*given))
            loss = sum(mx.nd.sum(output * output) for output in outputs)
        if name != "component":
            loss.backward()
        gradients.append(given[0].grad.asnumpy())
        found = values(outputs)
        if context == mx.cpu():
            expected = found
            block.hybridize(**STATIC)
        assert difference(found, expected) == 0.0
        assert all(output.context == mx.cpu() for output in outputs)
    assert difference(gradients, gradients[:1] * 3) < 1e-12


def test_a_data_loader():
    data = mx.gluon.data.ArrayDataset(X.astype("float32"), Y.astype("float32"))
    layer = ready(gp())
    losses = []
    for workers in (0, 2):
        for x, y in mx.gluon.data.DataLoader(data, batch_size=2, num_workers=workers):
            assert x.context.device_type == ("cpu_shared" if workers else "cpu")
            losses.append(layer(x, y).asnumpy())
            # Of one call, some from a loader and some not.
            losses.append(layer(x, y.as_in_context(mx.cpu())).asnumpy())
            layer.condition(x, y).covariance(x)
    assert difference(losses[1:], losses[:1] * 3) == 0.0


@pytest.mark.parametrize("context", HOST, ids=str)
def test_data_loaders_and_networks_compiled_as_a_whole(context):
    network = mx.gluon.nn.HybridSequential()
    network.add(mx.gluon.nn.Dense(2, flatten=False, in_units=2), ready(k.RBF()))
    network.initialize()
    expected = values(network(*arrays([X])))
    for flags in ({}, STATIC):
        network.hybridize(**flags)
        x = arrays([X], ctx=context)[0]
        x.attach_grad()
        with mx.autograd.record():
            found = network(x)
        found.backward()
        assert difference(values(found), expected) < 1e-6
        assert np.abs(x.grad.asnumpy()).max() > 0.0


def test_another_device_is_still_named():
    layer = ready(k.RBF())
    with pytest.raises(gl.errors.ContextError, match=r"cpu\(1\).*cpu\(0\)"):
        layer(mx.nd.ones((1, 2, 1), ctx=mx.Context("cpu_pinned", 1)))


# Names.


class WithPredictors(mx.gluon.HybridBlock):
    """A trained layer and what was made from it, kept for serving."""

    def __init__(self, layer, *made):
        super().__init__()
        self.layer = layer
        for index, block in enumerate(made):
            setattr(self, f"made{index}", block)
        self.count = len(made)

    def hybrid_forward(self, F, *inputs):
        outputs = []
        for index in range(self.count):
            outputs += listed(getattr(self, f"made{index}")(*inputs))
        return tuple(outputs)


def of_gp():
    layer = ready(gp())
    x, y = arrays([X, Y])
    return layer, layer.condition(x, y), layer.condition(x, 2 * y)


def of_blr():
    layer = ready(gl.BLRLikelihoodLayer())
    x, y = arrays([X, Y])
    return layer, layer.condition(x, y), layer.condition(x, 2 * y)


def of_structural():
    model = ready(structural())
    return model, model.forecaster(2), model.forecaster(3)


def of_pca():
    block = ready(gl.PCABlock(1))
    block(*arrays([X]))
    return block, block.fit(X.astype("float32")), block.fit(2 * X.astype("float32"))


@pytest.mark.parametrize(
    "parts, inputs", [(of_gp, X), (of_blr, X), (of_structural, Y), (of_pca, X)]
)
def test_a_layer_and_its_predictors_in_one_network(parts, inputs, tmp_path):
    network, inputs = WithPredictors(*parts()), arrays([inputs])
    parameters = network.collect_params()
    trained = {name for name, p in parameters.items() if p.grad_req != "null"}
    assert trained == {
        name for name, p in network.layer.collect_params().items() if p.grad_req != "null"
    }
    assert not set(network.layer.collect_params()) & set(network.made0.collect_params())
    mx.gluon.Trainer(parameters, "sgd", {"learning_rate": 0.1})
    expected = [a for part in (network.made0, network.made1) for a in values(part(*inputs))]
    assert difference(values(network(*inputs)), expected) == 0.0
    network.hybridize()
    assert difference(values(network(*inputs)), expected) < 1e-6
    gl.export(network, str(tmp_path / "model"), *inputs)
    assert difference(values(gl.load(str(tmp_path / "model"))(*inputs)), expected) < 1e-6


def test_names_hang_on_the_layer_alone():
    """Whatever the process made before, and whether or not a scope of names is open."""
    names = []
    for _ in range(2):
        kernel = k.RBF(prefix="kernel_")
        layer = ready(gl.GPLikelihoodLayer(kernel, noise_variance=0.1, prefix="layer_"))
        names.append(list(layer.condition(*arrays([X, Y])).collect_params()))
    assert names[0] == names[1]
    assert all(name.startswith("layer_gppredictor0_") for name in names[0])


def test_what_kernel_and_mean_share_their_copies_share():
    class Shared(k.RBF):
        def __init__(self, features, **kwargs):
            super().__init__(**kwargs)
            self.features_net = features

        def select(self, F, x):
            return self.features_net(x)

    net = mx.gluon.nn.Dense(1, flatten=False, in_units=2)
    layer = ready(gl.GPLikelihoodLayer(Shared(net), mean=net, noise_variance=0.1))
    predictor = layer.condition(*arrays([X, Y]))
    assert predictor.kernel.features_net is predictor.mean_function
    assert predictor.mean_function is not net
    network = WithPredictors(layer, predictor)
    assert len(list(network.collect_params())) == 5 + 8


# Casts.


def snapshot(network):
    return {
        p.name: (np.dtype(p.dtype).name, np.dtype(p.data().dtype).name)
        for p in network.collect_params().values()
    }


@pytest.mark.parametrize("dtype", ["float16", "int32", "bool", "nonsense", None, object()])
def test_a_refused_cast_changes_nothing(dtype):
    inner = mx.gluon.nn.HybridSequential()
    inner.add(mx.gluon.nn.Dense(2, flatten=False, in_units=2), ready(k.RBF(), "float64"))
    network = mx.gluon.nn.Sequential()
    network.add(mx.gluon.nn.Dense(2, in_units=2), inner, mx.gluon.nn.BatchNorm(in_channels=3))
    network.initialize()
    before = snapshot(network)
    for refusing in (network, inner, inner[1]):
        with pytest.raises(gl.errors.DtypeError, match="rbf.*float32.*float64"):
            refusing.cast(dtype)
    assert snapshot(network) == before


@pytest.mark.parametrize("name", ["gp predictor", "blr predictor"])
def test_a_predictor_refuses_before_its_network_is_cast(name):
    network = mx.gluon.nn.HybridSequential()
    network.add(mx.gluon.nn.Dense(2, flatten=False, in_units=2), BLOCKS[name][0]("float32"))
    network.initialize()
    before = snapshot(network)
    with pytest.raises(TypeError, match="condition again"):
        network.cast("float64")
    assert snapshot(network) == before
    network.cast("float32")


def test_networks_without_linear_algebra_cast_as_ever():
    network = mx.gluon.nn.Dense(2, in_units=2)
    network.initialize()
    network.cast("float16")
    assert network.weight.data().dtype == np.float16


# Dtypes.


@pytest.mark.parametrize("dtype, other", [("float32", "float64"), ("float64", "float32")])
@pytest.mark.parametrize("name", BLOCKS)
def test_another_dtype_is_refused_in_every_mode(name, dtype, other, tmp_path):
    make, inputs = BLOCKS[name]
    block, right, wrong = make(dtype), arrays(inputs, dtype), arrays(inputs, other)
    expected = values(block(*right))
    with pytest.raises(gl.errors.DtypeError, match=f"{other}.*{dtype}"):
        block(*wrong)
    network = Network(block)
    for flags in ({}, STATIC):
        network.hybridize(**flags)
        for _ in range(2):
            for _ in range(2):
                with pytest.raises(gl.errors.DtypeError, match="float32|float64"):
                    values(network(*wrong))
            assert difference(values(network(*right)), expected) < 1e-5
    path = str(tmp_path / "model")
    gl.export(block, path, *right)
    loaded = gl.load(path)
    with pytest.raises(gl.errors.DtypeError, match=f"{other}.*exported with {dtype}"):
        loaded(*(array for array in wrong if array is not None))


@pytest.mark.parametrize("name", ["gp", "gp in float64", "kalman in float64", "structural"])
def test_plain_mxnet_refuses_another_dtype(name, tmp_path):
    """The check is an operator of the graph, which needs nothing of this package to fail."""
    make, inputs = BLOCKS[name]
    block, path = make("float32"), str(tmp_path / "model")
    gl.export(block, path, *arrays(inputs))
    block.hybridize()
    block(*arrays(inputs))
    block.export(path + "-by-gluon")
    names = [f"data{i}" for i in range(len(inputs))]
    for stem in (path, path + "-by-gluon"):
        files = f"{stem}-symbol.json", names, f"{stem}-0000.params"
        plain = mx.gluon.SymbolBlock.imports(*files)
        values(plain(*arrays(inputs)))
        with pytest.raises(mx.base.MXNetError, match="float64"):
            values(plain(*arrays(inputs, "float64")))


def test_a_block_without_parameters_takes_either_dtype_until_it_is_cast():
    block = gl.KalmanFilterLayer(1)
    inputs = BLOCKS["kalman"][1]
    for dtype in ("float64", "float32"):
        assert np.dtype(block(*arrays(inputs, dtype)).dtype).name == dtype
    block.cast("float64")
    with pytest.raises(gl.errors.DtypeError, match=r"float32.*float64.*cast\('float32'\)"):
        block(*arrays(inputs, "float32"))


# Copies.


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
@pytest.mark.parametrize("name", BLOCKS)
def test_copies_of_used_compiled_blocks(name, twin):
    """They compute the same, are trained for themselves, and are compiled as the original."""
    make, inputs = BLOCKS[name]
    block, given = make("float64"), arrays(inputs, "float64")
    block.hybridize(**STATIC)
    network = Network(block)
    expected = values(block(*given))
    network.hybridize()
    network(*given)
    for original, own in ((block, twin(block)), (network, twin(network).block)):
        assert own._active
        assert difference(values(own(*given)), expected) < 1e-12
        trained = [p for p in own.collect_params().values() if p.grad_req != "null"]
        if trained:
            before = [p.data().asnumpy() for p in trained]
            trainer = mx.gluon.Trainer(own.collect_params(), "sgd", {"learning_rate": 0.01})
            with mx.autograd.record():
                loss = sum(mx.nd.sum(output * output) for output in listed(own(*given)))
            loss.backward()
            trainer.step(1)
            assert all((p.data().asnumpy() != b).any() for p, b in zip(trained, before))
            assert all(p._trainer is None for p in twin(own).collect_params().values())
        assert difference(values(original(*given)), expected) < 1e-12


def test_copies_before_the_first_call_and_of_loaded_graphs(tmp_path):
    given = arrays([X])
    for initialized in (False, True):
        block = gl.PPCALikelihoodLayer(1)
        if initialized:
            block.initialize()
        for own in (copy.deepcopy(block), pickle.loads(pickle.dumps(block))):
            own.initialize(force_reinit=True)
            assert own(*given).shape == (2,)
    path = str(tmp_path / "model")
    gl.export(ready(k.RBF()), path, *given)
    loaded = gl.load(path)
    expected = values(loaded(*given))
    for own in (copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):
        assert difference(values(own(*given)), expected) == 0.0


# Files, tables and modes of Gluon's.


def test_every_parameter_is_in_the_file(tmp_path):
    """`save_parameters` of views of a posterior too, which hold no block of their own."""
    path = str(tmp_path / "file.params")
    for name, (make, inputs) in BLOCKS.items():
        block = make("float64")
        block(*arrays(inputs, "float64"))
        found = {id(p) for p in block._collect_params_with_prefix().values()}
        # And what predictors keep for their views, which is no parameter of their call.
        assert found >= {id(p) for p in block.collect_params().values()}, name
    predictor = ready(gp(), "float64").condition(*arrays([X, Y], "float64"))
    new, other = arrays([X, -Y], "float64")
    twin = ready(gp(), "float64").condition(new, other)
    expected = predictor.view("mean")(new).asnumpy()
    predictor.view("mean").save_parameters(path)
    twin.view("mean").load_parameters(path)
    assert np.array_equal(twin.mean(new).asnumpy(), expected)


def test_summary_before_the_first_call(capsys):
    """Its hooks count parameters, which have no shapes while those are inferred."""
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(3, flatten=False), gl.WhiteningBlock(), gl.PCABlock(1))
    net.initialize()
    net.summary(*arrays([X]))
    assert "Unique parameters in model: 33" in capsys.readouterr().out  # 9, and twice 3 + 9
    layer = gp()
    layer.initialize()
    layer.summary(*arrays([X, Y]))


def test_parameters_in_numpy_mode():
    """Blocks are made, cast and set there; what is called refuses its arrays by name."""
    blocks = [
        gp(),
        structural(),
        gl.PPCALikelihoodLayer(1, in_features=2),
        gl.SVGPLikelihoodLayer(k.RBF(), X[0, :3], gl.likelihoods.StudentT()),
        gl.PCABlock(1, in_features=2),
    ]
    mx.npx.set_np()
    try:
        for block in blocks:
            ready(block, "float64")
        blocks[0].noise_variance.set_value(0.3)
        with pytest.raises(TypeError, match="reset_np"):
            blocks[1](mx.np.array(Y))
    finally:
        mx.npx.reset_np()
    assert blocks[0].noise_variance.value() == pytest.approx(0.3, rel=1e-15)
    factors = blocks[3].variational_factor.data().asnumpy()
    assert (factors == np.eye(3)).all()


# Threads.


def in_threads(call, count=6):
    """`call(i)` in as many threads at once; what was raised."""
    raised, barrier = [], threading.Barrier(count)

    def run(index):
        barrier.wait()
        try:
            call(index)
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    return raised


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("name", ["gp", "structural", "kalman", "ppca", "whitening", "forecaster"])
def test_first_call_from_several_threads(name, inside):
    make, inputs = BLOCKS[name]
    given = arrays(inputs, "float64")
    expected = values(make("float64")(*given))
    for flags in ({}, STATIC):
        block = Network(make("float64")) if inside else make("float64")
        block.hybridize(**flags)
        found = {}

        def call(index, block=block, found=found):
            found[index] = values(block(*given))

        raised = in_threads(call)
        assert not raised, raised
        for index in range(6):
            assert difference(found[index], expected) < 1e-12


def test_shapes_settled_by_several_threads():
    """Imperatively, of a block that learns the number of features from its first call."""
    given = arrays([X])
    block = gl.PPCALikelihoodLayer(1)
    block.initialize()
    assert not in_threads(lambda _: values(block(*given)))


def test_optional_arguments_from_several_threads():
    layer = ready(gp())
    calls = [arrays([X, Y]), arrays([X, Y, np.ones_like(Y)])]
    expected = [values(layer(*call)) for call in calls]
    layer.hybridize(**STATIC)
    found = {}

    def call(index):
        for turn in range(3):
            kind = (index + turn) % 2
            found[index, turn] = difference(values(layer(*calls[kind])), expected[kind])

    assert not in_threads(call)
    assert max(found.values()) < 1e-5


@pytest.mark.parametrize("flags", [{}, STATIC])
def test_failures_of_one_thread_do_not_reach_another(flags):
    block = gl.CholeskyBlock()
    block.hybridize(**flags)
    good, bad = arrays([np.eye(2)[None], -np.eye(2)[None]])
    wrong = []

    def call(index):
        for turn in range(5):
            if (index + turn) % 2:
                if difference(values(block(good)), [np.eye(2)[None]]) > 0:
                    wrong.append("value")
                continue
            try:
                block(bad)
                wrong.append("no error")
            except gl.errors.NotPositiveDefiniteError as error:
                if "element" not in str(error):
                    wrong.append(str(error))

    assert not in_threads(call)
    assert not wrong
    assert block._active


def test_another_thread_ends_its_imperative_run_meanwhile(monkeypatch):
    """What is compiled would return NaN that nobody looks at."""
    block = gl.CholeskyBlock()
    block.hybridize()
    good, bad = arrays([np.eye(2)[None], -np.eye(2)[None]])
    block(good)
    monkeypatch.setattr(gl.CholeskyBlock, "_settle_shapes", lambda self, args: block.hybridize())
    block._active = False
    with pytest.raises(gl.errors.NotPositiveDefiniteError, match="element 0"):
        block(bad)


def test_export_beside_calls_of_other_threads(tmp_path):
    layer, given = ready(gp()), arrays([X, Y])
    layer.hybridize(**STATIC)
    expected = values(layer(*given))

    def call(index):
        if index == 0:
            gl.export(layer, str(tmp_path / "model"), *given)
        for _ in range(5):
            assert difference(values(layer(*given)), expected) == 0.0

    raised = in_threads(call)
    assert not raised, raised


# A layer used twice on the same arrays, which MXNet computes once when it is compiled.


class Twice(mx.gluon.HybridBlock):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def hybrid_forward(self, F, *inputs):
        first, second = (listed(self.block(*inputs))[0] for _ in range(2))
        return F.sum(F.sin(first)) + F.sum(F.square(second))


@pytest.mark.parametrize("flags", [{}, STATIC], ids=["hybridized", "static"])
@pytest.mark.parametrize(
    "make, inputs",
    [(gp, [X, Y]), (gl.CholeskyBlock, [np.eye(3)[None] + 0.3])],
    ids=["gp", "cholesky"],
)
def test_a_layer_used_twice_on_the_same_arrays(make, inputs, flags):
    network, gradients = Twice(ready(make())), []
    for compiled in (False, True):
        if compiled:
            network.hybridize(**flags)
        given = arrays(inputs)
        for array in given:
            array.attach_grad()
        with mx.autograd.record():
            loss = network(*given)
        loss.backward()
        gradients.append(values([loss, *(array.grad for array in given)]))
    assert difference(gradients[1], gradients[0]) < 1e-5
