"""Structural models of statsmodels, fitted one after another."""

import warnings

import numpy as np
from statsmodels.tsa.statespace.structural import UnobservedComponents


class Structural:
    """`UnobservedComponents` by its default fit, exact diffuse, and the forecasts."""

    def __init__(self, arrays):
        warnings.simplefilter("ignore")
        count = len(arrays["starts"])
        self._targets = [arrays[f"target{n}"] for n in range(count)]

    def run(self):
        self._fits = []
        for target in self._targets:
            model = UnobservedComponents(
                target, "local linear trend", seasonal=12, use_exact_diffuse=True
            )
            fit = model.fit(disp=False)
            fit.get_forecast(12).summary_frame()
            self._fits.append(fit)

    def results(self):
        return {"log_likelihood": np.array([fit.llf for fit in self._fits])}
