"""Numbers of GPflow 2.9.2 and GPyTorch 1.14, which tests/data/peer_references.json keeps.

Where one of the two is installed, this computes its numbers anew:

    python tests/blocks/peer_references.py gpflow
    python tests/blocks/peer_references.py gpytorch

Bounds and predictions of sparse processes, moments and densities of likelihoods, and kernels, on
fixed parameters, in float64 and without jitter. Expectations that a peer has no closed form of are
its own quadrature with NODES nodes in place of its 20.
"""

import json
import os
import sys

import numpy as np

FILE = os.path.join(os.path.dirname(__file__), "..", "data", "peer_references.json")
NODES = 100
VARIANCE, LENGTHSCALE, NOISE, SCALE, FREEDOM = 1.3, np.array([0.7, 1.4]), 0.2, 0.9, 4.0
DISPERSION = 0.5
CUTS = np.array([-1.0, 0.2, 1.5])
RANDOM = np.random.RandomState(5)
X, Z, NEW = (RANDOM.uniform(-2, 2, (count, 2)) for count in (9, 4, 3))
Y = np.sin(X[:, 0]) + 0.3 * RANDOM.randn(9)
LABELS = (Y > 0).astype(float)
WEIGHTS = RANDOM.randn(4)
ROOT = np.tril(0.3 * RANDOM.randn(4, 4)) + 0.6 * np.eye(4)
# Of all observations the batch has a part.
TOTAL = 30
MEAN, SPREAD = np.array([-2.0, 0.1, 0.8, 1.5]), np.array([0.2, 0.5, 1.0, 0.7])
# Possible targets of each likelihood, one at each mean.
TARGETS = {
    "gaussian": [-1.0, 0.4, 2.0, 2.5],
    "student": [-1.0, 0.4, 2.0, 2.5],
    "probit": [0, 1, 1, 1],
    "logit": [0, 1, 1, 0],
    "poisson": [0, 1, 5, 3],
    "negative binomial": [0, 1, 5, 3],
    "ordinal": [0, 1, 2, 3],
}
# Two, or three, processes for each target.
TWO_MEAN, TWO_SPREAD = np.stack([MEAN, -0.3 * MEAN], 1), np.stack([SPREAD, 0.4 * SPREAD], 1)
THREE_MEAN = np.stack([MEAN, -0.3 * MEAN, 0.5 - MEAN], 1)
THREE_SPREAD = np.stack([SPREAD, 0.4 * SPREAD, 0.6 * SPREAD], 1)
CLASSES = np.array([0, 1, 2, 0])
TASKS = np.array([0, 2, 1, 1, 0, 2, 1, 0, 2])
MIXING, KAPPA = np.array([[0.9], [-0.4], [0.6]]), np.array([0.3, 0.5, 0.2])


def gpflow_values():
    """All of GPflow's, by name."""
    import gpflow
    import tensorflow as tf
    import tensorflow_probability as tfp

    gpflow.config.set_default_jitter(1e-15)
    kernels, likelihoods = gpflow.kernels, gpflow.likelihoods
    found = {"version": gpflow.__version__, "tensorflow": tf.__version__}
    column = Y[:, None]

    def kernel():
        return kernels.SquaredExponential(VARIANCE, LENGTHSCALE)

    for name, model in (("sgpr", gpflow.models.SGPR), ("fitc", gpflow.models.GPRFITC)):
        model = model((X, column), kernel(), Z, noise_variance=NOISE)
        objective = model.elbo if name == "sgpr" else model.fitc_log_marginal_likelihood
        with tf.GradientTape() as tape:
            value = objective()
        stored = [model.kernel.variance, model.kernel.lengthscales, model.likelihood.variance]
        raw = [parameter.unconstrained_variable for parameter in stored]
        slopes = tape.gradient(value, [*raw, model.inducing_variable.Z.unconstrained_variable])
        # Derivatives by natural values: those by the stored ones over the slope of the transform.
        natural = [
            slope / tf.exp(parameter.transform.forward_log_det_jacobian(r, 0))
            for slope, parameter, r in zip(slopes, stored, raw)
        ]
        mean, variance = model.predict_f(NEW)
        _, covariance = model.predict_f(NEW, full_cov=True)
        found[name] = {
            "value": value,
            "variance_slope": natural[0],
            "lengthscale_slope": natural[1],
            "noise_slope": natural[2],
            "inducing_slope": slopes[3],
            "mean": mean[:, 0],
            "variance": variance[:, 0],
            "covariance": covariance[0],
            "log_density": model.predict_log_density((NEW, column[:3])),
        }

    def clean_probit(f):
        # GPflow's own mixes in 1e-3 of a coin, so that log(1 - p) is a number.
        return tf.minimum(0.5 * tf.math.erfc(-f / np.sqrt(2.0)), 1.0 - 1e-16)

    gpflow.likelihoods.scalar_discrete.inv_probit = clean_probit
    singles = {
        "gaussian": likelihoods.Gaussian(NOISE),
        "student": likelihoods.StudentT(SCALE, FREEDOM),
        "probit": likelihoods.Bernoulli(invlink=clean_probit),
        "logit": likelihoods.Bernoulli(invlink=tf.sigmoid),
        "poisson": likelihoods.Poisson(),
        "ordinal": likelihoods.Ordinal(CUTS),
    }
    for name, targets, total in (("gaussian", Y, TOTAL), ("probit", LABELS, TOTAL)):
        likelihood = singles[name]
        if name != "gaussian":
            likelihood.quadrature = gpflow.quadrature.NDiagGHQuadrature(1, NODES)
        model = gpflow.models.SVGP(
            kernel(),
            likelihood,
            Z,
            num_data=total,
            q_mu=WEIGHTS[:, None],
            q_sqrt=ROOT[None],
        )
        mean, variance = model.predict_f(NEW)
        own = {"value": model.elbo((X, targets[:, None]))}
        found[f"svgp {name}"] = {**own, "mean": mean[:, 0], "variance": variance[:, 0]}
    inputs = np.zeros((4, 1))
    for name, likelihood in singles.items():
        if name != "gaussian":
            likelihood.quadrature = gpflow.quadrature.NDiagGHQuadrature(1, NODES)
        data = inputs, MEAN[:, None], SPREAD[:, None]
        y = np.array(TARGETS[name], float)[:, None]
        first, second = likelihood.predict_mean_and_var(*data)
        found[name] = {
            "expected": likelihood.variational_expectations(*data, y),
            "density": likelihood.predict_log_density(*data, y),
            "mean": first[:, 0],
            "variance": second[:, 0],
        }
    half = tfp.bijectors.Chain([tfp.bijectors.Exp(), tfp.bijectors.Scale(np.float64(0.5))])
    two = likelihoods.HeteroskedasticTFPConditional(scale_transform=half)
    two.quadrature = gpflow.quadrature.NDiagGHQuadrature(2, NODES)
    data, y = (inputs, TWO_MEAN, TWO_SPREAD), np.array(TARGETS["gaussian"])[:, None]
    first, second = two.predict_mean_and_var(*data)
    found["heteroscedastic"] = {
        "expected": two.variational_expectations(*data, y),
        "density": two.predict_log_density(*data, y),
        "mean": first[:, 0],
        "variance": second[:, 0],
    }
    # Whose own expectations are of random draws.
    soft = likelihoods.Softmax(3)
    rule = gpflow.quadrature.NDiagGHQuadrature(3, 50)
    given = tf.constant(THREE_MEAN), tf.constant(THREE_SPREAD)

    def log_density(f):
        flat, nodes = tf.reshape(f, (-1, 3)), len(f)
        labels = np.tile(CLASSES, nodes)[:, None]
        return tf.reshape(soft.log_prob(tf.zeros_like(flat), flat, labels), (nodes, -1, 1))

    found["softmax"] = {
        "expected": rule(log_density, *given)[:, 0],
        "density": rule.logspace(log_density, *given)[:, 0],
    }
    # GPflow's point of change is of one column.
    change = kernels.ChangePoints([kernels.RBF(1.3, 0.7), kernels.Matern32(0.6, 1.4)], [0.3], 4.0)
    found["kernels"] = {
        name: each(X).numpy()
        for name, each in {
            "Matern12": kernels.Matern12(VARIANCE, LENGTHSCALE),
            "Matern32": kernels.Matern32(VARIANCE, LENGTHSCALE),
            "Matern52": kernels.Matern52(VARIANCE, LENGTHSCALE),
            "RationalQuadratic": kernels.RationalQuadratic(VARIANCE, LENGTHSCALE, 0.6),
            "Periodic": kernels.Periodic(kernels.RBF(VARIANCE, [0.7], active_dims=[0]), [1.7]),
            "Cosine": kernels.Cosine(VARIANCE, LENGTHSCALE),
            "Linear": kernels.Linear(LENGTHSCALE),
            "Polynomial": kernels.Polynomial(3, VARIANCE, 0.4),
            "ArcCosine0": kernels.ArcCosine(0, variance=1.3, weight_variances=LENGTHSCALE),
            "ArcCosine1": kernels.ArcCosine(1, variance=1.3, weight_variances=LENGTHSCALE),
            "ArcCosine2": kernels.ArcCosine(2, variance=1.3, weight_variances=LENGTHSCALE),
        }.items()
    }
    found["kernels"]["ChangePoint"] = change(X[:, :1]).numpy()
    coregion = kernels.Coregion(3, 1, active_dims=[2])
    coregion.W.assign(MIXING)
    coregion.kappa.assign(KAPPA)
    both = kernels.RBF(VARIANCE, LENGTHSCALE, active_dims=[0, 1]) * coregion
    labelled = np.column_stack([X, TASKS])
    model = gpflow.models.GPR((labelled, column), both, noise_variance=NOISE)
    found["coregion"] = {
        "value": model.log_marginal_likelihood(),
        "kernel": both(labelled),
    }
    return found


def gpytorch_values():
    """All of GPyTorch's, by name."""
    import gpytorch
    import torch

    torch.set_default_dtype(torch.float64)
    settings = gpytorch.settings
    settings.fast_computations(False, False, False).__enter__()
    settings.num_gauss_hermite_locs(NODES).__enter__()
    settings.variational_cholesky_jitter(double_value=1e-15).__enter__()
    settings.cholesky_jitter(double_value=1e-15).__enter__()
    x, y, z, new = (torch.tensor(values) for values in (X, Y, Z, NEW))
    found = {"version": gpytorch.__version__, "torch": torch.__version__}

    def kernel():
        base = gpytorch.kernels.RBFKernel(ard_num_dims=2)
        base.lengthscale = torch.tensor(LENGTHSCALE)
        scaled = gpytorch.kernels.ScaleKernel(base)
        scaled.outputscale = VARIANCE
        return scaled

    def gaussian():
        likelihood = gpytorch.likelihoods.GaussianLikelihood()
        likelihood.noise = NOISE
        return likelihood

    class Sparse(gpytorch.models.ExactGP):
        def __init__(self, likelihood):
            super().__init__(x, y, likelihood)
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = gpytorch.kernels.InducingPointKernel(kernel(), z, likelihood)

        def forward(self, given):
            moments = self.mean_module(given), self.covar_module(given)
            return gpytorch.distributions.MultivariateNormal(*moments)

    likelihood = gaussian()
    model = Sparse(likelihood)
    bound = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    model.train()
    found["sgpr"] = {"value": bound(model(x), y) * len(Y)}
    model.eval(), likelihood.eval()
    with torch.no_grad(), settings.sgpr_diagonal_correction(False):
        found["sgpr"]["mean"] = model(new).mean

    class Variational(gpytorch.models.ApproximateGP):
        def __init__(self):
            own = gpytorch.variational.CholeskyVariationalDistribution(len(Z))
            super().__init__(gpytorch.variational.VariationalStrategy(self, z, own))
            own.variational_mean.data = torch.tensor(WEIGHTS)
            own.chol_variational_covar.data = torch.tensor(ROOT)
            self.variational_strategy.variational_params_initialized.fill_(1)
            self.mean_module, self.covar_module = gpytorch.means.ZeroMean(), kernel()

        def forward(self, given):
            moments = self.mean_module(given), self.covar_module(given)
            return gpytorch.distributions.MultivariateNormal(*moments)

    singles = {
        "gaussian": gaussian(),
        "student": gpytorch.likelihoods.StudentTLikelihood(),
        "probit": gpytorch.likelihoods.BernoulliLikelihood(),
    }
    singles["student"].noise, singles["student"].deg_free = SCALE**2, FREEDOM
    for name, targets in (("gaussian", y), ("probit", torch.tensor(LABELS))):
        model = Variational()
        model.train(), singles[name].train()
        elbo = gpytorch.mlls.VariationalELBO(singles[name], model, num_data=TOTAL)
        own = {"value": elbo(model(x), targets) * TOTAL}
        model.eval()
        with torch.no_grad():
            latent = model(new)
        found[f"svgp {name}"] = {**own, "mean": latent.mean, "variance": latent.variance}

    class Of(gpytorch.likelihoods._OneDimensionalLikelihood):
        """GPyTorch's quadrature of a distribution of PyTorch."""

        def __init__(self, distribution):
            super().__init__()
            self.distribution = distribution

        def forward(self, f):
            return self.distribution(f)

    size = torch.tensor(1.0 / DISPERSION)
    distributions = torch.distributions
    singles["logit"] = Of(lambda f: distributions.Bernoulli(logits=f))
    singles["poisson"] = Of(lambda f: distributions.Poisson(f.exp()))
    singles["negative binomial"] = Of(
        lambda f: distributions.NegativeBinomial(size, logits=f - size.log())
    )
    latent = gpytorch.distributions.MultivariateNormal(
        torch.tensor(MEAN), torch.diag(torch.tensor(SPREAD))
    )
    for name, likelihood in singles.items():
        targets = torch.tensor(np.array(TARGETS[name], float))
        found[name] = {
            "expected": likelihood.expected_log_prob(targets, latent),
            "density": likelihood.log_marginal(targets, latent),
        }
        if name in ("gaussian", "probit"):
            moments = likelihood(latent)
            found[name]["mean"], found[name]["variance"] = moments.mean, moments.variance
    return found


def stored():
    """What the file has."""
    with open(FILE) as file:
        return json.load(file)


def _plain(value):
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, str):
        return value
    value = value.detach() if hasattr(value, "detach") else value
    return np.asarray(value).tolist()


if __name__ == "__main__":
    peer = sys.argv[1]
    everything = stored() if os.path.exists(FILE) else {}
    everything[peer] = _plain({"gpflow": gpflow_values, "gpytorch": gpytorch_values}[peer]())
    with open(FILE, "w") as file:
        lines = [
            f"{json.dumps(name)}: {{\n"
            + ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in own.items())
            + "\n}"
            for name, own in sorted(everything.items())
        ]
        file.write("{\n" + ",\n".join(lines) + "\n}\n")
