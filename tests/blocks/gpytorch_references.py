"""Numbers of GPyTorch 1.14 for several outputs, which tests/data/gpytorch_references.json keeps.

Run by itself, where torch and gpytorch are installed, it computes them anew:

    python tests/blocks/gpytorch_references.py

In float64, without approximation: negative log marginal likelihoods, their derivatives by natural
hyperparameters, and predictions at new points, of one MultitaskKernel (intrinsic coregionalization)
and of the sum of two (linear coregionalization).
"""

import json
import os

import numpy as np

FILE = os.path.join(os.path.dirname(__file__), "..", "data", "gpytorch_references.json")
VARIANCE, LENGTHSCALE = 1.0, 0.8
MIXING = np.array([[0.9, -0.2], [0.4, 0.8], [-0.7, 0.5]])
KAPPA = np.array([0.3, 0.6, 0.2])
NOISE = np.array([0.2, 0.3, 0.1])
SECOND = {"lengthscale": 2.0, "mixing": np.array([[0.5], [-0.3], [0.2]]), "kappa": 0.4}


def problem():
    random = np.random.RandomState(11)
    return random.uniform(-2, 2, (7, 2)), random.randn(7, 3), random.uniform(-2, 2, (4, 2))


def main():
    import gpytorch
    import torch

    torch.set_default_dtype(torch.float64)
    gpytorch.settings.fast_computations(False, False, False).__enter__()
    gpytorch.settings.min_preconditioning_size(10**6).__enter__()
    x, y, new = (torch.tensor(values) for values in problem())

    def task(mixing, kappa, lengthscale):
        base = gpytorch.kernels.RBFKernel()
        base.lengthscale = lengthscale
        kernel = gpytorch.kernels.MultitaskKernel(base, num_tasks=3, rank=mixing.shape[1])
        kernel.task_covar_module.covar_factor.data = torch.tensor(mixing)
        kernel.task_covar_module.var = torch.tensor(np.broadcast_to(kappa, 3).copy())
        return kernel

    class Model(gpytorch.models.ExactGP):
        def __init__(self, likelihood, kernels):
            super().__init__(x, y, likelihood)
            self.parts = torch.nn.ModuleList(kernels)

        def forward(self, given):
            mean = torch.zeros(len(given), 3)
            covariance = sum(part(given).to_dense() for part in self.parts)
            return gpytorch.distributions.MultitaskMultivariateNormal(mean, covariance)

    found = {"gpytorch": gpytorch.__version__, "torch": torch.__version__}
    first = (MIXING, KAPPA, LENGTHSCALE)
    second = (SECOND["mixing"], SECOND["kappa"], SECOND["lengthscale"])
    for name, parts in (("intrinsic", [first]), ("linear", [first, second])):
        likelihood = gpytorch.likelihoods.MultitaskGaussianLikelihood(3, has_global_noise=False)
        likelihood.task_noises = torch.tensor(NOISE)
        model = Model(likelihood, [task(*part) for part in parts])
        model.train(), likelihood.train()
        value = -likelihood(model(x)).log_prob(y)
        value.backward()
        kernel = model.parts[0]
        own = {"value": value.item()}
        own["mixing"] = kernel.task_covar_module.covar_factor.grad.tolist()
        # Derivatives by natural values: those by the stored ones over the slope of softplus.
        for key, module, raw in (
            ("kappa", kernel.task_covar_module, "raw_var"),
            ("lengthscale", kernel.data_covar_module, "raw_lengthscale"),
            ("noise_variance", likelihood, "raw_task_noises"),
        ):
            stored = getattr(module, raw)
            own[key] = (stored.grad / torch.sigmoid(stored)).detach().reshape(-1).tolist()
        model.eval(), likelihood.eval()
        with torch.no_grad():
            prediction = model(new)
            own["mean"] = prediction.mean.tolist()
            own["variance"] = prediction.variance.tolist()
        found[name] = own
    with open(FILE, "w") as file:
        json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
