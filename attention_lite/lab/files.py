"""Files of results: read with a sentence for what is wrong, written whole or not at all."""

import json
import os
import tempfile
from pathlib import Path


def read_results(path: Path, command: str) -> dict:
    """The JSON object in a file of results that `command` makes.

    Raises:
        ValueError: if there is no file, or it holds no JSON object; says which command makes it.
    """
    if not path.is_file():
        raise ValueError(f"no results {path}; make them with: {command}")
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is not JSON ({error}); make it anew with: {command}") from error
    if not isinstance(results, dict):
        raise ValueError(f"{path.name} must hold an object, got {type(results).__name__}; make it anew with: {command}")
    return results


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whose folder is made if need be: it appears under its name only when it is whole.

    Raises:
        OSError: if the disk refuses; no half-written file stays, and an older one is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:                                         # Ctrl-C too
        Path(partial).unlink(missing_ok=True)
        raise
