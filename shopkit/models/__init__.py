"""Models: a plain `torch.nn.Module` each, without training code, or an estimator with `fit` and `to_onnx`."""
