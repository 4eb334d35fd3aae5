"""The arrays of state space models, and observations simulated from them."""

from typing import Dict

import numpy as np

from ..case import Work

NAMES = (
    "y",
    "transition",
    "emission",
    "process_factor",
    "observation_factor",
    "prior_mean",
    "prior_factor",
    "emission_offset",
)


def dense(
    length: int, batch: int, states: int, observations: int, noises: int
) -> Dict[str, np.ndarray]:
    """A stable model whose arrays are others for each series and step.

    All peers can express it: the process noise has rank `noises`, 1 as LDS has it, and the
    observation factor is diagonal.
    """
    random = np.random.RandomState(0)

    def around(centre, spread):
        return centre + spread * random.randn(batch, length, *np.shape(centre))

    rotation, _ = np.linalg.qr(random.randn(states, states))
    deviations = np.exp(around(np.log(np.linspace(0.4, 0.6, observations)), 0.1))
    size = 1.0 / np.sqrt(states)
    return _with_observations(
        random,
        {
            "y": np.zeros((batch, length, observations)),
            "transition": around(0.9 * rotation, 0.04 * size),
            "emission": around(2.0 * size * random.randn(observations, states), 0.1),
            "process_factor": around(0.5 * random.randn(states, noises), 0.05),
            "observation_factor": deviations[..., None] * np.eye(observations),
            "prior_mean": random.randn(batch, states),
            "prior_factor": np.eye(states) + 0.2 * np.tril(random.randn(batch, states, states)),
            "emission_offset": around(random.randn(observations), 0.1),
        },
    )


def seasonal(length: int, batch: int, period: int) -> Dict[str, np.ndarray]:
    """A level and a season, d = `period` states: one set of arrays for all series and steps."""
    season = np.zeros((period - 1, period - 1))
    season[0], season[1:, :-1] = -1.0, np.eye(period - 2)
    transition = np.eye(period)
    transition[1:, 1:] = season
    process = np.zeros((period, 2))
    process[0, 0], process[1, 1] = 0.3, 0.1
    model = {
        "transition": transition,
        "emission": np.eye(period)[:1] + np.eye(period)[1:2],
        "process_factor": process,
        "observation_factor": np.array([[0.5]]),
        "emission_offset": np.array([1.0]),
    }
    arrays = {name: array[None, None] for name, array in model.items()}
    arrays["prior_mean"], arrays["prior_factor"] = np.zeros((1, period)), np.eye(period)[None]
    arrays["y"] = np.zeros((batch, length, 1))
    return _with_observations(np.random.RandomState(0), {name: arrays[name] for name in NAMES})


def _with_observations(random, arrays):
    batch, length, observations = arrays["y"].shape
    states, noises = arrays["process_factor"].shape[2:]
    spread = arrays["prior_factor"] @ random.randn(batch, states, 1)
    state = arrays["prior_mean"][..., None] + spread
    for t in range(length):
        A, H, G, D, d = (
            arrays[name][:, min(t, arrays[name].shape[1] - 1)]
            for name in (*NAMES[1:5], "emission_offset")
        )
        noise = random.randn(batch, observations, 1)
        arrays["y"][:, t] = (H @ state + D @ noise)[..., 0] + d
        state = A @ state + G @ random.randn(batch, noises, 1)
    return arrays


def with_heads(arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """Also a gradient by the mean and the (symmetric) covariance of every state."""
    random = np.random.RandomState(1)
    leading, states = arrays["y"].shape[:2], arrays["transition"].shape[-1]
    head = random.randn(*leading, states, states)
    head = head + head.swapaxes(-1, -2)
    return {**arrays, "mean_head": random.randn(*leading, states), "covariance_head": head}


def filter_work(length: int, batch: int, d: int, p: int, r: int, shared: bool = False) -> Work:
    """The covariance form, half of symmetric matrices, and twice that for the gradient."""
    step = 3 * d**3 + 4 * d**2 * p + 3 * d * p**2 + d**2 * r + p**3 / 3
    arrays = d * d + p * d + d * r + p * p + p
    moved = batch * length * p + arrays * (1 if shared else batch * length)
    return Work(3.0 * step * length * batch, 2 * 8.0 * moved)


def smoother_work(length: int, batch: int, d: int, p: int, r: int, shared: bool = False) -> Work:
    """With a backward pass of two products, a factorization and its solve, of d x d matrices."""
    work = filter_work(length, batch, d, p, r, shared)
    step = (1 / 3 + 2 + 3) * d**3
    moments = 8.0 * length * batch * (d * d + d)
    return Work(work.operations + 3.0 * step * length * batch, work.bytes + 2 * moments)
