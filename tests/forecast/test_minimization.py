"""Independent searches in one batch."""

import numpy as np
import pytest

from gluon_linalg.forecast.minimization import minimize_each

FAR = np.full(2, 10.0)


def rosenbrock(points):
    x, y = points.T
    values = (1 - x) ** 2 + 100 * (y - x**2) ** 2
    gradients = np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)]).T
    return values, gradients


def minimized(function, *starts, lower=-FAR, upper=FAR, iterations=100):
    starts = [np.array(start, dtype=float) for start in starts]
    return minimize_each(function, starts, lower, upper, 1e-12, iterations)


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
    def broken(points):
        values, gradients = rosenbrock(points)
        values[0] = np.nan
        return values, gradients

    points, values = minimized(broken, [[0.5, 0.5], [0.0, 0.0]])
    assert (points[0] == 0.5).all() and np.isnan(values[0])
    np.testing.assert_allclose(points[1], 1.0, atol=1e-5)
