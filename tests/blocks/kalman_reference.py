"""Linear Gaussian state space models as one dense Gaussian, in NumPy float64: no Kalman filter.

    x_1 = m + S ε_0,  y_t = H_t x_t + d_t + D_t ε_t,  x_{t+1} = A_t x_t + b_t + G_t η_t

States and observations are affine maps of all stacked noises, so that every moment given any
observations is one `solve`. Nothing here takes conjugates: derivatives are by complex step, exact
to rounding.

A system is a dict of arrays with the names of `ARGUMENTS`, shaped as the layers take them; the
last three may be missing or None. With steps > 0 the arrays over time have T + steps entries.
"""

import numpy as np

ARGUMENTS = (
    "y",
    "transition",
    "emission",
    "process_factor",
    "observation_factor",
    "prior_mean",
    "prior_factor",
    "mask",
    "transition_offset",
    "emission_offset",
)
DIFFERENTIABLE = tuple(name for name in ARGUMENTS if name != "mask")
OVER_TIME = ARGUMENTS[1:5] + ARGUMENTS[8:]


def log_likelihood(system):
    """log p(observed y), with its 2π constants, (B,)."""
    return np.array([_log_density(*_observed(element)) for element in _elements(system)])


def innovation_log_likelihood(system):
    """The same as a sum over observed scalars of log p(scalar | all before), (B,)."""
    totals = []
    for element in _elements(system):
        residual, maps = _observed(element)
        total = 0.0
        for i in range(len(residual)):
            mean, covariance = _given(np.zeros(1), maps[i : i + 1], residual[:i], maps[:i])
            total = total + _log_density(residual[i : i + 1] - mean, covariance=covariance)
        totals.append(total)
    return np.array(totals)


def filtered(system):
    """Mean (B, T, d) and covariance (B, T, d, d) of x_t given y_1..y_t."""
    means, covariances = [], []
    for element in _elements(system):
        length, size = element["mask"].shape
        for t in range(length):
            moments = _given(*_states(element, t), *_observed(element, before=(t + 1) * size))
            means.append(moments[0])
            covariances.append(moments[1])
    return _batched(system, means), _batched(system, covariances)


def predicted(system):
    """Mean (B, T + 1, d) and covariance (B, T + 1, d, d) of x_t given y_1..y_{t-1}."""
    arrays = dict(system)
    for name in OVER_TIME:
        if arrays.get(name) is not None and arrays[name].shape[1] > 1:
            # What comes after x_{T+1} has no part in it.
            arrays[name] = np.concatenate([arrays[name], arrays[name][:, -1:]], axis=1)
    means, covariances = [], []
    for element in _elements(arrays, steps=1):
        length, size = element["mask"].shape
        for t in range(length + 1):
            moments = _given(*_states(element, t), *_observed(element, before=t * size))
            means.append(moments[0])
            covariances.append(moments[1])
    return _batched(system, means), _batched(system, covariances)


def step_log_likelihoods(system):
    """log p(y_t | y_1..y_{t-1}), (B, T)."""
    totals = []
    for element in _elements(system):
        length, size = element["mask"].shape
        ends = range(0, (length + 1) * size, size)
        until = [_log_density(*_observed(element, before=end)) for end in ends]
        totals.append([later - now for now, later in zip(until, until[1:])])
    return np.array(totals)


def smoothed(system):
    """Mean (B, T, d), covariance (B, T, d, d) and Cov(x_{t+1}, x_t) (B, T-1, d, d), given all y."""
    means, covariances, lag_one = [], [], []
    for element in _elements(system):
        length, size = element["state_mean"].shape
        mean, covariance = _given(*_states(element), *_observed(element))
        blocks = covariance.reshape(length, size, length, size)
        means.append(mean.reshape(length, size))
        covariances.append([blocks[t, :, t] for t in range(length)])
        lag_one.append([blocks[t + 1, :, t] for t in range(length - 1)])
    return np.array(means), np.array(covariances), np.array(lag_one)


def forecast(system, steps):
    """Means and covariances of x and of y at T+1..T+steps given all y, four arrays (B, steps, ...).

    State mean, state covariance, observation mean, observation covariance.
    """
    results = ([], [], [], [])
    for element in _elements(system, steps):
        for t in range(len(element["mask"]), len(element["state_mean"])):
            ahead = (element["emission_mean"][t], element["emission_map"][t])
            moments = _given(*_states(element, t), *_observed(element))
            moments += _given(*ahead, *_observed(element))
            for result, moment in zip(results, moments):
                result.append(moment)
    return tuple(_batched(system, result) for result in results)


def draw(system, prior_noise, process_noise, observation_noise):
    """The posterior draw x⁺ + Cov(x, y) Cov(y)⁻¹ (y - y⁺), with (x⁺, y⁺) made of the noises."""
    draws = []
    for b, element in enumerate(_elements(system)):
        noise = np.concatenate([a[b].ravel() for a in (prior_noise, process_noise)])
        noise = np.concatenate([noise, observation_noise[b].ravel()])
        residual, maps = _observed(element)
        mean, state_map = _states(element)
        shift, _ = _given(np.zeros(len(mean)), state_map, residual - maps @ noise, maps)
        draws.append((mean + state_map @ noise + shift).reshape(element["state_mean"].shape))
    return np.array(draws)


def derivative(function, system, name, direction):
    """d/dε of each output of `function` where system[name] moves by ε direction, a list."""
    step = 1e-25
    outputs = function(dict(system, **{name: system[name] + 1j * step * direction}))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [output.imag / step for output in outputs]


def gradient(function, system, name, weights):
    """The gradient of Σ weights ∘ outputs of `function` with respect to system[name]."""
    result = np.zeros(system[name].shape)
    for index in np.ndindex(result.shape):
        direction = np.zeros(result.shape)
        direction[index] = 1.0
        moved = derivative(function, system, name, direction)
        result[index] = sum((w * output).sum() for w, output in zip(weights, moved))
    return result


def random_system(
    seed, B=2, T=5, d=3, p=2, r=None, q=None, s=None, time_varying=True, missing=True, shared=False,
    steps=0,
):  # fmt: skip
    """A well-conditioned random model with offsets and a prior far from 0, y drawn from it.

    r, q, s: columns of the noise factors, as many as rows unless given; time_varying: arrays over
    time have T + steps entries, otherwise 1; missing: 30 % of y is masked, as single elements and
    whole steps; shared: system arrays have batch size 1.
    """
    random = np.random.RandomState(seed)
    r, q, s = d if r is None else r, p if q is None else q, d if s is None else s
    batch, times = 1 if shared else B, T + steps if time_varying else 1

    def normal(*shape, scale=1.0):
        return scale * random.randn(batch, *shape)

    rotation = np.linalg.qr(normal(times, d, d))[0]
    system = {
        "transition": 0.9 * rotation + normal(times, d, d, scale=0.05),
        "emission": normal(times, p, d, scale=0.8),
        "process_factor": 0.3 * np.eye(d, r) + normal(times, d, r, scale=0.2),
        "observation_factor": 0.6 * np.eye(p, q) + normal(times, p, q, scale=0.2),
        "prior_mean": 4.0 + normal(d, scale=2.0),
        "prior_factor": np.eye(d, s) + normal(d, s, scale=0.3),
        "transition_offset": normal(times, d),
        "emission_offset": 3.0 + normal(times, p),
        "mask": np.ones((B, T, p)),
        "y": np.zeros((B, T, p)),
    }
    if missing:
        whole, single = random.rand(B, T, 1) > 0.15, random.rand(B, T, p) > 0.18
        system["mask"] = (whole & single).astype("float64")
    for b, element in enumerate(_elements(system, steps)):
        noise = random.randn(element["emission_map"].shape[-1])
        system["y"][b] = (element["emission_mean"] + element["emission_map"] @ noise)[:T]
    return {name: system[name] for name in ARGUMENTS}


def _elements(system, steps=0):
    """One dict for each batch element: y, mask, and the affine maps of the noises, by time."""
    batch, length, size = system["y"].shape
    for b in range(batch):
        arrays = {"y": system["y"][b], "mask": np.ones((length, size))}
        for name in ARGUMENTS[1:]:
            array = system.get(name)
            if array is not None:
                array = np.broadcast_to(array, (batch,) + array.shape[1:])[b]
                if name in OVER_TIME:
                    array = np.broadcast_to(array, (length + steps,) + array.shape[1:])
                arrays[name] = array
        yield dict(_unrolled(arrays, length + steps), y=arrays["y"], mask=arrays["mask"])


def _unrolled(arrays, length):
    """Means and maps of states (n, d), (n, d, E) and of emissions (n, p), (n, p, E).

    The E noises are the prior's, then those of the process, then those of the observations.
    """
    process, observation = arrays["process_factor"], arrays["observation_factor"]
    (d, r), q = process.shape[1:], observation.shape[2]
    s = arrays["prior_factor"].shape[1]
    noises = s + length * (r + q)
    mean = arrays["prior_mean"]
    state_map = np.concatenate([arrays["prior_factor"], np.zeros((d, noises - s))], axis=1)
    result = {name: [] for name in ("state_mean", "state_map", "emission_mean", "emission_map")}
    for t in range(length):
        result["state_mean"].append(mean)
        result["state_map"].append(state_map)
        emission = arrays["emission"][t]
        offset = arrays["emission_offset"][t] if "emission_offset" in arrays else 0.0
        result["emission_mean"].append(emission @ mean + offset)
        start = s + length * r + t * q
        result["emission_map"].append(
            emission @ state_map + _columns(observation[t], start, noises)
        )
        offset = arrays["transition_offset"][t] if "transition_offset" in arrays else 0.0
        mean = arrays["transition"][t] @ mean + offset
        state_map = arrays["transition"][t] @ state_map + _columns(process[t], s + t * r, noises)
    return {name: np.array(values) for name, values in result.items()}


def _columns(matrix, start, total):
    """`matrix` with columns of 0 on both sides, `total` columns in all."""
    return np.pad(matrix, ((0, 0), (start, total - start - matrix.shape[1])))


def _observed(element, before=None):
    """y - E[y] (k,) and map (k, E) of the observed scalars, the first `before` positions of y."""
    length, size = element["mask"].shape
    positions = np.flatnonzero(element["mask"].ravel()[:before])
    mean = element["emission_mean"][:length].reshape(length * size)
    maps = element["emission_map"][:length].reshape(length * size, -1)
    return element["y"].ravel()[positions] - mean[positions], maps[positions]


def _states(element, t=None):
    """Mean and map of x_t, of all states in one vector if t is None."""
    if t is not None:
        return element["state_mean"][t], element["state_map"][t]
    maps = element["state_map"]
    return element["state_mean"].ravel(), maps.reshape(-1, maps.shape[-1])


def _given(mean, maps, residual, observed):
    """Mean and covariance of an affine map of the noises, given the observed ones."""
    gain = np.linalg.solve(observed @ observed.T, observed @ maps.T).T
    left = maps - gain @ observed
    return mean + gain @ residual, left @ left.T


def _log_density(residual, maps=None, covariance=None):
    """log N(residual | 0, maps mapsᵀ)."""
    covariance = maps @ maps.T if covariance is None else covariance
    sign, logarithm = np.linalg.slogdet(covariance)
    quadratic = residual @ np.linalg.solve(covariance, residual)
    return -0.5 * (len(residual) * np.log(2.0 * np.pi) + np.log(sign) + logarithm + quadratic)


def _batched(system, values):
    """Values of batch element 0 by time, then of 1, ...: (B, times, ...)."""
    values = np.array(values)
    return values.reshape((len(system["y"]), -1) + values.shape[1:])
