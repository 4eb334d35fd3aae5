"""Hides scikit-learn from the programs that tests start, as no extra of the package brings it.

Where it is there, MXNet imports it, and with it SciPy and pandas: a sixth of each start.
"""

raise ImportError("scikit-learn is hidden from programs that tests start")
