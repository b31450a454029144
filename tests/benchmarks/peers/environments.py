"""Make environments of peers: ``python -m tests.benchmarks.peers.environments FOLDER [NAME ...]``.

One for each adapter, because their pins exclude each other. FFCV is compiled, and SPDL needs
Debian's libavfilter and libavdevice: docs/benchmarks/loaders.md says how.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.peers.process import constant

ADAPTERS = Path(__file__).parent / "adapters"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    known = {path.stem: path for path in sorted(ADAPTERS.glob("*.py"))}
    if unknown := set(arguments.names) - set(known):
        parser.error(f"no adapter {', '.join(unknown)}; there are {', '.join(known)}")
    failed = [name for name in arguments.names or known if not _make(known[name], arguments.folder)]
    if failed:
        sys.exit(f"not installed: {', '.join(failed)}")


def _make(adapter: Path, folder: Path) -> bool:
    requirements = constant(adapter.read_text(), "REQUIREMENTS")
    if not requirements:
        return True
    print(f"== {adapter.stem}: {', '.join(requirements)}", flush=True)
    target = folder / adapter.stem
    subprocess.run([sys.executable, "-m", "venv", str(target)], check=True)
    words = [str(target / "bin/python"), "-m", "pip", "install", "-q", *requirements]
    return subprocess.run(words, check=False).returncode == 0


if __name__ == "__main__":
    main()
