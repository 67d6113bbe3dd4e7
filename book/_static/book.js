// Let the keyboard reach what scrolls sideways: wide equations and tables. (The theme does it for code.)
const WORDS = { "MJX-CONTAINER": "Wide equation, scrolls sideways", DIV: "Wide table, scrolls sideways" };

const watcher = new ResizeObserver((entries) => {
  for (const { target } of entries) {
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
  const boxes = document.querySelectorAll("mjx-container[display], .pst-scrollable-table-container");
  boxes.forEach((box) => watcher.observe(box));
});
