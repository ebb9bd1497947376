"""Networks over a window of rows, one architecture a file."""
