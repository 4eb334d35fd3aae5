"""Independent searches in one batch."""

import numpy as np
import pytest

from gluon_linalg.fitting.minimize_each import minimize_each

FAR = np.full(2, 10.0)


def rosenbrock(points):
    x, y = points.T
    values = (1 - x) ** 2 + 100 * (y - x**2) ** 2
    gradients = np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)]).T
    return values, gradients


def minimized(function, *starts, lower=-FAR, upper=FAR, iterations=100):
    starts = [np.array(start, dtype=float) for start in starts]
    return minimize_each(of_points(function), starts, lower, upper, 1e-12, iterations)


def of_points(function):
    """What does not ask which problem a point is of."""
    return lambda points, problems: function(points)


def test_curved_valleys():
    points, values = minimized(rosenbrock, [[-1.2, 1.0], [2.0, -3.0], [0.0, 0.0]])
    np.testing.assert_allclose(points, 1.0, atol=1e-5)
    np.testing.assert_allclose(values, 0.0, atol=1e-10)


def test_each_problem_is_solved_as_if_it_were_alone():
    starts = [[-1.2, 1.0], [2.0, -3.0], [0.3, 0.1]]
    together, _ = minimized(rosenbrock, starts, iterations=12)
    for start, found in zip(starts, together):
        alone, _ = minimized(rosenbrock, [start], iterations=12)
        assert (alone[0] == found).all()


def test_the_better_start_is_taken():
    def two_valleys(points):
        x = points[:, 0]
        return (x**2 - 1) ** 2 + 0.3 * x, np.stack([4 * x * (x**2 - 1) + 0.3, 0 * x], axis=1)

    points, _ = minimized(two_valleys, [[0.9, 0.0], [-0.9, 0.0]], [[-0.8, 0.0], [0.8, 0.0]])
    assert (points[:, 0] < -1).all()


@pytest.mark.parametrize("start", [[3.0, 3.0], [0.5, -2.0]])
def test_bounds_are_kept_and_are_minima(start):
    def tilted(points):
        return points @ [1.0, 0.0] + (points[:, 1] - 1) ** 2, np.stack(
            [np.ones(len(points)), 2 * (points[:, 1] - 1)], axis=1
        )

    points, _ = minimized(tilted, [start], lower=np.array([-5.0, -3.0]))
    np.testing.assert_allclose(points[0], [-5.0, 1.0], atol=1e-5)


def test_a_search_steps_back_from_where_there_is_no_value():
    def walled(points):
        values, gradients = rosenbrock(points)
        beyond = points[:, 1] > 1.2
        values[beyond], gradients[beyond] = np.nan, np.nan
        return values, gradients

    points, values = minimized(walled, [[-1.2, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(points, 1.0, atol=1e-5)
    np.testing.assert_allclose(values, 0.0, atol=1e-10)


def test_a_problem_without_any_value_keeps_its_start():
    def broken(points, problems):
        values, gradients = rosenbrock(points)
        return np.where(problems == 0, np.nan, values), gradients

    starts = [np.array([[0.5, 0.5], [0.0, 0.0]])]
    points, values = minimize_each(broken, starts, -FAR, FAR, 1e-12, 100)
    assert (points[0] == 0.5).all() and np.isnan(values[0])
    np.testing.assert_allclose(points[1], 1.0, atol=1e-5)


def test_a_tail_is_followed_to_its_end():
    """exp(x) + 1e-3 exp(y) falls towards -inf in y where all else has converged."""

    def tail(points):
        x, y = points.T
        values = np.square(x) + 1e-3 * np.exp(y)
        return values, np.stack([2 * x, 1e-3 * np.exp(y)], axis=1)

    lower = np.array([-5.0, -30.0])
    points, values = minimized(tail, [[1.0, 0.0]], lower=lower)
    assert values[0] < 1e-6 and abs(points[0, 0]) < 1e-2


def double_well(points):
    """Minima at x = -2 (value 1) and x = 2 (value 0); from x = 0.5 downhill it is the first."""
    (x,) = points.T
    values = 0.25 * (x**2 - 4.0) ** 2 / 4.0 + 0.25 * (2.0 - x)
    return values, ((x**2 - 4.0) * x / 4.0 - 0.25)[:, None]


def test_several_minima_are_looked_into():
    starts = [np.array([[-1.9]]), np.array([[0.4]])]
    bounds = np.array([-9.0]), np.array([9.0])
    one, _ = minimize_each(of_points(double_well), starts, *bounds, 1e-10, 100)
    # A start beside the lower minimum is lower itself.
    several, _ = minimize_each(
        of_points(double_well), starts, *bounds, 1e-10, 100, families=["left", "right"]
    )
    assert one[0, 0] == pytest.approx(-1.86, abs=0.01)
    assert several[0, 0] == pytest.approx(2.11, abs=0.01)


def test_an_element_far_below_is_revived():
    """A slope that leads to -inf hides a lower minimum at 0."""

    def hidden(points):
        (x,) = points.T
        dip = np.exp(-0.5 * x**2)
        step = 1.0 / (1.0 + np.exp(-(x + 3.0)))
        return step - 2.0 * dip, (step * (1.0 - step) + 2.0 * x * dip)[:, None]

    bounds = np.array([-20.0]), np.array([9.0])
    starts = [np.array([[-4.0], [-4.0]])]
    lost, _ = minimize_each(of_points(hidden), starts, *bounds, 1e-10, 100)
    assert (lost < -8.0).all()
    revivals = np.array([[[0.5, -np.inf]], [[-np.inf, -np.inf]]])
    found, values = minimize_each(of_points(hidden), starts, *bounds, 1e-10, 100, revivals=revivals)
    assert found[0, 0] == pytest.approx(0.0, abs=0.1) and values[0] < -1.0
    assert found[1, 0] < -8.0


def gaussian_variances(data):
    """-log likelihood of logarithms of variances (v, w): y ~ N(0, v a + w b) with known a, b."""
    a, b = np.linspace(0.0, 2.0, data.shape[1]), np.linspace(2.0, 0.5, data.shape[1])

    def evaluate(points, problems):
        v, w = np.exp(points).T[:, :, None]
        total = v * a + w * b
        values = 0.5 * np.sum(np.log(total) + data[problems] ** 2 / total, axis=1)
        left = 0.5 * (1.0 - data[problems] ** 2 / total) / total
        return values, np.stack([np.sum(left * v * a, 1), np.sum(left * w * b, 1)], axis=1)

    def information(points, problems):
        v, w = np.exp(points).T[:, :, None]
        shares = np.stack([v * a, w * b], axis=2) / (v * a + w * b)[:, :, None]
        return 0.5 * shares.transpose(0, 2, 1) @ shares

    return evaluate, information


def test_information_finds_variances_and_zeros_in_a_few_steps():
    """SciPy finds the same minima; one variance of the second problem is 0, at the bound."""
    from scipy.optimize import minimize

    random = np.random.RandomState(0)
    data = random.randn(2, 80) * np.sqrt(np.linspace([0.9, 1.5], [2.8, 0.3], 80)).T
    data[1] = random.randn(80) * np.sqrt(np.linspace(2.0, 0.02, 80))
    evaluate, information = gaussian_variances(data)
    starts, bounds = [np.array([[-6.0, 3.0], [3.0, -6.0]])], (np.full(2, -30.0), np.full(2, 9.0))
    calls = []

    def counted(points, problems):
        calls.append(list(problems))
        return evaluate(points, problems)

    points, values = minimize_each(
        counted, starts, *bounds, 1e-10, 50, information=information, logs=np.ones(2, dtype=bool)
    )
    for problem in range(2):
        one = np.array([problem])
        result = minimize(
            lambda x, one=one: [part[0] for part in evaluate(x[None], one)],
            [0.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(-30, 9)] * 2,
            options={"ftol": 1e-15, "gtol": 1e-9},
        )  # fmt: skip
        assert values[problem] < result.fun + 1e-9
    assert points[1, 0] < -15.0 and abs(points[1, 1]) < 3.0
    # Nor is what is done evaluated again.
    assert len(calls) < 15 and calls[-1] != [0, 1]


def test_a_step_goes_to_the_lowest_point_of_its_box():
    """Where the free minimum is outside: that of a grid, and not the corner next to it."""
    from gluon_linalg.fitting.search import Search

    hessian = np.array([[2.0, 1.9], [1.9, 2.0]])
    gradient = np.array([3.0, -1.0])
    search = Search(np.zeros(2), 0.0, gradient, hessian, np.full(2, -1.0), np.full(2, 1.0), 1e-12)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 401)] * 2), axis=-1).reshape(-1, 2)
    model = grid @ gradient + 0.5 * np.einsum("ki,ij,kj->k", grid, hessian, grid)
    np.testing.assert_allclose(search.trial, grid[model.argmin()], atol=5e-3)
    assert search.promise == pytest.approx(-model.min(), rel=1e-4)
