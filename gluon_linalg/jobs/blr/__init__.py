"""The task ``blr``: Bayesian linear regression on features."""
