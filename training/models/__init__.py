"""The members of the ensemble: how each one learns."""
