"""What the networks of the Gaussian process and of the regression estimator are both tested for."""

import mxnet as mx
import numpy as np


def assert_gradient_is_that_of_differences(loss, evaluate):
    """Along three random directions; evaluate() calls the initialized loss."""
    parameters = [p for p in loss.collect_params().values() if p.grad_req != "null"]
    start = [parameter.data().copy() for parameter in parameters]
    loss.hybridize()
    with mx.autograd.record():
        value = evaluate()
    value.backward()

    def moved(directions, step):
        for parameter, first, direction in zip(parameters, start, directions):
            parameter.set_data(first + step * direction)
        return evaluate().sum().asscalar()

    random, step = np.random.RandomState(5), 1e-4
    for _ in range(3):
        directions = [mx.nd.array(random.randn(*p.shape), dtype="float64") for p in parameters]
        slope = sum((p.grad() * d).sum().asscalar() for p, d in zip(parameters, directions))
        near = moved(directions, step) - moved(directions, -step)
        far = moved(directions, 2 * step) - moved(directions, -2 * step)
        np.testing.assert_allclose(slope, (8.0 * near - far) / (12.0 * step), rtol=1e-8)


def assert_conditional(outputs, dense, past, noise, mean_atol, path_tolerances):
    """Paths, means and deviations of the last values given those seen before them.

    outputs: of a forecast; dense: the covariance of all values of each window, (B, N, N); past:
    target and observed; noise: the standard normal numbers of the paths, (B, S, h).
    """
    samples, mean, deviation = (output.asnumpy() for output in outputs)
    for b, matrix in enumerate(dense):
        seen = np.flatnonzero(past["observed"][b])
        ahead = np.arange(past["observed"].shape[1], len(matrix))
        gain = np.linalg.solve(matrix[np.ix_(seen, seen)], matrix[np.ix_(seen, ahead)]).T
        expected = gain @ past["target"][b, seen]
        np.testing.assert_allclose(mean[b], expected, rtol=1e-9, atol=mean_atol)
        conditional = matrix[np.ix_(ahead, ahead)] - gain @ matrix[np.ix_(seen, ahead)]
        np.testing.assert_allclose(deviation[b], np.sqrt(np.diag(conditional)), rtol=1e-9)
        # The paths are linear in the noise, with the conditional covariance.
        factor = np.linalg.cholesky(conditional)
        np.testing.assert_allclose(samples[b] - mean[b], noise[b] @ factor.T, **path_tolerances)
