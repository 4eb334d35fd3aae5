"""The task ``statespace``: a structural time series model."""
