"""Where and with what a run was made."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("vestige", "numpy", "scipy", "torch", "transformers", "safetensors")


def describe() -> dict[str, object]:
    """Versions and machine, as plain values."""
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
