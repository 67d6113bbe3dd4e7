"""The built pages: pictures, hosts, errors, weight, phones, accessibility, motion, paper."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, BrowserContext, Page, expect

from conftest import HTML, ROOT, Watch, violations, watch_context

PAGES = sorted(
    path.relative_to(HTML).as_posix()
    for path in HTML.rglob("*.html")
    if not {"_static", "_sources"} & set(path.relative_to(HTML).parts)
)
# Sphinx writes these besides the pages of _toc.yml; index.html only leads to book/index.html.
READ_PAGES = [page for page in PAGES if page != "index.html"]
EVERY_PAGE = pytest.mark.parametrize("name", READ_PAGES)

WEIGHT_LIMIT_BYTES = 2_500_000
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@functools.cache
def parsed(name: str) -> BeautifulSoup:
    return BeautifulSoup((HTML / name).read_text(encoding="utf-8"), "html.parser")


def settle(page: Page) -> None:
    """Wait until the page's scripts and pictures are done."""
    page.wait_for_load_state("load")
    page.evaluate("() => document.fonts.ready")


@dataclass
class Opened:
    """A page from disk, as most people read it, open in a browser at desktop width and in light mode."""

    name: str
    page: Page
    watch: Watch
    weight: dict[str, int]
    """The bytes of every answer that the page got, by address."""


@pytest.fixture(scope="module", params=READ_PAGES)
def opened(request: pytest.FixtureRequest, browser: Browser, book_html: Path) -> Iterator[Opened]:
    """Each page of the book in turn, loaded once for all the tests that look at it."""
    context = browser.new_context(viewport=DESKTOP, color_scheme="light", reduced_motion="reduce",
                                  service_workers="block")
    watch = watch_context(context)
    weight: dict[str, int] = {}
    page = context.new_page()
    page.on("response", lambda response: weight.update({response.url: len(response.body())}))
    page.goto((book_html / request.param).as_uri())
    settle(page)
    yield Opened(request.param, page, watch, weight)
    context.close()


def test_every_page_of_the_contents_is_built() -> None:
    named = re.findall(r"(?:root|file):\s*(\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert named
    assert not [name for name in named if f"{name}.html" not in PAGES]


@EVERY_PAGE
def test_every_picture_has_alt_text_in_words(name: str) -> None:
    wordless = [
        image.get("src", "")[:80]
        for image in parsed(name).find_all("img")
        if " " not in image.get("alt", "").strip()
    ]
    assert not wordless


@pytest.mark.thorough
def test_page_asks_no_other_host_and_throws_no_error(opened: Opened) -> None:
    assert opened.watch.foreign == []
    assert opened.watch.errors == []


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["book/index.html", "book/chapters/04-bam.html", "book/chapters/12-transformer.html",
                                  "book/gallery.html", "search.html"])
def test_a_served_page_asks_no_other_host_and_throws_no_error(
    name: str, page: Page, watch: Watch, book_url: str
) -> None:
    page.goto(f"{book_url}/{name}")
    settle(page)
    assert watch.foreign == []
    assert watch.errors == []


def test_page_is_light(opened: Opened, book_html: Path) -> None:
    shared = f"{book_html.as_uri()}/_static/"
    own = {url: size for url, size in opened.weight.items() if not url.startswith(shared)}
    assert own
    assert sum(own.values()) < WEIGHT_LIMIT_BYTES, own


AWAITED = "script[src]:not([defer], [async], [src*=documentation_options])"
UNUSED = ":is([src*=fontawesome], [src*=mathjax], [src*=require], [src*=thebe])"
INDEX = ":is([src*=searchindex], [src*=searchtools], [src*=language_data])"


@EVERY_PAGE
def test_page_waits_for_no_script_and_loads_none_that_it_does_not_use(name: str) -> None:
    page = parsed(name)
    assert page.select("script[src][defer]")
    assert page.select(AWAITED) == []
    assert page.select(f"script{UNUSED}") == []
    assert bool(page.select(f"script{INDEX}")) == (name == "search.html")


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_light_or_dark_is_known_before_any_script_comes(page: Page, book_url: str, mode: str) -> None:
    """Else every page is laid out once more when the theme's last script has run."""
    page.emulate_media(color_scheme=mode)
    page.route("**/*.js*", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto(f"{book_url}/book/glossary.html")
    assert page.evaluate("() => document.documentElement.dataset.theme") == mode


CLS_LIMIT = 0.05
SHIFTS = """() => new Promise(done => {
    new PerformanceObserver(list => done(list.getEntries().map(entry => entry.value)))
        .observe({ type: "layout-shift", buffered: true });
    setTimeout(() => done([]), 500);
})"""


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["chapters/05-sk", "glossary", "index", "notation", "photographs"])
def test_nothing_jumps_while_a_page_comes(page: Page, book_url: str, name: str) -> None:
    """On a slow processor too, where the browser draws what it has while the rest of the page is still to come.

    The better of two loads: where the machine is busy, a page may come in pieces, and a table with half its rows.
    """
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 4})

    def jumps() -> float:
        page.goto(f"{book_url}/book/{name}.html", timeout=120_000)
        page.wait_for_function("() => !document.querySelector('.attention-explorer:not(:has(canvas))')",
                               timeout=120_000)
        return sum(page.evaluate(SHIFTS))

    assert jumps() <= CLS_LIMIT or jumps() <= CLS_LIMIT


ROOMS = """() => [...document.querySelectorAll("main :is(.picture, .cell_input pre)")]
    .filter(box => box.checkVisibility()).map(box => box.getBoundingClientRect().height)"""


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_what_is_not_laid_out_yet_has_the_room_that_it_will_take(page: Page, book_url: str, size: dict) -> None:
    page.set_viewport_size(size)
    page.goto(f"{book_url}/book/chapters/05-sk.html")
    settle(page)
    page.add_style_tag(content="main section { content-visibility: visible !important; }")     # theirs is a guess
    before = page.evaluate(ROOMS)
    page.add_style_tag(content="main * { content-visibility: visible !important; }")
    after = page.evaluate(ROOMS)
    assert len(before) == len(after) > 15
    assert [(a, b) for a, b in zip(before, after, strict=True) if abs(a - b) > 1] == []


# A heading stands at the top of the window, or the page has come to its end.
REACHED = """name => {
    const { top } = document.getElementById(name).getBoundingClientRect();
    return (-5 < top && top < 150) || innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
}"""


@pytest.mark.parametrize("name", ["chapters/07-self-attention", "chapters/published-counts", "api"])
def test_the_contents_lead_to_their_headings_wherever_those_are_laid_out(page: Page, book_url: str, name: str) -> None:
    """The room of the sections above is a guess until they come near."""
    page.set_viewport_size(DESKTOP)
    page.goto(f"{book_url}/book/{name}.html")
    settle(page)
    links = page.locator(".bd-sidebar-secondary a[href^='#']").evaluate_all("all => all.map(link => link.hash)")
    assert len(links) > 3
    for hash_ in reversed(links):
        page.evaluate("hash => { location.hash = hash; }", hash_)
        page.wait_for_function(REACHED, arg=unquote(hash_[1:]))


def test_code_is_not_measured_before_a_reader_comes_near(page: Page, book_url: str) -> None:
    """The theme marks each block of code, read or not; book.js those that scroll, once they are laid out."""
    page.goto(f"{book_url}/book/chapters/05-sk.html")
    settle(page)
    page.get_by_role("status").first.wait_for()
    page.wait_for_timeout(500)
    assert page.locator("pre").count() > 10
    assert page.locator("pre[tabindex='-1']").count() == 0


def test_a_link_unfolds_what_it_leads_to(page: Page, book_url: str) -> None:
    page.goto(f"{book_url}/book/chapters/11-which-one.html")
    settle(page)
    row = page.locator("#row-external")
    assert not row.locator("xpath=ancestor::tr").is_visible()
    page.locator("a[href='#row-external']").first.click()
    expect(row.locator("xpath=ancestor::tr")).to_be_visible()
    page.goto("about:blank")
    page.goto(f"{book_url}/book/chapters/11-which-one.html#row-external")
    expect(row.locator("xpath=ancestor::tr")).to_be_visible()


@pytest.mark.parametrize(("state", "read"), [("green", 3), ("old sums", 9), ("eight", 9)])
def test_eight_of_the_sums_bring_back_the_old_answer(page: Page, book_url: str, state: str, read: int) -> None:
    page.goto(f"{book_url}/book/chapters/10-external.html#try=external:{state}")
    live = page.locator(".attention-explorer[data-kind=live] [role=status]")
    expect(live).to_contain_text(f"The network reads {read}", timeout=30_000)


NAVIGATION = ".bd-sidebar, .bd-header-article, .prev-next-footer, #pst-back-to-top, .copybtn, .headerlink"
FOLDED = "main :is(details:not([open]), .toggle-hidden)"


@pytest.mark.thorough
def test_paper_holds_the_page_and_nothing_to_press(opened: Opened) -> None:
    page = opened.page
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
    folded, explorers = page.locator(FOLDED).count(), page.locator(".attention-explorer").count()
    assert page.locator(f":is({NAVIGATION}):visible").count() > 0
    page.emulate_media(media="print")
    page.wait_for_function("() => document.documentElement.dataset.theme === 'light'")
    assert page.locator(f":is({NAVIGATION}, main button, main input, main select, canvas):visible").count() == 0
    assert page.locator("main h1").first.is_visible()
    assert page.locator(FOLDED).count() == folded
    assert page.locator(".attention-explorer:visible").count() == 0
    stills = page.locator(".on-paper:visible").all()
    assert len(stills) == explorers
    assert all(still.locator(":is(img, table):visible").count() == 1 and "this moves" in still.inner_text()
               for still in stills)
    page.emulate_media(media="screen", color_scheme="light")
    page.wait_for_function("() => document.documentElement.dataset.theme === 'light'")
    assert page.locator(".on-paper:visible").count() == 0


# And laid out: of what is not, nobody knows whether it is cut, and axe takes what overflows its room for something to
# scroll.
UNFOLD = """() => {
    document.head.append(Object.assign(document.createElement("style"), {
        textContent: "main * { content-visibility: visible !important; }" }));
    document.querySelectorAll("main details").forEach(box => { box.open = true; });
    document.querySelectorAll(".toggle-hidden").forEach(box => box.classList.remove("toggle-hidden"));
    return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""


# A chapter has five thousand coloured words of code in a dozen colours, and equations and drawings of as many strokes.
# Of words that look alike one is looked at; a stroke is nothing to axe.
THIN = """() => {
    document.querySelectorAll("svg[aria-hidden=true] :is(path, use)").forEach(stroke => stroke.remove());
    const looks = new Set();
    const alike = [...document.querySelectorAll(".highlight pre span[class]")].filter(word => {
        const look = word.className + getComputedStyle(word.closest("pre")).backgroundColor;
        return looks.has(look) || !looks.add(look);
    });
    alike.forEach(word => word.replaceWith(...word.childNodes));
}"""


# The contrast of a chapter's thousands of words would take ten seconds. Of those that look alike one is looked at: of
# one colour, size and weight, on one ground. Returns how many looks there are.
LOOKS = """() => {
    const looks = new Set();
    const ground = (element) => {
        const { backgroundColor, backgroundImage } = getComputedStyle(element);
        const bare = backgroundImage === "none" && /, 0\\)$/.test(backgroundColor);
        return bare && element.parentElement ? ground(element.parentElement) : backgroundColor + backgroundImage;
    };
    const opacity = (element) => element ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1;
    document.querySelectorAll("[data-look]").forEach(element => element.removeAttribute("data-look"));
    for (const element of document.body.querySelectorAll(":not(script, style, noscript)")) {
        const words = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
        if (!words || !element.checkVisibility()) continue;
        const { color, fontSize, fontWeight } = getComputedStyle(element);
        const look = [color, fontSize, fontWeight, opacity(element), ground(element)].join();
        if (!looks.has(look)) element.dataset.look = "";
        looks.add(look);
    }
    return looks.size;
}"""


@pytest.mark.thorough
@pytest.mark.parametrize(("size", "mode"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")],
                         ids=["desktop-light", "desktop-dark", "phone"])
def test_axe_finds_no_violation(opened: Opened, size: dict[str, int], mode: str) -> None:
    """What is folded away is looked at too. (`opened` asks for no motion: while a word fades in it has no contrast.)

    What is not contrast is the same in the dark.
    """
    page = opened.page
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=mode)
    page.wait_for_function(f"() => document.documentElement.dataset.theme === '{mode}'")
    page.evaluate(UNFOLD)
    page.evaluate(THIN)
    assert page.evaluate(LOOKS) > 1
    found = violations(page, "[data-look]", runOnly=["color-contrast"])
    if mode == "light":
        found += violations(page, rules={"color-contrast": {"enabled": False}})
    page.set_viewport_size(DESKTOP)
    assert found == []


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_that_leads_to_the_first_is_whole(
    context: BrowserContext, watch: Watch, book_url: str, mode: str, size: dict[str, int]
) -> None:
    page = context.new_page()
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=mode)
    # 204: the browser stays where it is.
    page.route("**/book/index.html", lambda route: route.fulfill(status=204))
    page.goto(f"{book_url}/index.html", wait_until="commit")
    page.wait_for_selector("h1")
    assert violations(page) == []
    page.unroute("**/book/index.html")
    page.get_by_role("link", name="Begin to read").click()
    page.wait_for_url("**/book/index.html")
    assert watch.errors == []


@pytest.mark.parametrize("name", PAGES)
def test_page_has_the_books_icon(name: str) -> None:
    """Without, a browser asks the server for one of its own choice, and meets a 404."""
    icon = parsed(name).select_one("link[rel=icon]")
    assert icon
    assert ((HTML / name).parent / icon["href"]).resolve() == HTML.resolve() / "_static" / "favicon.svg"


# Elements that would move, for whom `opened` asks that nothing does.
MOVING = """() => [...document.querySelectorAll("body *:not(svg *, mjx-container *)")].filter(element =>
    [null, "::before", "::after"].some(part => {
        const style = getComputedStyle(element, part);
        const seconds = `${style.transitionDuration}, ${style.animationDuration}`.split(", ").map(parseFloat);
        return style.scrollBehavior === "smooth" || Math.max(...seconds) > 0.01;
    })).slice(0, 5).map(element => element.outerHTML.slice(0, 120))"""


def test_nothing_moves_where_less_motion_was_asked_for(opened: Opened) -> None:
    assert opened.page.evaluate("() => matchMedia('(prefers-reduced-motion: reduce)').matches")
    assert opened.page.evaluate(MOVING) == []


def test_page_is_readable_on_a_phone(opened: Opened) -> None:
    page = opened.page
    page.set_viewport_size(PHONE)
    width, culprits = page.evaluate(
        """() => [document.documentElement.scrollWidth, [...document.querySelectorAll("main *")]
            .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
            .slice(0, 5).map(e => e.outerHTML.slice(0, 100))]"""
    )
    page.set_viewport_size(DESKTOP)
    assert width <= PHONE["width"], culprits
