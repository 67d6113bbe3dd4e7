// The explorers of attention: one module, two homes. A live notebook calls render({ model, el }) through anywidget;
// a static page calls mountAll(), which finds the data in the page. State lives in the model alone: every control
// sets a trait, every trait that changes asks for a frame, and a frame draws everything from the traits.
//
// The module is the sum of these files, in the order that base.py gives: first tools.js, packed.js, explorer.js,
// photograph.js, channels.js and homes.js, which all explorers share; then a file for each kind.

const MAGMA = "0000040a08221d114736106b51127c6a1c818326819c2e7fb73779d0416fe75263f56b5cfc8961fea772fec488fde2a3fcfdbf";
const BLUE_RED = "0530612065ab4393c390c4ddd1e5f0f7f6f6fddbc7f3a481d6604db1182b67001f";
const SAVE_EVERY = 60; // ms between messages to a kernel
const SETTLED = 300; // ms without change after which the read-out is announced
const MOST_SEGMENTS = 6; // more options than this become a menu
const AXIS = 40; // px left of a chart for its numbers

// ---------------------------------------------------------------- small tools

// A live notebook loads this module once for each explorer: a counter alone would give the same names twice.
const here = Math.random().toString(36).slice(2, 8);
let made = 0;
const freshId = () => `attention-explorer-${here}-${++made}`;
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const range = (n) => Array.from({ length: n }, (_, i) => i);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Lets the page answer the reader between two pieces of long work.
const breath = () => new Promise((resolve) => setTimeout(resolve));

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function number(x, digits = 3) {
  if (x === 0) return "0";
  const text = Math.abs(x) < 1e-6 ? x.toExponential(digits - 1) : x.toPrecision(digits);
  return text.replace("-", "−");
}

const short = (x) => String(Number(x.toPrecision(3))).replace("-", "−");

function colourTable(hex) {
  const anchors = hex.match(/.{6}/g).map((c) => [0, 2, 4].map((i) => parseInt(c.slice(i, i + 2), 16)));
  const table = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (anchors.length - 1);
    const left = Math.min(Math.floor(at), anchors.length - 2);
    for (let c = 0; c < 3; c++) table[3 * i + c] = anchors[left][c] + (at - left) * (anchors[left + 1][c] - anchors[left][c]);
  }
  return table;
}

// Round numbers between low and high, one to `most` intervals apart.
function roundTicks(low, high, most = 5) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((s) => s * power >= rough * (1 - 1e-9)) * power;
  const first = Math.ceil(low / step - 1e-6);
  return range(Math.floor(high / step + 1e-6) - first + 1).map((i) => Number(((first + i) * step).toPrecision(6)));
}

// A colour scale: values → position t in [0, 1] on a table, opacity over the photograph, and the numbers of its bar.
function linearScale(low, high) {
  const table = colourTable(low < 0 ? BLUE_RED : MAGMA);
  const t = (value) => clamp((value - low) / (high - low), 0, 1);
  const opacity = low < 0 ? (u) => Math.min(0.92, 0.05 + 2 * Math.abs(u - 0.5)) : (u) => 0.12 + 0.83 * Math.sqrt(u);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((u) => [u, short(low + u * (high - low))]);
  return { table, t, opacity, ticks };
}

// Whole decades down from `high`, as many as reach `low`.
function logScale(low, high) {
  const decades = Math.max(2, Math.ceil(Math.log10(high / low)));
  const t = (value) => (value > 0 ? clamp(1 + Math.log10(value / high) / decades, 0, 1) : 0);
  const ticks = range(decades + 1).map((i) => [i / decades, short(high * 10 ** (i - decades))]);
  return { ...linearScale(0, 1), t, ticks };
}
