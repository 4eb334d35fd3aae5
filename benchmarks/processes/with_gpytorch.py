"""The same models in GPyTorch, which begin at the same numbers and see the same mini-batches.

Positive parameters are exponentials, as here, so that steps of Adam are the same.
"""

import warnings

import gpytorch
import numpy as np
import torch
from linear_operator.operators import LowRankRootLinearOperator, MatmulLinearOperator
from scipy.optimize import minimize

from ..with_torch import Function  # noqa: F401  (it sets the number of threads)
from .datasets import EPSILON, START_NOISE, weights_of
from .scores import Fitted

warnings.filterwarnings("ignore")
DTYPE = torch.float64
JITTER = 1e-8


def positive(lower=1e-10):
    return gpytorch.constraints.GreaterThan(lower, torch.exp, torch.log)


def matern(columns, lengthscale=1.0):
    kernel = gpytorch.kernels.MaternKernel(
        2.5, ard_num_dims=columns, lengthscale_constraint=positive(1e-12)
    )
    kernel.lengthscale = lengthscale
    kernel = gpytorch.kernels.ScaleKernel(kernel, outputscale_constraint=positive(1e-12))
    kernel.outputscale = 1.0
    return kernel


def normal():
    likelihood = gpytorch.likelihoods.GaussianLikelihood(noise_constraint=positive())
    likelihood.noise = START_NOISE
    return likelihood


def network(weights):
    layers = []
    for weight in weights:
        layer = torch.nn.Linear(weight.shape[1], len(weight))
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(weight))
            layer.bias.zero_()
        layers += [layer, torch.nn.Tanh()]
    return torch.nn.Sequential(*layers)


def exact_settings():
    """Cholesky at any size, and no jitter but that of the layers here."""
    return gpytorch.settings.max_cholesky_size(10**6)


class Linear(gpytorch.kernels.Kernel):
    """variance · xᵀz as a product of low rank, with which n observations cost n d²."""

    has_lengthscale = False

    def __init__(self):
        super().__init__()
        self.raw_variance = torch.nn.Parameter(torch.zeros(1, dtype=DTYPE))

    def forward(self, x1, x2, diag=False, **keywords):
        scale = torch.exp(0.5 * self.raw_variance)
        if diag:
            return (scale * x1 * scale * x2).sum(-1)
        if x1.shape == x2.shape and torch.equal(x1, x2):
            return LowRankRootLinearOperator(scale * x1)
        return MatmulLinearOperator(scale * x1, (scale * x2).transpose(-1, -2))


class Regression(gpytorch.models.ExactGP):
    def __init__(self, x, y, likelihood, kernel, mean, features=None):
        super().__init__(x, y, likelihood)
        self.mean_module, self.covar_module, self.features = mean, kernel, features

    def forward(self, x):
        if self.features is not None:
            x = self.features(x)
            x = torch.cat([x, torch.ones_like(x[..., :1])], dim=-1)
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


class Variational(gpytorch.models.ApproximateGP):
    """Independent processes, one or one for each class, with a kernel in common."""

    def __init__(self, points, kernel, count, features=None, mean=None):
        shape = torch.Size([count]) if count > 1 else torch.Size()
        distribution = gpytorch.variational.CholeskyVariationalDistribution(
            points.size(-2), batch_shape=shape, mean_init_std=0.0
        )
        strategy = gpytorch.variational.VariationalStrategy(
            self, points, distribution, jitter_val=JITTER
        )
        if count > 1:
            strategy = gpytorch.variational.IndependentMultitaskVariationalStrategy(
                strategy, num_tasks=count
            )
        super().__init__(strategy)
        self.mean_module, self.covar_module = mean or gpytorch.means.ConstantMean(), kernel
        self.features = features

    def forward(self, x):
        if self.features is not None:
            x = self.features(x)
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


class Process(Fitted):
    def __init__(self, arrays, rate, lengthscale=1.0):
        super().__init__(arrays)
        self._rate, self._lengthscale = rate, lengthscale
        self.x, self.y, self.new, self.points = (
            torch.tensor(arrays[name], dtype=DTYPE) for name in ("x", "y", "x_new", "inducing")
        )

    def train(self, model, likelihood, loss):
        model.train(), likelihood.train()
        parameters = {*model.parameters(), *likelihood.parameters()}
        optimizer = torch.optim.Adam(parameters, lr=self._rate, eps=EPSILON)
        batches = torch.tensor(self.arrays["batches"])
        whole = batches.shape[1] == len(self.x)
        x, y = self.x, self.y
        for rows in batches:
            if not whole:
                x, y = self.x[rows], self.y[rows]
            optimizer.zero_grad()
            (-loss(model(x), y)).backward()
            optimizer.step()
        model.eval(), likelihood.eval()

    def exact(self, likelihood, kernel, mean, features=None):
        model = Regression(self.x, self.y, likelihood, kernel, mean, features).to(DTYPE)
        with exact_settings():
            self.train(
                model, likelihood, gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
            )
            with torch.no_grad(), gpytorch.settings.skip_posterior_variances(False):
                found = likelihood(model(self.new))
                return found.mean.numpy(), found.variance.numpy()


class Exact(Process):
    def fit(self):
        kernel = matern(self.x.shape[1], self._lengthscale)
        return self.exact(normal(), kernel, gpytorch.means.ConstantMean())


class SGPR(Process):
    def fit(self):
        likelihood = normal()
        kernel = gpytorch.kernels.InducingPointKernel(
            matern(self.x.shape[1], self._lengthscale), self.points.clone(), likelihood
        )
        # Trained by Titsias' bound, it would predict by FITC.
        titsias = gpytorch.settings.sgpr_diagonal_correction(False)
        with titsias, gpytorch.settings.cholesky_jitter(double_value=JITTER):
            return self.exact(likelihood, kernel, gpytorch.means.ConstantMean())


class NetworkRegression(Process):
    def fit(self):
        features = network(weights_of(self.arrays))
        return self.exact(normal(), Linear(), gpytorch.means.ZeroMean(), features)


class SVGP(Process):
    deep = False

    def fit(self):
        weights = weights_of(self.arrays)
        features = network(weights) if self.deep else None
        columns = len(weights[-1]) if self.deep else self.x.shape[1]
        kernel = matern(columns, self._lengthscale)
        if self.classes > 2:
            likelihood = gpytorch.likelihoods.SoftmaxLikelihood(
                num_classes=self.classes, mixing_weights=False
            )
        elif self.classes:
            likelihood = gpytorch.likelihoods.BernoulliLikelihood()
        else:
            likelihood = normal()
        count = self.classes if self.classes > 2 else 1
        model = Variational(self.points, kernel, count, features).to(DTYPE)
        torch.manual_seed(0)
        elbo = gpytorch.mlls.VariationalELBO(likelihood, model, num_data=len(self.x))
        self.train(model, likelihood, elbo)
        with torch.no_grad(), gpytorch.settings.num_likelihood_samples(1000):
            found = likelihood(model(self.new))
            if self.classes > 2:
                return found.probs.mean(0).numpy()
            if self.classes:
                return np.stack([1.0 - found.probs.numpy(), found.probs.numpy()], axis=1)
            return found.mean.numpy(), found.variance.numpy()


class DeepSVGP(SVGP):
    deep = True


class CO2(Fitted):
    """The kernel and the start of `ours`, the exact likelihood, and SciPy's L-BFGS."""

    def __init__(self, arrays):
        super().__init__(arrays)
        self.x, self.y, self.new = (
            torch.tensor(arrays[name], dtype=DTYPE) for name in ("x", "y", "x_new")
        )

    def fit(self):
        kernels = gpytorch.kernels
        rise = kernels.RBFKernel(lengthscale_constraint=positive(1e-12))
        bend = kernels.MaternKernel(2.5, lengthscale_constraint=positive(1e-12))
        rest = kernels.MaternKernel(1.5, lengthscale_constraint=positive(1e-12))
        season = kernels.PeriodicKernel(
            lengthscale_constraint=positive(1e-12), period_length_constraint=positive(1e-12)
        )
        # Of a periodic kernel it is the square of the lengthscale here.
        for kernel, lengthscale in ((rise, 50.0), (bend, 100.0), (rest, 1.0), (season, 1.0)):
            kernel.lengthscale = lengthscale
        season.period_length = 1.0
        season.raw_period_length.requires_grad_(False)
        parts = []
        for kernel, variance in ((rise, 2500.0), (bend * season, 4.0), (rest, 1.0)):
            scaled = kernels.ScaleKernel(kernel, outputscale_constraint=positive(1e-12))
            scaled.outputscale = variance
            parts.append(scaled)
        likelihood, mean = normal(), gpytorch.means.ZeroMean()
        model = Regression(self.x, self.y, likelihood, sum(parts[1:], parts[0]), mean).to(DTYPE)
        with exact_settings():
            self.further = {"negative log likelihood": self._minimized(model, likelihood)}
            model.eval(), likelihood.eval()
            with torch.no_grad():
                found = likelihood(model(self.new))
                return found.mean.numpy(), found.variance.numpy()

    def _minimized(self, model, likelihood):
        model.train(), likelihood.train()
        loss = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
        parameters = [one for one in model.parameters() if one.requires_grad]

        def at(vector):
            torch.nn.utils.vector_to_parameters(torch.tensor(vector), parameters)
            model.zero_grad()
            value = -len(self.x) * loss(model(self.x), self.y)
            value.backward()
            gradient = torch.nn.utils.parameters_to_vector([one.grad for one in parameters])
            return value.item(), gradient.numpy()

        start = torch.nn.utils.parameters_to_vector(parameters).detach().numpy()
        found = minimize(at, start, jac=True, method="L-BFGS-B")
        torch.nn.utils.vector_to_parameters(torch.tensor(found.x), parameters)
        return found.fun


class Step:
    """Value, all gradients and a step of Adam; compared are those of the first."""

    def __init__(self, arrays, dtype):
        dtype = getattr(torch, dtype)
        kernel = gpytorch.kernels.RBFKernel(
            ard_num_dims=arrays["x"].shape[1], lengthscale_constraint=positive(1e-12)
        )
        kernel.lengthscale = arrays["lengthscales"]
        self._scaled = gpytorch.kernels.ScaleKernel(kernel, outputscale_constraint=positive(1e-12))
        self._scaled.outputscale = 1.0
        points = torch.tensor(arrays["inducing"], dtype=dtype)
        self._model = Variational(points, self._scaled, 1, mean=gpytorch.means.ZeroMean())
        self._likelihood = normal()
        self._model.to(dtype), self._likelihood.to(dtype)
        strategy = self._model.variational_strategy
        # It would begin at the prior.
        strategy.variational_params_initialized.fill_(1)
        self._q = strategy._variational_distribution
        with torch.no_grad():
            self._q.variational_mean.copy_(torch.tensor(arrays["weights"]))
        self._x, self._y = (torch.tensor(arrays[name], dtype=dtype) for name in ("x", "y"))
        self._batches = torch.tensor(arrays["batches"])
        self._results, self._count = None, 0
        self._elbo = gpytorch.mlls.VariationalELBO(
            self._likelihood, self._model, num_data=len(self._x)
        )
        parameters = {*self._model.parameters(), *self._likelihood.parameters()}
        self._optimizer = torch.optim.Adam(parameters, lr=1e-3)

    def _loss(self):
        rows = self._batches[self._count % len(self._batches)]
        return -len(self._x) * self._elbo(self._model(self._x[rows]), self._y[rows])

    def run(self):
        self._optimizer.zero_grad()
        loss = self._loss()
        loss.backward()
        if self._results is None:
            self._results = self._found(loss)
        self._optimizer.step()
        self._count += 1

    def forward(self):
        with torch.no_grad():
            self._loss().item()

    def _found(self, loss):
        parameters = {
            "inducing": self._model.variational_strategy.inducing_points,
            "mean": self._q.variational_mean,
            "factor": self._q.chol_variational_covar,
            "variance": self._scaled.raw_outputscale,
            "lengthscales": self._scaled.base_kernel.raw_lengthscale,
            "noise": self._likelihood.noise_covar.raw_noise,
        }
        found = {name: one.grad.numpy().astype("float64") for name, one in parameters.items()}
        found["factor"] = np.tril(found["factor"])
        found = {name: array.ravel() for name, array in found.items()}
        return {"value": loss.detach().numpy().astype("float64").reshape(1), **found}

    def results(self):
        return self._results
