"""What the Kalman layers say to inputs that cannot be right."""

import kalman_reference as reference
import mxnet as mx
import numpy as np
import pytest
from kalman_reference import ARGUMENTS, random_system
from test_kalman import (
    LAYERS,
    METHODS,
    MODES,
    VARIANTS,
    arrays,
    differentiate,
    layer_for,
    run,
    with_noise,
)

import gluon_linalg as gl

EVERY_KIND = pytest.mark.parametrize("kind", LAYERS)


def system_for(kind, **sizes):
    sizes = dict(dict(B=2, T=4, d=3, p=2), **sizes)
    system = random_system(1, steps=kind == "forecast", **sizes)
    return with_noise(system) if kind == "sampler" else system


@EVERY_KIND
@pytest.mark.parametrize("name", ARGUMENTS)
def test_shapes_that_do_not_fit(name, kind):
    """One axis too long, too short, missing or too many: the argument is named."""
    system = system_for(kind)
    layer = layer_for(kind, system)
    value = system[name]
    wrong = [value[0], value[None]]
    # The last axes of noise factors may have any size.
    axes = range(value.ndim - (1 if name.endswith("_factor") else 0))
    wrong += [np.concatenate([value, value.take([0], axis)], axis) for axis in axes]
    for array in wrong:
        with pytest.raises(gl.errors.ShapeError, match=f"'{name}'"):
            run(layer, dict(system, **{name: array}))


@EVERY_KIND
def test_an_empty_sequence(kind):
    system = system_for(kind)
    layer = layer_for(kind, system)
    with pytest.raises(gl.errors.ShapeError, match="empty"):
        run(layer, dict(system, y=np.zeros((2, 0, 2))))


@METHODS
@EVERY_KIND
def test_masks_are_of_0_and_1(kind, method):
    system = system_for(kind)
    layer = layer_for(kind, system, method)
    for flags in (None, MODES[-1]):
        layer.hybridize(flags is not None, **(flags or {}))
        for wrong in (0.5, 2.0, -1.0, np.nan):
            mask = system["mask"].copy()
            mask[1, 2, 0] = wrong
            with pytest.raises(ValueError, match="mask.*0.*1"):
                run(layer, dict(system, mask=mask))
        assert np.isfinite(run(layer, system)[0]).all()


@METHODS
@EVERY_KIND
def test_nan_that_is_not_masked(kind, method):
    """The error names batch element and step, in every mode, and the layer goes on working."""
    system = system_for(kind, missing=False)
    layer = layer_for(kind, system, method, prefix="broken_kalman_")
    y = system["y"].copy()
    for flags, value in ((None, np.inf), *((flags, np.nan) for flags in MODES)):
        y[1, 2, 0] = value
        layer.hybridize(flags is not None, **(flags or {}))
        with pytest.raises(gl.errors.NonFiniteError) as caught:
            run(layer, dict(system, y=y))
        message = str(caught.value)
        assert "broken_kalman" in message
        assert "y has NaN or infinity" in message
        assert "batch element 1, t = 2" in message
        assert np.isfinite(run(layer, system)[0]).all()


@METHODS
@EVERY_KIND
@pytest.mark.parametrize("name", [n for n in ARGUMENTS if n not in ("y", "mask")])
def test_nan_in_the_system(name, kind, method):
    """Never a finite number from NaN: an error."""
    system = system_for(kind)
    system[name] = system[name].copy()
    system[name][1].flat[0] = np.nan
    # Where y is missing nothing of its step is read.
    system["mask"][1, 0] = 1.0
    with pytest.raises(gl.errors.LinearAlgebraError):
        run(layer_for(kind, system, method), system)


@METHODS
@EVERY_KIND
def test_singular_innovation_covariance(kind, method):
    """Two sensors that are one and have no noise, from step 2 on: t = 2 and the element named."""
    system = system_for(kind, T=5, missing=False)
    for name in ("emission", "observation_factor"):
        system[name][1, 2:, 1] = system[name][1, 2:, 0]
    layer = layer_for(kind, system, method, prefix="broken_kalman_")
    good = system_for(kind, T=5, missing=False)
    for flags in (None, *MODES):
        layer.hybridize(flags is not None, **(flags or {}))
        with pytest.raises(gl.errors.SingularMatrixError) as caught:
            run(layer, system)
        message = str(caught.value)
        assert "broken_kalman" in message
        assert "singular" in message
        assert "batch element 1, t = 2" in message
        assert np.isfinite(run(layer, good)[0]).all()


def test_an_observation_without_any_noise():
    """The loop takes it as long as the state is uncertain; the scans name the way out."""
    system = random_system(1, B=2, T=3, d=4, p=1, missing=False)
    for name in ("process_factor", "observation_factor"):
        system[name] = 0.0 * system[name]
    (loss,) = run(layer_for("filter", system), system)
    np.testing.assert_allclose(loss, -reference.log_likelihood(system), rtol=1e-10)
    with pytest.raises(gl.errors.SingularMatrixError, match="sequential"):
        run(layer_for("filter", system, "parallel"), system)


@VARIANTS
def test_an_exported_graph_never_turns_a_failure_into_a_number(variant, tmp_path):
    good = system_for("filter", missing=False)
    path = str(tmp_path / "model")
    gl.export(layer_for("filter", good, **variant, moments=True), path, *arrays(good))
    loaded = gl.load(path)
    broken = dict(good, y=good["y"].copy())
    broken["y"][1, 2, 0] = np.nan
    singular = dict(good, observation_factor=0.0 * good["observation_factor"])
    singular["emission"] = good["emission"].copy()
    singular["emission"][1, 2, 1] = singular["emission"][1, 2, 0]
    plain = mx.gluon.SymbolBlock.imports(
        path + "-symbol.json", [f"data{i}" for i in range(len(good))], path + "-0000.params"
    )
    for system in (broken, singular):
        for block in (loaded, plain):
            try:
                outputs = run(block, system)
            except mx.base.MXNetError:
                continue
            assert np.isnan(outputs[0][1])
            assert np.isnan(outputs[1][1, 2:]).all()
            assert system is broken or np.isnan(outputs[2][1, 2:]).all()
    np.testing.assert_allclose(run(plain, good)[0], run(loaded, good)[0], rtol=1e-13)


@EVERY_KIND
def test_dtypes_are_checked(kind):
    system = system_for(kind)
    layer = layer_for(kind, system)
    with pytest.raises(gl.errors.DtypeError, match="float16"):
        run(layer, system, "float16")
    mixed = arrays(system)
    mixed[2] = mixed[2].astype("float32")
    with pytest.raises(gl.errors.DtypeError, match="mixed"):
        layer(*mixed)
    with pytest.raises(TypeError, match="ndarray"):
        layer(*system.values())
    with pytest.raises(TypeError, match="arguments"):
        layer(*arrays(system)[:3])


class Around(mx.gluon.HybridBlock):
    """A network that gives a layer symbols when it is compiled."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.layer = layer

    def hybrid_forward(self, F, *arrays):
        return self.layer(*arrays)


@EVERY_KIND
def test_where_parallel_layers_need_their_length(kind):
    system = system_for(kind)
    layer = LAYERS[kind](3, 2, method="parallel", length=5)
    with pytest.raises(gl.errors.ShapeError, match="5"):
        run(layer, system)
    network = Around(LAYERS[kind](3, 2, method="parallel"))
    given = [array for array in arrays(system) if array is not None]
    network.layer.hybridize()
    network(*given)
    network.hybridize()
    with pytest.raises(gl.errors.ShapeError, match="give length=T"):
        network(*given)


@EVERY_KIND
@pytest.mark.parametrize(
    "arguments",
    [
        {"state_size": 0},
        {"observation_size": 0},
        {"state_size": 2.5},
        {"method": "serial"},
        {"method": "parallel", "length": 0},
    ],
    ids=str,
)
def test_refuses_bad_constructor_arguments(arguments, kind):
    with pytest.raises(ValueError, match=list(arguments)[-1]):
        LAYERS[kind](**dict({"state_size": 2}, **arguments))


def test_refuses_bad_options():
    with pytest.raises(ValueError, match="form"):
        gl.KalmanFilterLayer(2, form="joseph")
    with pytest.raises(ValueError, match="steps"):
        gl.KalmanForecastLayer(2, steps=0)


def test_sizes_of_the_layer_are_checked():
    system = system_for("filter")
    with pytest.raises(gl.errors.ShapeError, match="2"):
        run(gl.KalmanFilterLayer(2, 2), system)
    with pytest.raises(gl.errors.ShapeError, match="1"):
        run(gl.KalmanFilterLayer(3), system)


@METHODS
@EVERY_KIND
def test_what_leads_out_of_the_last_step_or_is_hidden_may_be_nan(kind, method):
    """A, b, G of the last step, and H, D, d where y is missing."""
    system = system_for(kind)
    layer = layer_for(kind, system, method)
    expected, gradients = differentiate(layer, system)
    changed = {name: value.copy() for name, value in system.items()}
    for name in ("transition", "process_factor", "transition_offset"):
        changed[name][:, -1] = np.nan
    missing = np.argwhere(system["mask"] == 0)
    assert len(missing)
    for b, t, i in missing:
        for name in ("emission", "observation_factor", "emission_offset"):
            changed[name][b, t, i] = np.nan
    for flags in (None, MODES[-1]):
        layer.hybridize(flags is not None, **(flags or {}))
        outputs, found = differentiate(layer, changed)
        for a, b in zip(outputs, expected):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        for name in gradients:
            np.testing.assert_allclose(found[name], gradients[name], rtol=1e-9, atol=1e-9)


@METHODS
@pytest.mark.parametrize("name", [*ARGUMENTS[1:5], "transition_offset", "emission_offset"])
def test_nan_is_named_with_its_time(name, method):
    system = random_system(1, B=2, T=5, d=3, p=2, missing=False)
    system[name][1, 3] = np.nan
    layer = layer_for("filter", system, method)
    for flags in (None, MODES[-1]):
        layer.hybridize(flags is not None, **(flags or {}))
        with pytest.raises(gl.errors.NonFiniteError, match=f"{name}.*batch element 1, t = 3"):
            run(layer, system)
    constant = random_system(1, B=2, T=5, d=3, p=2, time_varying=False)
    constant[name][1] = np.nan
    with pytest.raises(gl.errors.NonFiniteError, match=name):
        run(layer_for("filter", constant, method), constant)
