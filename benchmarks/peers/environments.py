"""Each peer's environment: one of its own, outside the project's."""

import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements")
"""What is installed for each peer, in a file of its name."""


def environment_of(peer: str, environments: Path) -> Path:
    """Return the Python of the peer's environment below ``environments``, which is made if it is not there.

    Raises:
        subprocess.CalledProcessError: if a package cannot be installed.
    """
    home, wanted = environments / peer, REQUIREMENTS / f"{peer}.txt"
    python, record = home / "bin" / "python", home / "installed.txt"
    if record.exists() and record.read_bytes() == wanted.read_bytes():
        return python
    shutil.rmtree(home, ignore_errors=True)
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, home], check=True)
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    else:
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--requirement", wanted], check=True)
    shutil.copyfile(wanted, record)
    return python


def versions_of(peer: str) -> str:
    """Return what is installed for a peer, as in ``datatrove 0.10.1``."""
    lines = (REQUIREMENTS / f"{peer}.txt").read_text(encoding="utf-8").split()
    return ", ".join(line.replace("==", " ") for line in lines)
