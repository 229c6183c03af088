"""What is wrong with a gradient derived by hand: the program as a graph, the known mistakes, and the verdict."""
