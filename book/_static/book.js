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

window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  document.querySelectorAll(SCROLLERS).forEach((box) => watcher.observe(box));
});
