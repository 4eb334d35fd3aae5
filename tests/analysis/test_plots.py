"""What pictures show, read from the figures."""

import matplotlib
import numpy as np
import pandas
import pytest
from analyzed_layers import double

import gluon_linalg as gl
from gluon_linalg.plots.components import plot_components
from gluon_linalg.plots.kernels import plot_kernel
from gluon_linalg.plots.regression import plot_agreement, plot_function
from gluon_linalg.plots.series import SeriesPicture, plot_panel, plot_series
from gluon_linalg.plots.style import judged

matplotlib.use("Agg")


def series(n=60):
    random = np.random.RandomState(0)
    months = pandas.period_range("2015-01", periods=n, freq="M")
    promotion = (random.uniform(size=n) > 0.7).astype(float)
    price = 20.0 + random.normal(size=n)
    y = np.cumsum(random.normal(size=n)) + 4.0 * promotion - price
    y[[10, 11]] = np.nan
    layer = gl.StructuralModel(
        gl.structural.LocalLinearTrend() + gl.structural.Regression(2), noise_variance=0.5
    )
    return gl.analyze(
        double(layer), pandas.Series(y, months, name="sales"), np.c_[price, promotion]
    )


def labelled(axes):
    return dict(zip(*reversed(axes.get_legend_handles_labels())))


def panel(figure, label):
    (axes,) = [axes for axes in figure.axes if axes.get_ylabel() == label]
    return axes


def test_a_forecast_joins_the_data_and_says_which_band_it_is():
    own = series()
    ahead = np.tile([20.0, 1.0], (5, 1))
    figure = own.plot_forecast(5, covariates=ahead, levels=(95,))
    axes = panel(figure, "sales")
    found = labelled(axes)
    bands = {"95 % band of the signal", "95 % band of an observation"}
    assert bands | {"smoothed signal", "forecast", "observed", "missing"} == set(found)
    before, after = found["smoothed signal"], found["forecast"]
    assert after.get_xdata()[0] == before.get_xdata()[-1]
    assert after.get_ydata()[0] == before.get_ydata()[-1]
    np.testing.assert_allclose(after.get_ydata()[1:], own.forecast(5, covariates=ahead)["mean"])
    assert len(found["missing"].get_xdata()) == 2
    # Nothing is shown after the last step.
    last = matplotlib.dates.date2num(after.get_xdata()[-1])
    assert axes.get_xlim()[1] == last


def test_bands_are_those_of_the_levels():
    own = gl.analyze(double(gl.StructuralModel(gl.structural.LocalLevel())), np.arange(20.0) % 7)
    axes = panel(own.plot_forecast(6, levels=(95, 50)), "y")
    assert "50 and 95 % bands of an observation" in labelled(axes)
    table = own.forecast(6, levels=(50, 95))
    for level, band in zip((95, 50), axes.collections[-2:]):
        corners = band.get_paths()[0].vertices
        for _, row in table.iterrows():
            ends = corners[np.isclose(corners[:, 0], row.name), 1]
            found = [ends.min(), ends.max()]
            np.testing.assert_allclose(found, row[[f"lower_{level}", f"upper_{level}"]])
    with pytest.raises(ValueError, match="150 is no percentage"):
        own.plot_forecast(6, levels=(150,))


def test_shares_inside_are_told_of_each_level():
    y = np.array([0.0, 0.5, 1.0, 3.0])
    moments = np.zeros(4), np.ones(4)
    told = "RMSE 1.6, 50%, 75% and 75% inside the 50, 80 and 95 % bands"
    assert judged(y, moments, (95, 50, 80)) == told
    assert judged(y, moments, (10, 50, 80, 99.9)) == "RMSE 1.6, 100% inside the 99.9 % band"


def test_components_have_panels_and_covariates_their_own():
    own = series()
    figure = own.plot_components()
    labels = [axes.get_ylabel() for axes in figure.axes[1:]]
    covariates = ["coefficient 1", "coefficient 2"]
    residuals = ["irregular", "standardized\nresiduals"]
    assert labels == ["sales", "trend", "slope", *covariates, *residuals]
    # What a price moves is shown around its mean, and a promotion in steps.
    price, promotion = (panel(figure, name).get_lines()[0] for name in covariates)
    assert abs(price.get_ydata().mean()) < 1e-9 < np.ptp(price.get_ydata())
    assert promotion.get_drawstyle() == "steps-mid"
    assert price.get_drawstyle() == "default"


def test_a_single_component_does_not_repeat_the_signal():
    layer = double(gl.StructuralModel(gl.structural.LocalLevel()))
    own = gl.analyze(layer, np.random.RandomState(0).normal(size=200))
    figure = own.plot_components()
    labels = [axes.get_ylabel() for axes in figure.axes[1:]]
    # A long series shows its end once more.
    assert labels == ["y", "y", "standardized\nresiduals"]
    drawn = panel(figure, "standardized\nresiduals").get_lines()[0].get_ydata()
    np.testing.assert_array_equal(drawn, own.innovations.standardized[:, 0])


def test_diagnostics_and_kernels_are_drawn(tmp_path):
    figure = series().plot_diagnostics()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[1:] == ["Distribution", "Quantiles", "Autocorrelations"]
    figure.savefig(tmp_path / "picture.png", dpi=40)
    kernel = gl.kernels.RBF(lengthscale=0.5)
    kernel.initialize()
    figure = plot_kernel(kernel, samples=3, ends=(0.0, 2.0))
    distance, covariance = figure.axes[1].get_lines()[0].get_data()
    np.testing.assert_allclose(covariance, np.exp(-0.5 * (distance / 0.5) ** 2), atol=1e-5)


def test_the_axis_of_a_function_is_that_of_its_data():
    x, y = np.linspace(0, 1, 20), np.linspace(1, 2, 20)

    def predict(x):
        # Beyond the data nothing is known.
        return 1 + x[:, 0], np.where(x[:, 0] > 1, 1e6, 0.01)

    figure = plot_function(predict, [("data", x, y)], "height", "x")
    low, high = panel(figure, "height").get_ylim()
    assert 0 < low < 1 and 2 < high < 3
    held = [("data", x, y), ("hold-out", x + 1.0, y + 1.0)]
    figure = plot_function(lambda x: (1 + x[:, 0], np.full(len(x), 0.01)), held, "height", "x")
    told = "hold-out: RMSE 0, 100% inside the 95 % band"
    assert panel(figure, "data - mean").get_title(loc="right") == told


def test_agreement_has_equal_axes_and_bars_for_what_is_outside():
    y = np.arange(50.0)
    mean = y.copy()
    mean[:2] += 10.0
    figure = plot_agreement("height", [("rows", y, (mean, np.ones(50)))])
    (axes,) = figure.axes
    assert axes.get_xlim() == axes.get_ylim() and axes.get_aspect() == 1.0
    (bars,) = axes.collections
    assert len(bars.get_segments()) == 2
    assert "rows: RMSE 2, 96% inside the 95 % band" in labelled(axes)


def test_a_biplot_is_coloured_and_has_equal_axes():
    x = np.random.RandomState(0).normal(size=(30, 4))
    own = gl.analyze(gl.PCABlock(2), x, names=["a", "b", "c", "d"])
    figure = own.plot_biplot(["red wine", "white wine"] * 15)
    axes = figure.axes[-1]
    assert axes.get_aspect() == 1.0 and set(labelled(axes)) == {"red wine", "white wine"}
    numbers = own.plot_biplot(np.linspace(0, 1, 30))
    assert len(numbers.axes) == len(figure.axes) + 1  # the bar of colours
    assert own.plot_scree().axes and own.plot_loadings().axes


def test_a_picture_tells_how_the_hold_out_was_forecast():
    count, later = 20, np.array([1.0, np.nan, 5.0])
    moments = np.linspace(0.0, 1.0, 23), np.full(23, 0.5)
    picture = SeriesPicture("y", "time", range(23), np.zeros(count), moments, 0.5, later)
    ahead = moments[0][20:]
    error = np.sqrt(np.mean((later - ahead)[[0, 2]] ** 2))
    told = f"hold-out: RMSE {error:.3g}, 50% inside the 95 % band"
    for figure in (plot_series(picture), plot_panel({"a": picture})):
        assert figure.axes[1].get_title(loc="right") == told
    assert SeriesPicture("y", "time", range(20), np.zeros(20), moments, 0.5).told() == ""


def test_names_of_groups_are_beside_the_rows():
    random = np.random.RandomState(0)
    scores, names = random.normal(size=(30, 2)), [*"ab" * 15]
    figure = plot_components(np.array([0.6, 0.4]), scores, np.eye(2), ["x", "z"], names)
    axes = next(axes for axes in figure.axes if axes.get_legend() and axes.get_xlabel()[0] == "s")
    figure.canvas.draw()
    assert axes.get_legend().get_window_extent().x0 >= axes.get_window_extent().x1
