// Typesets equations while the pages are written: runs in V8 (equations.py), after the files of MathJax.
const { _ } = MathJax;
const adaptor = _.adaptors.liteAdaptor.liteAdaptor();
_.a11y["assistive-mml"].AssistiveMmlHandler(_.handlers.html_ts.RegisterHTMLHandler(adaptor));

// These two would draw a wrong formula in red, or what it says; here it must fail.
const packages = _.input.tex.AllPackages.AllPackages.filter((name) => !["noerrors", "noundefined"].includes(name));
const tex = new _.input.tex_ts.TeX({ packages, formatError: (jax, error) => { throw error; } });
const svg = new _.output.svg_ts.SVG({ font: new _.output.svg.fonts.tex_ts.TeXFont(), fontCache: "global" });
const page = _.mathjax.mathjax.document("", { InputJax: tex, OutputJax: svg });

// The HTML of a formula, or why there is none.
function typeset(formula, display) {
  try {
    return [adaptor.outerHTML(page.convert(formula, { display })), ""];
  } catch (error) {
    return ["", error.message];
  }
}

// The outlines of all signs that were needed so far: {id: path}.
function outlines() {
  return Object.fromEntries(adaptor.childNodes(svg.fontCache.getCache()).map((path) => [adaptor.getAttribute(path, "id"), adaptor.outerHTML(path)]));
}

function style() {
  return adaptor.textContent(svg.styleSheet(page));
}
