"""The task ``gp``: a Gaussian process."""
