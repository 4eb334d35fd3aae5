"""A pendulum and a network: the values of dynamax and of a particle filter, for test_nonlinear.py.

Run with Python where dynamax 0.1.5 is installed: python tests/blocks/nonlinear_references.py
"""

import json
from pathlib import Path

import numpy as np

PATH = Path(__file__).resolve().parents[1] / "data" / "nonlinear_references.json"
STEPS, PARTICLES = 12, 1_000_000
# By how much prior and process are narrower where filters must agree with particles.
MILD = 0.04
PRIOR_MEAN, PRIOR = np.array([1.2, 0.3]), np.array([[0.3, 0.05], [0.05, 0.2]])


def pendulum(np=np):
    """f, h, Q, R: an angle and its speed, 0.1 apart, of which the sine is seen (Särkkä 2013)."""

    def transition(x):
        return np.stack([x[0] + 0.1 * x[1], x[1] - 0.98 * np.sin(x[0])])

    return (
        transition,
        lambda x: np.stack([np.sin(x[0])]),
        np.array([[0.002, 0.01], [0.01, 0.1]]),
        np.array([[0.05]]),
    )


def network(np=np):
    """A state that a layer of tanh moves, seen through another one."""
    first = np.array([[0.8, -0.5], [0.3, 0.9], [-0.6, 0.4]])
    second = np.array([[0.5, 0.2, -0.3], [-0.1, 0.6, 0.4]])
    seen = np.array([[1.0, 0.5], [-0.4, 0.8]])
    shift = np.array([0.1, -0.2, 0.3])

    def transition(x):
        return 0.6 * x + second @ np.tanh(first @ x + shift)

    return (
        transition,
        lambda x: np.tanh(seen @ x) + 0.1 * x,
        np.array([[0.1, 0.02], [0.02, 0.05]]),
        np.array([[0.08, 0.01], [0.01, 0.12]]),
    )


MODELS = {"pendulum": pendulum, "network": network}


def series(name, scale=1.0):
    """y (T, p), drawn from the model with `scale` times the covariances of prior and process."""
    transition, emission, process, noise = MODELS[name]()
    random = np.random.RandomState(3)
    x, rows = random.multivariate_normal(PRIOR_MEAN, scale * PRIOR), []
    for _ in range(STEPS):
        rows.append(emission(x) + random.multivariate_normal(np.zeros(len(noise)), noise))
        x = transition(x) + random.multivariate_normal(np.zeros(2), scale * process)
    return np.array(rows)


def of_dynamax(name):
    import jax
    from dynamax import nonlinear_gaussian_ssm as lib
    from dynamax.nonlinear_gaussian_ssm import inference_ekf, inference_ukf

    # Its own adds 1e-9 to the diagonal, which is seen in the eighth digit.
    inference_ekf.psd_solve = inference_ukf.psd_solve = jax.numpy.linalg.solve
    transition, emission, process, noise = MODELS[name](jax.numpy)
    params = lib.ParamsNLGSSM(
        initial_mean=PRIOR_MEAN,
        initial_covariance=PRIOR,
        dynamics_function=transition,
        dynamics_covariance=process,
        emission_function=emission,
        emission_covariance=noise,
    )
    y, found = jax.numpy.array(series(name)), {}
    for rule, function, options in (
        ("unscented", lib.unscented_kalman_smoother, {"hyperparams": lib.UKFHyperParams()}),
        ("extended", lib.extended_kalman_smoother, {}),
    ):
        posterior = function(params, y, **options)
        found[rule] = {
            key: np.asarray(getattr(posterior, key)).tolist()
            for key in (
                "marginal_loglik",
                "filtered_means",
                "filtered_covariances",
                "smoothed_means",
                "smoothed_covariances",
            )
        }
    return found


def of_particles(name):
    """log p(y) and filtered means of the mild model by a bootstrap filter, twice."""
    return [_bootstrap(name, seed) for seed in (0, 1)]


def _bootstrap(name, seed):
    transition, emission, process, noise = MODELS[name]()
    random = np.random.RandomState(seed)
    root, inverse = np.linalg.cholesky(MILD * process), np.linalg.inv(noise)
    constant = -0.5 * np.linalg.slogdet(2 * np.pi * noise)[1]
    x = PRIOR_MEAN[:, None] + np.linalg.cholesky(MILD * PRIOR) @ random.randn(2, PARTICLES)
    total, means = 0.0, []
    for y in series(name, MILD):
        residual = y[:, None] - emission(x)
        density = constant - 0.5 * np.sum(residual * (inverse @ residual), axis=0)
        weights = np.exp(density - density.max())
        total += density.max() + np.log(weights.mean())
        weights /= weights.sum()
        means.append((x @ weights).tolist())
        places = (np.arange(PARTICLES) + random.rand()) / PARTICLES
        chosen = np.minimum(np.searchsorted(np.cumsum(weights), places), PARTICLES - 1)
        x = transition(x[:, chosen]) + root @ random.randn(2, PARTICLES)
    return {"marginal_loglik": total, "filtered_means": means}


def main():
    import jax

    jax.config.update("jax_enable_x64", True)
    found = {}
    for name in MODELS:
        found[name] = {"dynamax": of_dynamax(name)}
    found["pendulum"]["particles"] = of_particles("pendulum")
    PATH.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
