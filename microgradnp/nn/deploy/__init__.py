"""Deployment: a trained model for where this package is not: one file of NumPy, or ONNX."""
