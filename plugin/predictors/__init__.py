"""Model files in, probabilities out."""
