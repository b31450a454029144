"""The ``freqprep`` command: one module a subcommand, each of which parses, calls and prints."""
