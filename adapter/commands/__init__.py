"""The commands of `secp2psip`, one module each.

A module has EXAMPLES (for --help), `add_arguments(parser)` and `async run(args, settings, screen)`, which returns the
exit code.
"""
