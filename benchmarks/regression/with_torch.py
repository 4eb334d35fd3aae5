"""A plain Cholesky and a plain QR in PyTorch, and GPyTorch with its Cholesky."""

import gpytorch
import numpy as np
import torch

from ..with_torch import Function


class GaussianProcess(Function):
    """An ARD-RBF Gaussian process; the gradient is that of the logarithms of hyperparameters."""

    def __init__(self, arrays, dtype):
        x, y = (torch.tensor(arrays[name], dtype=getattr(torch, dtype)) for name in "xy")
        self._x, self._y, self._identity = x, y, torch.eye(len(x), dtype=x.dtype)
        logarithms = {name: np.log(arrays[name]) for name in ("lengthscales", "variances")}
        super().__init__(logarithms, dtype)

    def compute(self, lengthscales, variances):
        variance, noise = torch.exp(variances)
        scaled = self._x / torch.exp(lengthscales)
        norms = (scaled * scaled).sum(-1)
        squared = (norms[:, None] + norms[None, :] - 2 * scaled @ scaled.T).clamp_min(0)
        kernel = variance * torch.exp(-0.5 * squared)
        factor = torch.linalg.cholesky(kernel + noise * self._identity)
        whitened = torch.linalg.solve_triangular(factor, self._y[:, None], upper=False)
        loss = 0.5 * (whitened**2).sum() + torch.log(torch.diagonal(factor)).sum()
        return (loss + 0.5 * len(self._x) * np.log(2 * np.pi),)

    def results(self):
        gradients = self.gradients()
        gradient = np.concatenate([gradients["lengthscales"], gradients["variances"]])
        return {"value": self.outputs()[0].reshape(1), "gradient": gradient}


class ExactGP(gpytorch.models.ExactGP):
    def __init__(self, x, y, likelihood):
        super().__init__(x, y, likelihood)
        self.mean_module = gpytorch.means.ZeroMean()
        kernel = gpytorch.kernels.RBFKernel(ard_num_dims=x.shape[1])
        self.covar_module = gpytorch.kernels.ScaleKernel(kernel)

    def forward(self, x):
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


class GPyTorch:
    """Its exact marginal likelihood with a Cholesky at any size: it is right, and no estimate."""

    def __init__(self, arrays, dtype):
        dtype = getattr(torch, dtype)
        x, y = (torch.tensor(arrays[name], dtype=dtype) for name in "xy")
        likelihood = gpytorch.likelihoods.GaussianLikelihood()
        model = ExactGP(x, y, likelihood).to(dtype)
        model.covar_module.base_kernel.lengthscale = arrays["lengthscales"]
        model.covar_module.outputscale, likelihood.noise = arrays["variances"]
        model.train()
        self._model, self._x, self._y = model, x, y
        self._likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)

    def _loss(self):
        with gpytorch.settings.max_cholesky_size(10**6):
            # It divides by the number of points.
            return -len(self._x) * self._likelihood(self._model(self._x), self._y)

    def run(self):
        self._model.zero_grad()
        self._value = self._loss()
        with gpytorch.settings.max_cholesky_size(10**6):
            self._value.backward()

    def forward(self):
        with torch.no_grad():
            self._loss().item()

    def results(self):
        kernel, likelihood = self._model.covar_module, self._model.likelihood
        stored = [
            (kernel.base_kernel.raw_lengthscale, kernel.base_kernel.raw_lengthscale_constraint),
            (kernel.raw_outputscale, kernel.raw_outputscale_constraint),
            (likelihood.noise_covar.raw_noise, likelihood.noise_covar.raw_noise_constraint),
        ]
        gradients = []
        for raw, constraint in stored:
            # From the stored number by softplus to the value, and from it to its logarithm.
            by_value = raw.grad / torch.sigmoid(raw.detach())
            gradients.append((by_value * constraint.transform(raw.detach())).reshape(-1))
        value = self._value.detach().reshape(1).numpy()
        return {"value": value, "gradient": torch.cat(gradients).numpy()}


class LinearRegression(Function):
    """Bayesian linear regression by the QR factorization of the features over the prior."""

    def __init__(self, arrays):
        self._logarithms = np.log(arrays["variances"])
        super().__init__({"phi": arrays["phi"], "y": arrays["y"], "variances": self._logarithms})

    def compute(self, phi, y, variances):
        n, d = phi.shape
        deviation = torch.exp(0.5 * variances)
        ratio = deviation[0] / deviation[1]
        above = torch.cat([ratio * phi, torch.eye(d, dtype=phi.dtype)])
        right = torch.cat([y / deviation[1], torch.zeros(d, dtype=phi.dtype)])
        q, r = torch.linalg.qr(above)
        rest = right - q @ (q.T @ right)
        value = 0.5 * (rest @ rest) + torch.log(torch.diagonal(r).abs()).sum()
        return (value + 0.5 * n * (variances[1] + np.log(2 * np.pi)),)

    def results(self):
        gradients = {name: array for name, array in self.gradients().items()}
        gradients["phi"], gradients["y"] = gradients["phi"][None], gradients["y"][None]
        return {"value": self.outputs()[0].reshape(1), **gradients}
