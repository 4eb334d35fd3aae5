"""The names of what only forecast jobs leave in the folder of results."""

# A folder that GluonTS reads.
PREDICTOR = "predictor"
BACKTEST = "backtest.csv"
BACKTEST_FORECASTS = "backtest_forecasts.csv"
