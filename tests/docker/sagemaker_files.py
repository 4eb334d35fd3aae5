"""A job as SageMaker would hand it to a container."""

import json
import math
from pathlib import Path

TABLE = "x,y\n" + "".join(f"{0.25 * i},{math.sin(0.3 * i):.4f}\n" for i in range(12))
HYPERPARAMETERS = {
    "task": "gp",
    "data.inputs": "[x]",
    "data.target": "y",
    "model.kernel": "{rbf: {variance: 1, lengthscale: 1}}",
    "model.noise_variance": "0.1",
    "training.iterations": "20",
    "sagemaker_region": '"eu-west-1"',
}
# Two series, which two machines can share.
PANEL_TABLE = "firm,t,y\n" + "".join(
    f"{firm},{t},{math.sin(0.7 * t + phase):.4f}\n" for firm, phase in (("a", 0), ("b", 1))
    for t in range(12)
)  # fmt: skip
PANEL = {
    **dict.fromkeys(HYPERPARAMETERS),
    "task": "statespace",
    "data.series": "firm",
    "data.time": "t",
    "data.step": "1",
    "data.target": "y",
    "model.components": "[level: {}]",
    "training.iterations": "5",
}


def write_job(base, hyperparameters=None, tables=None, **configurations):
    """Writes input/config and input/data below `base`; None leaves a key of HYPERPARAMETERS out."""
    base = Path(base)
    settings = {**HYPERPARAMETERS, **(hyperparameters or {})}
    settings = {k: v for k, v in settings.items() if v is not None}
    configurations = {"hyperparameters": settings, **configurations}
    for folder in ("input/config", "input/data", "model", "output"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    for name, content in configurations.items():
        (base / "input" / "config" / f"{name}.json").write_text(json.dumps(content))
    for name, text in ({"train/table.csv": TABLE} if tables is None else tables).items():
        path = base / "input" / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return base
