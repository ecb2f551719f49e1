"""Tasks: what a model's scores mean. Loss, metrics, calibration, decision and the named outputs in the file."""
