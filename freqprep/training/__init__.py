"""Training, evaluating, predicting and exporting networks."""
