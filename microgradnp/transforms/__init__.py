"""Functions of functions: gradients, products with Jacobians, Jacobians and Hessians, to any order."""
