"""Steps of expectation maximization by dynamax, for test_expectation_maximization.py.

Run with Python where dynamax 0.1.5 is installed: python tests/fitting/dynamax_references.py
"""

import json
from pathlib import Path

import numpy as np

PATH = Path(__file__).resolve().parents[1] / "data" / "dynamax_em_references.json"
STEPS = 25


def problem():
    """(y (1, 60, 3), start): a series of a model with two states, and where EM begins.

    (Of several series dynamax 0.1.5 subtracts too much from the covariance of the first states.)
    """
    random = np.random.RandomState(0)
    transition, emission = np.array([[0.9, 0.2], [-0.1, 0.8]]), random.normal(size=(3, 2))
    process, noise = np.array([[0.3, 0.1], [0.1, 0.2]]), np.diag([0.5, 0.3, 0.4]) + 0.1
    x, y = random.normal(size=(1, 2)), np.zeros((1, 60, 3))
    for t in range(60):
        y[:, t] = x @ emission.T + random.multivariate_normal(np.zeros(3), noise, 1)
        x = x @ transition.T + random.multivariate_normal(np.zeros(2), process, 1)
    start = {
        "transition": 0.5 * np.eye(2),
        "emission": 0.5 * emission + 0.1,
        "process_covariance": np.eye(2),
        "observation_covariance": np.eye(3),
        "prior_mean": np.zeros(2),
        "prior_covariance": np.eye(2),
    }
    return y, start


def main():
    import jax

    jax.config.update("jax_enable_x64", True)
    from dynamax.linear_gaussian_ssm import LinearGaussianSSM

    y, start = problem()
    model = LinearGaussianSSM(2, 3, has_dynamics_bias=False, has_emissions_bias=False)
    params, props = model.initialize(
        jax.random.PRNGKey(0),
        initial_mean=start["prior_mean"],
        initial_covariance=start["prior_covariance"],
        dynamics_weights=start["transition"],
        dynamics_covariance=start["process_covariance"],
        emission_weights=start["emission"],
        emission_covariance=start["observation_covariance"],
    )
    params, likelihoods = model.fit_em(params, props, jax.numpy.array(y), num_iters=STEPS)
    found = {
        "transition": params.dynamics.weights,
        "emission": params.emissions.weights,
        "process_covariance": params.dynamics.cov,
        "observation_covariance": params.emissions.cov,
        "prior_mean": params.initial.mean,
        "prior_covariance": params.initial.cov,
    }
    content = {name: np.asarray(value).tolist() for name, value in found.items()}
    content["log_likelihoods"] = np.asarray(likelihoods).tolist()
    PATH.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
