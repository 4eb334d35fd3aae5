# %% [markdown]
# # From a job file to a service
# A model is described in a file, trained by one command, and answers over HTTP by another. The
# same two commands run in the image of `docker/Dockerfile.cpu`; here they run without Docker.

# %%
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
root = Path("../..").resolve()
output = Path(tempfile.mkdtemp()) / "marathon"
command = [sys.executable, "-m", "gluon_linalg.jobs"]
job = root / "examples" / "olympic_marathon" / "job.yaml"
print(job.read_text())

# %%
subprocess.run(
    [*command, "train", job, "--output", output], check=True, cwd=root, capture_output=True
)
print(sorted(path.name for path in output.iterdir()))

# %% [markdown]
# The service loads the exported pair; a request has the columns that the job file names.

# %%
with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]  # a free one
server = subprocess.Popen(
    [*command, "serve", output, "--port", str(port)],
    cwd=root,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)


def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{path}", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


try:
    for _ in range(200):
        try:
            ask("ping")
            break
        except OSError:
            time.sleep(0.2)
    years = np.arange(1892, 2029, 2)
    rows = [{"year": int(year)} for year in years]
    answer = ask("invocations", {"instances": rows})
finally:
    server.terminate()
    server.wait()
print(answer["predictions"][0])
print(f"{len(years)} rows in one request")

# %%
table = pd.DataFrame(answer["predictions"])
data = pd.read_csv(root / "examples" / "data" / "olympic_marathon.csv")
figure, axis = plt.subplots(figsize=(8, 3.6))
axis.fill_between(years, table.lower_95, table.upper_95, alpha=0.3, lw=0, label="95 % band")
axis.plot(years, table["mean"], label="mean, by HTTP")
axis.plot(data.year, data.pace_min_per_km, "k.", ms=5, label="winners")
axis.set(ylabel="pace, minutes per km", ylim=(2, 5.5))
axis.legend(frameon=False)
figure.tight_layout()
plt.show()

# %% [markdown]
# The same in Docker:
#
#     docker build --platform linux/amd64 -f docker/Dockerfile.cpu -t gluon-linalg:cpu .
#     docker run --rm -v "$PWD/examples:/jobs:ro" -v "$PWD/out:/out" gluon-linalg:cpu \
#         train olympic_marathon/job.yaml --output /out/marathon
#     docker run --rm -p 8080:8080 -v "$PWD/out:/out:ro" gluon-linalg:cpu \
#         serve /out/marathon --host 0.0.0.0
