"""The subcommands of `python -m training`: each has `add_arguments(subparsers)` and `run(args)`."""
