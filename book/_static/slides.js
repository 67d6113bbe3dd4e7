// A page's pictures and explorers one by one, as large as the screen, for a projector: the address #slides, or #slides=4.
// They stay where they are in the page, so an explorer goes on from the state it is in.
const slides = [...document.querySelectorAll(".bd-article :is(figure, .attention-explorer)")].filter(
  (node) => !node.closest("details, .admonition") && !node.parentElement.closest("figure, .attention-explorer"),
);
const headings = [...document.querySelectorAll(".bd-article :is(h1, h2, h3)")];
const ASKED = /^#slides(?:=(\d+))?$/;
const OWN_KEYS = "a, input, select, textarea, [role=slider], [role=application]"; // what has a use of its own for the arrows

// What a slide stands under: the last heading before it.
function standsUnder(slide) {
  const before = headings.filter((one) => one.compareDocumentPosition(slide) & Node.DOCUMENT_POSITION_FOLLOWING);
  return before.at(-1)?.firstChild.textContent ?? document.title;
}

class Slides {
  constructor() {
    this.at = -1; // none is shown
    this.words = document.createElement("p");
    this.words.setAttribute("aria-live", "polite");
    this.buttons = { "‹": ["Previous slide", () => this.go(this.at - 1)], "›": ["Next slide", () => this.go(this.at + 1)], "×": ["End the slides", () => this.end()] };
    this.bar = document.createElement("nav");
    this.bar.className = "slides-bar";
    this.bar.setAttribute("aria-label", "Slides");
    this.bar.append(this.words, ...Object.entries(this.buttons).map(([sign, [label, act]]) => slideButton(sign, label, act)));
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("hashchange", () => this.asked());
    this.asked();
  }

  // The address may ask for a slide.
  asked() {
    const found = ASKED.exec(location.hash);
    if (found) this.go(Number(found[1] ?? 1) - 1);
  }

  go(to) {
    slides[this.at]?.classList.remove("slide");
    if (this.at < 0) document.body.append(this.bar);
    this.at = Math.min(Math.max(to, 0), slides.length - 1);
    slides[this.at].classList.add("slide");
    slides[this.at].scrollTop = 0;
    document.documentElement.classList.add("in-slides");
    this.words.textContent = `${this.at + 1} of ${slides.length}: ${standsUnder(slides[this.at])}`;
    history.replaceState(null, "", `#slides=${this.at + 1}`);
  }

  end() {
    const last = slides[this.at];
    last.classList.remove("slide");
    this.at = -1;
    this.bar.remove();
    document.documentElement.classList.remove("in-slides");
    history.replaceState(null, "", location.pathname + location.search);
    last.scrollIntoView();
  }

  key(event) {
    const taken = event.defaultPrevented && event.key !== "Escape"; // which Sphinx takes everywhere, for its search
    if (this.at < 0 || taken || event.target.closest(OWN_KEYS)) return;
    const acts = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 };
    if (event.key === "Escape") this.end();
    else if (acts[event.key]) this.go(this.at + acts[event.key]);
    else return;
    event.preventDefault();
  }
}

function slideButton(sign, label, act) {
  const node = document.createElement("button");
  Object.assign(node, { type: "button", textContent: sign, title: label, onclick: act });
  node.setAttribute("aria-label", label);
  return node;
}

// A page with no more than one thing to show needs no slides.
if (slides.length > 1) {
  const shown = new Slides();
  const start = slideButton("", "Slides: the pictures one by one", () => shown.go(0));
  start.className = "btn slides-start";
  start.innerHTML = '<i class="fas fa-tv" aria-hidden="true"></i>';
  document.querySelector(".article-header-buttons")?.prepend(start);
}
