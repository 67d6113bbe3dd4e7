// What of an open page goes on paper: its article as XHTML, in which nothing is to be pressed. (scripts/paper.py runs this.)
// Each id begins with its page's name. Pages that stand apart, for an e-reader, are files; otherwise all are one document.
({ name, folder, site, pages, apart, stills }) => {
  // What book.css says of a drawing, for one that stands alone.
  const DRAWN = `color: #000; fill: currentColor; stroke-linecap: butt; stroke-linejoin: round;
    font-family: "DejaVu Sans", Verdana, "Lucida Grande", "Bitstream Vera Sans", sans-serif`;
  const article = document.querySelector("article.bd-article").cloneNode(true);
  const all = (selector, root = article) => [...root.querySelectorAll(selector)];
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const text = (node) => node.textContent.replace(/\s+/g, " ").trim();
  const id = (own, page = name) => (own ? `${page}--${own}` : page);
  const to = (target, page = name) => (apart ? `${page}.xhtml#${target}` : `#${target}`);
  const pageOf = (target) => (apart ? [] : [" (page ", make("span", { class: "page", "data-to": target }, "000"), ")"]);
  const live = `${site}${folder}${name}.html`;

  // An explorer is a picture of itself, as it begins, and the address at which it moves.
  for (const explorer of all(".attention-explorer")) {
    const { file, alt } = stills.shift();
    const table = all("table", explorer.nextElementSibling ?? explorer).slice(0, explorer.dataset.kind === "table" ? 1 : 0);
    explorer.replaceWith(make("figure", { class: "still" }, make("img", { src: file, alt }), ...table,
      make("figcaption", {}, "On the page this moves: you change it, and see what follows. ", make("a", { href: live }, live))));
  }

  all(`script, style, button, .headerlink, .on-paper, .toctree-wrapper, .picture > .${apart ? "wide" : "narrow"}`).forEach((node) => node.remove());
  all(".toggle-hidden").forEach((node) => node.classList.remove("toggle-hidden"));
  for (const node of all(":is(pre, mjx-container, .pst-scrollable-table-container)[tabindex]")) ["tabindex", "role", "aria-label"].forEach((key) => node.removeAttribute(key));
  if (apart) all("mjx-container").forEach((node) => node.replaceWith(node.querySelector("math")));

  // What the page folds away stands at its end, by kind; in its place stands where.
  const ends = { "Answers to the predictions": [], Solutions: [], "Code that the page folds away": [] };
  const [answers, solutions, codes] = Object.values(ends);
  const folded = all("details, .solution.dropdown").filter((node) => !node.parentElement.closest("details, .solution.dropdown"));
  folded.forEach((fold, number) => {
    const here = `folded-from-${number + 1}`, there = `folded-${number + 1}`;
    const top = fold.querySelector(":scope > summary, :scope > .admonition-title");
    const title = top.querySelector(".collapsed, .sd-summary-title") ?? top;
    const code = fold.matches(".hide");
    const words = code ? `${codes.length + 1}. ${text(title).replace("Show the code", "The code")}` : text(title);
    top.remove();
    fold.replaceWith(make("p", { class: code ? "folded-away" : fold.matches(".solution") ? "solved" : "choice", id: here },
      make("a", { href: `#${there}` }, words), ...pageOf(id(there))));
    (code ? codes : fold.matches(".solution") ? solutions : answers).push(make("div", { class: "folded", id: there },
      make("p", { class: "folded-title" }, make("a", { href: `#${here}` }, words), ...pageOf(id(here))), ...fold.childNodes));
  });
  const section = article.querySelector(":scope > section");
  for (const [heading, parts] of Object.entries(ends)) {
    if (parts.length) section.append(make("section", { class: "folds", id: heading.split(" ")[0] }, make("h2", {}, heading), ...parts));
  }

  // Outlines of an equation's signs may stand outside of the article.
  const inside = new Set(all("[id]").map((node) => node.id));
  const outside = new Set(all("use").map((node) => (node.getAttribute("href") ?? node.getAttribute("xlink:href")).slice(1)).filter((one) => !inside.has(one)));
  if (outside.size) {
    const store = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    store.setAttribute("style", "display: none");
    store.append(...[...outside].map((one) => document.getElementById(one).cloneNode(true)));
    article.prepend(store);
  }

  const root = document.baseURI.slice(0, document.baseURI.indexOf(`${folder}${name}.html`));
  for (const link of all("a[href]")) {
    const url = new URL(link.getAttribute("href"), document.baseURI);
    if (!url.href.startsWith(root)) continue;
    const [path, fragment] = url.href.slice(root.length).split("#");
    const page = pages[path];
    if (page === undefined || link.matches(".ax-try")) {
      link.href = `${site}${url.href.slice(root.length)}`;
      continue;
    }
    const target = id(fragment && decodeURIComponent(fragment), page);
    link.setAttribute("href", to(target, page));
    if (page !== name && page !== "references") link.after(...pageOf(target));
  }

  // Ids are unique, and the first of equal ones is the one meant.
  const seen = new Set();
  for (const node of all("[id]")) {
    if (seen.has(node.id)) node.removeAttribute("id");
    else seen.add(node.id) && (node.id = id(node.id));
  }
  for (const node of all("*")) {
    for (const { name: key, value } of [...node.attributes]) {
      if (key === "href" || key === "xlink:href") node.matches("use") && node.setAttribute(key, `#${id(value.slice(1))}`);
      else if (value.includes("url(#")) node.setAttribute(key, value.replace(/url\(#/g, `url(#${name}--`));
      else if (["aria-labelledby", "aria-describedby", "headers"].includes(key)) node.setAttribute(key, value.split(" ").map((one) => id(one)).join(" "));
    }
  }
  article.id = id();

  // Chromium's tags have words for an img, and none for what is drawn in the text. A drawing that stands alone takes
  // with it what the page's drawings share: signs, photographs, frames.
  const shared = new Map(all("svg [id]").map((node) => [node.id, node.cloneNode(true)]));
  const serialized = (node) => new XMLSerializer().serializeToString(node);
  for (const picture of apart ? [] : all(".picture[role=img]")) {
    const [svg] = all("svg", picture);
    svg.setAttribute("style", DRAWN);
    svg.removeAttribute("aria-hidden");
    const needed = new Set([...serialized(svg).matchAll(/(?:href="|url\()#([^")]+)/g)].map(([, one]) => one));
    const defs = document.createElementNS("http://www.w3.org/2000/svg", "defs");
    defs.append(...[...needed].filter((one) => !svg.querySelector(`[id="${one}"]`)).map((one) => shared.get(one).cloneNode(true)));
    svg.prepend(defs);
    const colours = new Set(serialized(svg).match(/--[a-z][\w-]*(?=[,)])/g));
    for (const colour of colours) svg.style.setProperty(colour, getComputedStyle(document.documentElement).getPropertyValue(colour));
    const drawing = make("img", { alt: picture.getAttribute("aria-label"), src: `data:image/svg+xml,${encodeURIComponent(serialized(svg))}` });
    svg.replaceWith(drawing);
    ["role", "aria-label"].forEach((key) => picture.removeAttribute(key));
  }
  return {
    title: text(article.querySelector("h1")),
    headings: all("h1, h2, h3, h4").map(text),
    sections: all("section > h2").map((heading) => [heading.parentElement.id, text(heading)]),
    xhtml: serialized(article),
  };
};
