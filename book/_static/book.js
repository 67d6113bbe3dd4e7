// Let the keyboard reach what scrolls sideways. (The theme does so for code, once: not for what is unfolded later.)
const WORDS = {
  "MJX-CONTAINER": "Wide equation, scrolls sideways",
  DIV: "Wide table, scrolls sideways",
  PRE: "Long lines, scroll sideways",
};
const SCROLLERS = "main :is(mjx-container[display], .pst-scrollable-table-container, pre)";

// An equation that is wider than a phone is set smaller, down to this share; only a longer one scrolls.
const SMALLEST = 0.6;

function fit(equation) {
  equation.style.fontSize = "";
  const share = equation.clientWidth / equation.scrollWidth;
  if (share < 1) equation.style.fontSize = `${Math.max(SMALLEST, 0.99 * share) * 100}%`;
}

const watcher = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.tagName === "MJX-CONTAINER") fit(target);
    if (target.scrollWidth > target.clientWidth) {
      target.tabIndex = 0;
      target.setAttribute("role", "group");
      target.setAttribute("aria-label", WORDS[target.tagName]);
    } else {
      ["tabindex", "role", "aria-label"].forEach((name) => target.removeAttribute(name));
    }
  }
});

document.querySelectorAll(SCROLLERS).forEach((box) => watcher.observe(box));

// What a link leads to may be folded, and not every browser unfolds it.
function unfold() {
  const folded = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("details");
  if (folded) folded.open = true;
}

unfold();
window.addEventListener("hashchange", unfold);

// On paper an explorer is its picture or its table, which its script will replace, and a sentence. (book.css)
for (const explorer of document.querySelectorAll(".attention-explorer")) {
  const still = document.createElement("div");
  still.className = "on-paper";
  still.append(...Array.from(explorer.querySelectorAll(":scope > :is(img, .ax-scroll)"), (part) => part.cloneNode(true)));
  const sentence = document.createElement("p");
  sentence.textContent = "On the page, this moves: you change it, and see what follows.";
  if (location.protocol.startsWith("http")) sentence.textContent += ` ${location.origin}${location.pathname}`;
  still.append(sentence);
  explorer.after(still);
}

// A page on disk may not read another, so a search there shows its hits without their first lines.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Paper is white.
let theme;
matchMedia("print").addEventListener("change", ({ matches }) => {
  if (matches) theme = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = matches ? "light" : theme;
});

// Where the book is served it can be installed, and what was read is there without a network. From disk all is there.
if (location.protocol.startsWith("http") && navigator.serviceWorker) {
  const root = new URL(document.documentElement.dataset.content_root, location.href);
  const manifest = document.createElement("link");
  Object.assign(manifest, { rel: "manifest", href: new URL("book.webmanifest", root) });
  document.head.append(manifest);
  window.addEventListener("load", () => navigator.serviceWorker.register(new URL("worker.js", root)));
  window.addEventListener("appinstalled", async () => (await navigator.serviceWorker.ready).active.postMessage("all"));
}
