"""The task ``multivariate``: several series that move together."""
