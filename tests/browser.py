"""A Chromium for the browser tests: the system's, else Playwright's own, else the distribution's package.

`python tests/browser.py` sees to it that there is one, and says what it does; `make test` runs it first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from playwright.sync_api import Browser, Error, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
BY_HAND = (
    "The browser tests need Chromium, and none could be brought. On Debian or Ubuntu: sudo apt install chromium. "
    "Elsewhere: .venv/bin/python -m playwright install --with-deps chromium. Then run `make test` again."
)


def system() -> str | None:
    """Where this system has a Chromium of its own, if it has."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def launch(playwright: Playwright) -> Browser:
    """Start the system's Chromium, headless, or else Playwright's own; playwright's Error where neither starts."""
    return playwright.chromium.launch(executable_path=system(), args=ARGUMENTS)


def starts() -> bool:
    """Whether there is a Chromium, and it can be started."""
    try:
        with sync_playwright() as playwright:
            launch(playwright).close()
    except Error:
        return False
    return True


def succeeds(*command: str) -> bool:
    """Run a command without its output, which is long and matters to nobody where it fails and another way is left."""
    try:
        return subprocess.run(command, capture_output=True, timeout=600, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def install_playwrights() -> bool:
    return succeeds(sys.executable, "-m", "playwright", "install", "chromium")


def apt_get(*packages: str) -> bool:
    """Ask Debian's or Ubuntu's package manager, as root or by a sudo that asks no password."""
    apt = [*([] if os.geteuid() == 0 else ["sudo", "-n"]), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    return shutil.which("apt-get") is not None and (
        succeeds(*apt, "update") and succeeds(*apt, "install", "--yes", "--no-install-recommends", *packages)
    )


def install_package() -> bool:
    return apt_get("chromium", "fonts-dejavu-core")


WAYS = (
    ("Playwright's own (about 150 MB)", install_playwrights),
    ("the distribution's package, by apt-get", install_package),
)


def bring() -> int:
    """See to it that a Chromium starts; 1 where none could be brought."""
    if starts():
        print(f"==> The browser tests use {system() or 'the Chromium that Playwright installed'}")
        return 0
    for what, install in WAYS:
        print(f"==> The browser tests need Chromium: installing {what}", flush=True)
        if install() and starts():
            return 0
        print("    That did not work", flush=True)
    print(BY_HAND, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(bring())
