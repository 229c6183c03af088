"""NumPy on Tensors: each of its functions brought to the form of a row of the table, or composed of rows, by family."""
