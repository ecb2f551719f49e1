"""Feature extractors: fitted in SQL on the training part, written once as array code, traced to ONNX."""
