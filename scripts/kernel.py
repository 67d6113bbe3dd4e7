"""Compile the transformer's kernel: `python scripts/kernel.py` writes transformer_kernel.js from transformer_kernel.c.

It takes the compiler of the package ziglang (clang, in one wheel), which nothing else here needs: pip install
ziglang with the version below. Another one makes other bytes.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "attention_lite" / "explorers"
SOURCE, MODULE = FOLDER / "transformer_kernel.c", FOLDER / "transformer_kernel.js"
VERSION = "0.17.1"
FLAGS = ["-target", "wasm32-freestanding", "-mcpu=generic+simd128+bulk_memory", "-O3", "-ffast-math", "-nostdlib", "-s",
         "-Wall", "-Wextra", "-Werror", "-Wl,--no-entry", "-Wl,-z,stack-size=65536"]


def compiled() -> bytes:
    """The WebAssembly module.

    Raises:
        ValueError: if the compiler is missing, or of another version.
    """
    try:
        found = importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != VERSION:
        raise ValueError(f"the kernel is compiled by ziglang {VERSION}, found {found}: pip install ziglang=={VERSION}")
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "kernel.wasm"
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, "-o", str(module), SOURCE.name]
        subprocess.run(command, check=True, cwd=FOLDER)
        return module.read_bytes()


def written(module: bytes) -> str:
    """The script that holds a module, and of which source it was made."""
    mark = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
    return (f"// transformer_kernel.c, compiled by scripts/kernel.py; sha256 of its source: {mark}\n"
            f'const TRANSFORMER_KERNEL = "{base64.b64encode(module).decode()}";\n')


if __name__ == "__main__":
    try:
        MODULE.write_text(written(compiled()), encoding="ascii")
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(f"==> {MODULE.name}: {MODULE.stat().st_size:,} bytes")
