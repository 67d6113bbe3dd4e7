"""How fast the built pages are on a slow machine: python scripts/speed.py [NAME …]

A NAME is a part of a page's path; without, all pages are measured. Each is loaded once in a fresh profile, over
loopback, on a processor slowed down four times. The table goes to _build/speed.md too. Times are by the clock, so the
machine must be idle.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "book" / "_ext")]      # for conftest
SLOWDOWN = 4
# What a page should keep to: seconds, milliseconds, a share of the window, megabytes beyond the shared files.
LIMITS = {"LCP": 1.5, "TBT": 200.0, "CLS": 0.05, "MB": 1.5}

# TBT: what each task takes beyond 50 ms from the first contentful paint on; before it there is nothing to press.
OBSERVE = """() => {
    window.seen = { LCP: 0, TBT: 0, CLS: 0 };
    let shown = Infinity;
    const watch = (type, note) =>
        new PerformanceObserver(list => list.getEntries().forEach(note)).observe({ type, buffered: true });
    watch("paint", entry => { if (entry.name === "first-contentful-paint") shown = entry.startTime; });
    watch("largest-contentful-paint", entry => { seen.LCP = entry.startTime / 1000; });
    watch("longtask", entry => {
        const end = entry.startTime + entry.duration;
        seen.TBT += Math.max(0, end - Math.max(entry.startTime, shown) - 50);
    });
    watch("layout-shift", entry => { if (!entry.hadRecentInput) seen.CLS += entry.value; });
}"""


def measure(browser: Browser, root: str, name: str) -> dict[str, float]:
    """One page's figures, when nothing has come in for half a second."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, service_workers="block")
    page = context.new_page()
    asked = set()
    page.on("request", lambda request: asked.add(request.url.split("?")[0]))
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
    page.add_init_script(f"({OBSERVE})()")
    page.goto(f"{root}/{name}", wait_until="networkidle")
    page.wait_for_timeout(500)
    own = [HTML / url.removeprefix(f"{root}/") for url in asked if url.startswith(root) and "/_static/" not in url]
    figures = page.evaluate("() => seen") | {"MB": sum(path.stat().st_size for path in own) / 1e6}
    context.close()
    return figures


def row(name: str, figures: dict[str, float]) -> str:
    """A row of the table; what is over its limit is bold."""
    cells = [f"**{figures[kind]:.3g}**" if figures[kind] > limit else f"{figures[kind]:.3g}"
             for kind, limit in LIMITS.items()]
    return f"| {name} | {' | '.join(cells)} |"


def main(wanted: list[str]) -> None:
    from browser import launch
    from conftest import serving

    names = sorted(path.relative_to(HTML).as_posix() for path in HTML.rglob("*.html") if "_static" not in path.parts)
    names = [name for name in names if name != "index.html" and (not wanted or any(word in name for word in wanted))]
    head = ["| page | LCP (s) | TBT (ms) | CLS | MB |", "|---|---|---|---|---|",
            f"| at most | {' | '.join(str(limit) for limit in LIMITS.values())} |"]
    print(*head, sep="\n")
    rows = []
    with serving(HTML) as (root, _), sync_playwright() as playwright:
        browser = launch(playwright)
        for name in names:
            rows.append(row(name, measure(browser, root, name)))
            print(rows[-1], flush=True)
        browser.close()
    (ROOT / "_build" / "speed.md").write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
