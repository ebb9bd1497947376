"""The live process: one bar close in, one decision out."""
