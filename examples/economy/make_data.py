"""Makes examples/data/economy.csv of data that come with statsmodels: python make_data.py

Growth in percent, by logarithms: of quarters for real GDP and consumption of the United States, and
of years, in their last quarter, for investment.
"""

from pathlib import Path

import numpy as np
from statsmodels.datasets import macrodata

PATH = Path(__file__).resolve().parent.parent / "data" / "economy.csv"


def table() -> str:
    """The text of the file."""
    data = macrodata.load_pandas().data
    gdp, consumption = (100 * np.diff(np.log(data[n])) for n in ("realgdp", "realcons"))
    investment = data["realinv"].to_numpy()
    lines = ["quarter,gdp,consumption,investment"]
    for row in range(1, len(data)):
        year, quarter = int(data["year"][row]), int(data["quarter"][row])
        yearly = ""
        if quarter == 4 and row >= 7:
            now, before = investment[row - 3 : row + 1].sum(), investment[row - 7 : row - 3].sum()
            yearly = f"{100 * np.log(now / before):.6g}"
        lines.append(f"{year}Q{quarter},{gdp[row - 1]:.6g},{consumption[row - 1]:.6g},{yearly}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(table())
