"""A Firefox for the tests: the system's, else the distribution's package, else Playwright's own.

`python tests/firefox.py` sees to it that there is one, and says what it does; `make test` runs it first. Playwright
drives only the Firefox that it has built. So that any will do, the pages that are tried in Firefox judge themselves,
and post the verdict to this machine: see `verdict`.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from browser import apt_get, succeeds

NAMES = ("firefox", "firefox-esr")
BY_HAND = (
    "One browser test needs Firefox, and none could be brought. On Debian: sudo apt install firefox-esr. "
    "Elsewhere: .venv/bin/python -m playwright install --with-deps firefox. Then run `make test` again."
)
# No first page, no update, no telemetry, no look whether there is a network.
SETTINGS = {
    "app.update.enabled": False, "browser.aboutwelcome.enabled": False, "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False, "toolkit.telemetry.enabled": False,
    "network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False,
}


def found() -> str | None:
    """Where there is a Firefox: the system's, or Playwright's own."""
    system = next(filter(None, map(shutil.which, NAMES)), None)
    if system:
        return system
    with sync_playwright() as playwright:
        own = playwright.firefox.executable_path
    return own if Path(own).is_file() else None


class _Post(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.verdicts.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Keep the server's log out of the test report."""


def verdict(page: Path, profile: Path, seconds: float) -> Any:
    """What a page, opened from disk, posts as JSON to http://127.0.0.1:<port>, the port that its address has after "?".

    Args:
        page: the HTML file.
        profile: an empty folder.
        seconds: after which it has failed.

    Raises:
        queue.Empty: if nothing was posted in time.
    """
    (profile / "user.js").write_text("".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
                                             for name, value in SETTINGS.items()))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Post)
    server.verdicts = queue.Queue()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"{page.as_uri()}?{server.server_address[1]}"
    program = subprocess.Popen(
        [found(), "--headless", "--no-remote", "--profile", str(profile), address],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(profile)})
    try:
        return json.loads(server.verdicts.get(timeout=seconds))
    finally:
        program.terminate()
        program.wait()
        server.shutdown()
        server.server_close()


def install_playwrights() -> bool:
    return succeeds(sys.executable, "-m", "playwright", "install", "firefox")


def install_package() -> bool:
    return apt_get("firefox-esr")


def bring() -> int:
    """See to it that there is a Firefox; 1 where none could be brought."""
    if program := found():
        print(f"==> One browser test uses {program}")
        return 0
    print("==> One browser test needs Firefox: installing it", flush=True)
    for install in (install_package, install_playwrights):        # the package brings the libraries that it needs
        if install() and found():
            return 0
    print(BY_HAND, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(bring())
