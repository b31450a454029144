"""The command line as a module: ``python -m freqprep``."""

from freqprep_cli.main import main

if __name__ == "__main__":
    main()
