"""The subcommands of `python -m plugin`, one a module."""
