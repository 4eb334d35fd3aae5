"""Kernels of GPyTorch on fixed parameters: python kernel_values.py, where GPyTorch is installed,

computes tests/data/kernel_values.json anew. Computed with GPyTorch 1.14 and PyTorch 2.13.
"""

import json
import os

import numpy as np

FILE = os.path.join(os.path.dirname(__file__), "..", "data", "kernel_values.json")


def compute():
    """All of them by name: inputs, parameters and values."""
    import gpytorch
    import torch

    torch.set_default_dtype(torch.float64)
    random = np.random.RandomState(7)
    found = {}
    for columns in (1, 2):
        x, z = random.uniform(-2, 2, (5, columns)), random.uniform(-2, 2, (3, columns))
        parameters = {
            "weights": random.uniform(0.3, 2.0, 3),
            "means": random.uniform(0.1, 1.5, (3, columns)),
            "scales": random.uniform(0.05, 0.5, (3, columns)),
        }
        kernel = gpytorch.kernels.SpectralMixtureKernel(3, ard_num_dims=columns)
        kernel.mixture_weights = torch.tensor(parameters["weights"])
        kernel.mixture_means = torch.tensor(parameters["means"])[:, None]
        kernel.mixture_scales = torch.tensor(parameters["scales"])[:, None]
        values = kernel(torch.tensor(x), torch.tensor(z)).to_dense().detach().numpy()
        found[f"mixture_{columns}"] = {"x": x, "z": z, **parameters, "values": values}
    x, z = np.array([[0], [3], [1], [1]]), np.array([[2], [1]])
    parameters = {"factor": random.randn(4, 2), "variance": random.uniform(0.2, 1.0, 4)}
    kernel = gpytorch.kernels.IndexKernel(4, rank=2)
    kernel.covar_factor.data = torch.tensor(parameters["factor"])
    kernel.var = torch.tensor(parameters["variance"])
    values = kernel(torch.tensor(x), torch.tensor(z)).to_dense().detach().numpy()
    found["index"] = {"x": x, "z": z, **parameters, "values": values}
    return found


def stored():
    """What the file has."""
    with open(FILE) as file:
        return json.load(file)


if __name__ == "__main__":
    with open(FILE, "w") as file:
        lines = [
            f"{json.dumps(name)}: {json.dumps({k: v.tolist() for k, v in own.items()})}"
            for name, own in compute().items()
        ]
        file.write("{\n" + ",\n".join(lines) + "\n}\n")
