// The explorers of attention: one module, two homes. A live notebook calls render({ model, el }) through anywidget;
// a static page calls mountAll(), which finds the data in the page. State lives in the model alone: every control
// sets a trait, every trait that changes asks for a frame, and a frame draws everything from the traits.

const MAGMA = "0000040a08221d114736106b51127c6a1c818326819c2e7fb73779d0416fe75263f56b5cfc8961fea772fec488fde2a3fcfdbf";
const BLUE_RED = "0530612065ab4393c390c4ddd1e5f0f7f6f6fddbc7f3a481d6604db1182b67001f";
// Branches from the smallest kernel to the largest: white print is read on the first, dark print on the second.
const BRANCHES = { light: "b4500a96266d5b3aa80b4f8a", dark: "ffb15cff93c4c3a9ff7ac7ff" };
const SIMILARITY = { dot: "q·k", "scaled dot": "q·k / √d", cosine: "cosine", distance: "−‖q − k‖²" };
const SAVE_EVERY = 60; // ms between messages to a kernel
const SETTLED = 300; // ms without change after which the read-out is announced
const MOVE = 240; // ms in which bars move to a new height
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
  const opacity = low < 0 ? (u) => Math.min(0.92, 0.05 + 2 * Math.abs(u - 0.5)) : (u) => 0.3 + 0.65 * Math.sqrt(u);
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

// ---------------------------------------------------------------- data

function halfToFloat(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const VIEWS = { float32: Float32Array, float16: Uint16Array, uint16: Uint16Array, uint8: Uint8Array, int8: Int8Array, int16: Int16Array, int32: Int32Array };

function readArray(entry, buffer) {
  if (entry.deflated) return inflate(new Uint8Array(buffer, entry.offset, entry.deflated));
  const length = entry.shape.reduce((a, b) => a * b, 1);
  const raw = new VIEWS[entry.dtype](buffer, entry.offset, length);
  if (entry.dtype === "float16") return Float32Array.from(raw, halfToFloat);
  if (entry.span) return Float32Array.from(raw, (code) => (code ? ((code - 1) / 65534 - 1) * entry.span : -Infinity));
  if (entry.unit) return Float32Array.from(raw, (code) => code * entry.unit);
  return raw;
}

// A promise of the bytes: a page cannot wait for a stream.
async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

class Photographs {
  constructor(entry, buffer) {
    this.shape = entry.shape;
    this.blobs = entry.files.map((f) => new Blob([new Uint8Array(buffer, f.offset, f.bytes)], { type: f.mime }));
    this.ready = this.blobs.map(() => null);
    this.urls = [];
  }

  async load(i) {
    const bitmap = await createImageBitmap(this.blobs[i]);
    const muted = element("canvas"); // half the saturation: under a map things keep their colour, and yield to it
    [muted.width, muted.height] = [bitmap.width, bitmap.height];
    const context = muted.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const pixels = context.getImageData(0, 0, muted.width, muted.height);
    for (let p = 0; p < pixels.data.length; p += 4) {
      const grey = 0.2126 * pixels.data[p] + 0.7152 * pixels.data[p + 1] + 0.0722 * pixels.data[p + 2];
      for (let c = p; c < p + 3; c++) pixels.data[c] = (pixels.data[c] + grey) / 2;
    }
    context.putImageData(pixels, 0, 0);
    this.ready[i] = { full: bitmap, muted };
  }

  url(i) {
    return (this.urls[i] ??= URL.createObjectURL(this.blobs[i]));
  }

  close() {
    this.urls.forEach((url) => URL.revokeObjectURL(url));
  }
}

// ---------------------------------------------------------------- what the explorers share

class Explorer {
  constructor(model, root, traits) {
    this.model = model;
    this.root = root;
    this.spec = model.get("spec");
    const data = model.get("data");
    const buffer = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
    this.arrays = {};
    for (const [name, entry] of Object.entries(this.spec.arrays)) {
      if (name === "images") this.photographs = new Photographs(entry, buffer);
      else this.arrays[name] = readArray(entry, buffer);
    }
    if (this.spec.grid) this.layGrid(...this.spec.grid);
    this.controls = [];
    this.kept = {};
    this.hovering = null;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.closers = [];
    for (const trait of traits) this.listen(trait);
    this.watchTheme();
  }

  // Places over the photograph, and the layer on which each is one pixel.
  layGrid(rows, columns) {
    Object.assign(this, { rows, columns, places: rows * columns });
    this.layer = element("canvas", { width: columns, height: rows });
    this.layerContext = this.layer.getContext("2d");
    this.layerPixels = this.layerContext.createImageData(columns, rows);
  }

  start() {
    const observer = new ResizeObserver(this.look); // also when the root first comes into the page
    observer.observe(this.root);
    this.closers.push(() => observer.disconnect());
    this.touch();
    if (this.photographs) this.loadPhotographs();
  }

  loadPhotographs() {
    const first = this.file();
    const rest = range(this.photographs.blobs.length).filter((i) => i !== first);
    this.photographs
      .load(first)
      .then(() => this.touch())
      .then(() => rest.reduce((before, i) => before.then(() => this.photographs.load(i)), Promise.resolve()))
      .then(() => this.touch());
  }

  close() {
    this.closers.forEach((closer) => closer());
    this.photographs?.close();
    cancelAnimationFrame(this.frame);
  }

  get(trait) {
    return this.model.get(trait);
  }

  set(trait, value) {
    if (this.get(trait) === value) return;
    this.model.set(trait, value);
    if (this.saving) return;
    this.model.save_changes();
    this.saving = setTimeout(() => {
      this.saving = null;
      this.model.save_changes();
    }, SAVE_EVERY);
  }

  listen(trait) {
    const changed = () => {
      if (this.hovering !== trait) this.kept[trait] = this.get(trait);
      this.touch();
    };
    this.kept[trait] = this.get(trait);
    this.model.on(`change:${trait}`, changed);
    this.closers.push(() => this.model.off(`change:${trait}`, changed));
  }

  touch() {
    this.frame ??= requestAnimationFrame((now) => this.drawAll(now));
  }

  drawAll(now) {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    if (!this.root.isConnected) return;
    for (const sync of this.controls) sync();
    this.draw(now);
  }

  // The page's own text colour tells whether it is dark, whatever the site: book, JupyterLab, VS Code, Colab.
  watchTheme() {
    const look = () => {
      const [r, g, b] = getComputedStyle(this.root.parentElement).color.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0];
      this.root.dataset.theme = 0.2126 * r + 0.7152 * g + 0.0722 * b > 127 ? "dark" : "light";
      const style = getComputedStyle(this.root);
      this.ink = {};
      for (const name of ["text", "muted", "line", "accent", "before", "after", "surface"]) {
        this.ink[name] = style.getPropertyValue(`--ax-${name}`).trim();
      }
      this.touch();
    };
    const observer = new MutationObserver(look);
    for (const node of [document.documentElement, document.body]) observer.observe(node, { attributes: true });
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", look);
    this.closers.push(() => observer.disconnect(), () => system.removeEventListener("change", look));
    this.look = look;
    look();
  }

  // What to choose above; the photograph beside what it says; how to paint it below; on a phone one after another.
  arrange(top, photograph, reading, painting, table) {
    const part = (name, nodes) => element("div", { class: name }, ...nodes);
    const body = part("ax-body", [part("ax-photograph", photograph), part("ax-reading", reading), part("ax-painting", painting)]);
    this.root.replaceChildren(part("ax-top", top), body, table);
  }

  makeHint(text) {
    return element("p", { class: "ax-hint" }, text);
  }

  // ------------------------------------------------------------ controls

  chooser(label, trait, options) {
    if (options.length < 2) return null;
    if (options.length > MOST_SEGMENTS && options.every((option) => option.file == null)) return this.menu(label, trait, options);
    const name = freshId();
    const inputs = options.map((option, i) =>
      element("input", { type: "radio", name, value: i, onchange: () => this.set(trait, option.value) }),
    );
    const segments = options.map((option, i) => {
      const picture = option.file == null ? null : element("img", { src: this.photographs.url(option.file), alt: "", class: "dark-light" });
      const swatch = option.colour && option.colour !== "currentColor" ? element("i", { class: "ax-dot", style: `background:${option.colour}` }) : null;
      const words = element("span", { class: picture ? "ax-caption" : false }, option.label);
      return element("label", { class: picture ? "ax-thumb" : "ax-segment" }, inputs[i], element("span", { class: "ax-face" }, picture, swatch, words));
    });
    this.controls.push(() => inputs.forEach((input, i) => (input.checked = options[i].value === this.get(trait))));
    return element("fieldset", { class: "ax-choice" }, element("legend", {}, label), element("div", { class: "ax-segments" }, ...segments));
  }

  menu(label, trait, options) {
    const id = freshId();
    const items = options.map((option, i) => element("option", { value: i }, option.label));
    const select = element("select", { id, onchange: () => this.set(trait, options[select.value].value) }, ...items);
    this.controls.push(() => (select.value = options.findIndex((option) => option.value === this.get(trait))));
    return element("div", { class: "ax-choice" }, element("label", { for: id }, label), select);
  }

  // A slider of whole steps; `read` tells the step it stands at, and in words what that step means.
  slider(label, steps, ends, slide, read, ...more) {
    const id = freshId();
    const moved = () => {
      slide(Number(input.value));
      this.drawAll(performance.now());
    };
    const input = element("input", { type: "range", id, min: 0, max: steps, oninput: moved });
    const value = element("b");
    this.controls.push(() => {
      const [step, words] = read();
      if (step !== Number(input.value)) input.value = step;
      input.setAttribute("aria-valuetext", words);
      say(value, words);
    });
    const [low, high] = ends.map((end) => element("span", { class: "ax-end" }, end));
    return element("div", { class: "ax-choice ax-slider" }, element("label", { for: id }, `${label} `, value), element("div", { class: "ax-row" }, low, input, high, ...more));
  }

  // A mark that the reader can take away; what it says is no state of the model.
  checkbox(label, changed) {
    const box = element("input", { type: "checkbox", checked: true, onchange: () => { changed(box.checked); this.touch(); } });
    return element("label", { class: "ax-check" }, box, label);
  }

  photographChooser() {
    const perPhotograph = this.photographs.shape.length === 5 ? this.photographs.shape[1] : 1;
    const options = this.spec.imageNames.map((label, value) => ({ label, value, file: value * perPhotograph }));
    return this.chooser("Photograph", "image", options);
  }

  // ------------------------------------------------------------ the photograph

  // `at` tells which value of the trait a pointer asks for.
  makeStage(trait, label, at, keys) {
    const shape = this.photographs.shape;
    const [height, width] = shape.slice(-3, -1);
    this.aspect = height / width;
    this.stage = element("canvas", {
      class: "ax-stage",
      tabindex: 0,
      role: "application",
      "aria-roledescription": "photograph",
      "aria-describedby": this.status.id,
      style: `aspect-ratio:${width} / ${height}`,
    });
    this.stageContext = this.stage.getContext("2d");
    this.pointable(this.stage, trait, at);
    this.stage.addEventListener("keydown", keys);
    this.controls.push(() => {
      const alt = this.spec.alt[this.get("image")];
      this.stage.setAttribute("aria-label", `${alt ? `${alt.replace(/\.$/, "")}. ` : ""}${label}`);
    });
    return this.stage;
  }

  makeGridStage(trait, label, letGo) {
    const at = (event) => {
      const box = this.stage.getBoundingClientRect();
      const column = clamp(Math.floor(((event.clientX - box.left) / box.width) * this.columns), 0, this.columns - 1);
      const row = clamp(Math.floor(((event.clientY - box.top) / box.height) * this.rows), 0, this.rows - 1);
      return row * this.columns + column;
    };
    return this.makeStage(trait, label, at, (event) => {
      const from = Math.max(0, this.get(trait));
      const next = this.step(event, Math.floor(from / this.columns), from % this.columns);
      if (next == null) return letGo?.(event);
      event.preventDefault();
      this.keep(trait, this.get(trait) < 0 ? from : next);
    });
  }

  step(event, row, column) {
    const far = event.shiftKey ? 5 : 1;
    const moves = {
      ArrowLeft: [row, column - far],
      ArrowRight: [row, column + far],
      ArrowUp: [row - far, column],
      ArrowDown: [row + far, column],
      Home: [row, 0],
      End: [row, this.columns - 1],
      PageUp: [0, column],
      PageDown: [this.rows - 1, column],
    };
    const to = event.ctrlKey || event.metaKey || event.altKey ? null : moves[event.key];
    return to ? clamp(to[0], 0, this.rows - 1) * this.columns + clamp(to[1], 0, this.columns - 1) : null;
  }

  keep(trait, value) {
    this.hovering = null;
    this.kept[trait] = value;
    this.set(trait, value);
  }

  // A mouse that hovers looks, a press keeps; a finger or a drag keeps as it goes. Browsers send pointer moves once a
  // frame, just before it is painted: drawn here, the answer stands in that very frame.
  pointable(node, trait, at) {
    node.addEventListener("pointerdown", (event) => {
      if (event.isTrusted) node.setPointerCapture(event.pointerId);
      this.keep(trait, at(event));
      this.drawAll(performance.now());
    });
    node.addEventListener("pointermove", (event) => {
      if (event.buttons) this.keep(trait, at(event));
      else if (event.pointerType !== "touch") {
        this.hovering = trait;
        this.set(trait, at(event));
      }
      this.drawAll(performance.now());
    });
    node.addEventListener("pointerleave", () => {
      if (this.hovering === trait) this.keep(trait, this.kept[trait]);
    });
  }

  sizeCanvas(canvas, height) {
    const ratio = Math.max(1, window.devicePixelRatio);
    const width = canvas.clientWidth;
    height ??= canvas.clientHeight;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    return [width, height];
  }

  paintPhotograph(version) {
    const [width, height] = this.sizeCanvas(this.stage);
    const picture = this.photographs.ready[this.file()];
    if (picture) {
      this.stageContext.imageSmoothingEnabled = true;
      this.stageContext.drawImage(picture[version], 0, 0, width, height);
    }
    return [width, height];
  }

  // Paint one value a place over the photograph with the colours of `scale`; show: "photograph", "both" or "map".
  paint(values, scale, show) {
    const [width, height] = this.paintPhotograph(show === "both" ? "muted" : "full");
    if (show === "photograph") return [width, height];
    const pixels = this.layerPixels.data;
    for (let i = 0; i < this.places; i++) {
      const u = scale.t(values[i]);
      const colour = 3 * Math.round(255 * u);
      pixels[4 * i] = scale.table[colour];
      pixels[4 * i + 1] = scale.table[colour + 1];
      pixels[4 * i + 2] = scale.table[colour + 2];
      pixels[4 * i + 3] = show === "both" ? 255 * scale.opacity(u) : 255;
    }
    this.drawLayer(width, height);
    return [width, height];
  }

  drawLayer(width, height) {
    this.layerContext.putImageData(this.layerPixels, 0, 0);
    this.stageContext.imageSmoothingEnabled = false;
    this.stageContext.drawImage(this.layer, 0, 0, width, height);
  }

  frameOf(place, width, height) {
    const [w, h] = [width / this.columns, height / this.rows];
    return [(place % this.columns) * w, Math.floor(place / this.columns) * h, w, h];
  }

  markPlace(place, width, height) {
    let [x, y, w, h] = this.frameOf(place, width, height);
    const grow = Math.max(0, (12 - Math.min(w, h)) / 2); // a place of a few pixels still gets a mark that is seen
    [x, y, w, h] = [x - grow, y - grow, w + 2 * grow, h + 2 * grow];
    const context = this.stageContext;
    for (const [colour, thickness] of [["#000", 5], ["#fff", 2.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = thickness;
      context.strokeRect(x, y, w, h);
    }
  }

  haloText(text, x, y, align = "left") {
    const context = this.stageContext;
    context.font = "600 12px system-ui, sans-serif";
    const wide = context.measureText(text).width;
    x = clamp(align === "right" ? x - wide : x, 2, this.stage.clientWidth - wide - 2);
    const meets = (other) => Math.abs(other.y - y) < 14 && x < other.x + other.wide + 4 && other.x < x + wide + 4;
    const away = y > 40 ? -14 : 14; // near the upper edge a name gives way downwards
    while (y > 12 && y < this.stage.clientHeight && this.labels.some(meets)) y += away; // two names never stand on one another
    this.labels.push({ x, y, wide });
    context.lineJoin = "round";
    context.lineWidth = 3;
    context.strokeStyle = "#000c";
    context.strokeText(text, x, y);
    context.fillStyle = "#fff";
    context.fillText(text, x, y);
  }

  // ------------------------------------------------------------ charts, with a slot for each channel

  makeChannelChart() {
    const chart = element("canvas", { class: "ax-chart", tabindex: 0, role: "slider", "aria-label": "Channel", "aria-valuemin": 0, "aria-describedby": this.status.id });
    this.pointChannels(chart);
    chart.addEventListener("keydown", (event) => this.chartKey(event));
    return chart;
  }

  pointChannels(chart) {
    this.pointable(chart, "channel", (event) => {
      const box = chart.getBoundingClientRect();
      const slot = Math.floor(((event.clientX - box.left - AXIS) / (box.width - AXIS)) * this.channels);
      return this.order()[clamp(slot, 0, this.channels - 1)];
    });
  }

  makeAllButton() {
    const all = element("button", { type: "button", onclick: () => this.keep("channel", -1) }, "all channels");
    this.controls.push(() => (all.disabled = this.get("channel") < 0));
    return all;
  }

  order() {
    return range(this.channels);
  }

  chartKey(event) {
    const order = this.order();
    const slot = order.indexOf(this.get("channel"));
    const last = this.channels - 1;
    const far = event.shiftKey ? 5 : 1;
    const to = { ArrowLeft: slot - far, ArrowDown: slot - far, ArrowRight: slot + far, ArrowUp: slot + far, Home: 0, End: last }[event.key];
    if (event.key === "Escape") this.keep("channel", -1);
    else if (to == null || event.ctrlKey || event.metaKey || event.altKey) return;
    else this.keep("channel", order[slot < 0 ? 0 : clamp(to, 0, last)]);
    event.preventDefault();
  }

  sayChannel(chart, slot, words) {
    chart.setAttribute("aria-valuemax", this.channels - 1);
    chart.setAttribute("aria-valuenow", Math.max(slot, 0));
    chart.setAttribute("aria-valuetext", words);
  }

  // A chart cleared, with its horizontal lines and their numbers; `under`: pixels kept below the lowest.
  axes(chart, low, high, ticks = [low, (low + high) / 2, high], under = 9) {
    const [width, height] = this.sizeCanvas(chart);
    const context = chart.getContext("2d");
    const [top, bottom] = [8, height - under];
    const y = (value) => bottom - ((clamp(value, low, high) - low) / (high - low)) * (bottom - top);
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.lineWidth = 1;
    for (const tick of ticks) {
      context.fillStyle = this.ink.muted;
      context.fillText(short(tick), AXIS - 6, y(tick) + 4);
      context.strokeStyle = this.ink.line;
      context.beginPath();
      context.moveTo(AXIS - 2, Math.round(y(tick)) + 0.5);
      context.lineTo(width, Math.round(y(tick)) + 0.5);
      context.stroke();
    }
    const step = (width - AXIS) / this.channels;
    return { context, y, step, width, height, bottom, gap: step > 4 ? 1 : 0 };
  }

  pickMark(axes, slot) {
    const { context, step, height } = axes;
    const x = AXIS + (slot + 0.5) * step;
    context.fillStyle = this.ink.text;
    context.beginPath();
    context.moveTo(x - 5, height);
    context.lineTo(x + 5, height);
    context.lineTo(x, height - 7);
    context.fill();
    context.globalAlpha = 0.14;
    context.fillRect(AXIS + slot * step - 1, 4, step + 2, height - 12);
    context.globalAlpha = 1;
  }

  // ------------------------------------------------------------ colour bar, read-out, table

  makeBar() {
    this.barRamp = element("div", { class: "ax-ramp" });
    this.barTicks = element("div", { class: "ax-ticks" });
    this.barLabel = element("div", { class: "ax-bar-label" });
    this.bar = element("div", { class: "ax-bar" }, this.barLabel, this.barRamp, this.barTicks);
    return this.bar;
  }

  // The bar shows the colours as they look on the photograph: blended with a middle grey when the map is.
  showBar(scale, label, show, clipped, extra = []) {
    const state = JSON.stringify([label, show, clipped, scale.ticks, extra]);
    if (state === this.barState) return;
    this.barState = state;
    const stops = range(33).map((i) => {
      const u = i / 32;
      const at = 3 * Math.round(255 * u);
      const mix = show === "both" ? scale.opacity(u) : 1;
      return `rgb(${range(3).map((c) => Math.round(mix * scale.table[at + c] + (1 - mix) * 128)).join(" ")})`;
    });
    this.barRamp.style.background = `linear-gradient(to right, ${stops.join(",")})`;
    const last = scale.ticks.length - 1;
    const ticks = scale.ticks.map(([u, text], i) => {
      const low = i === 0 && clipped[0] ? "≤ " : "";
      const high = i === last && clipped[1] ? "≥ " : "";
      return element("span", { style: `left:${100 * u}%`, class: i === 0 ? "first" : i === last ? "last" : false }, low + high + text);
    });
    const notes = extra.map(([u, text]) => element("b", { style: `left:${100 * u}%`, title: text }));
    this.barRamp.replaceChildren(...notes);
    this.barTicks.replaceChildren(...ticks);
    say(this.barLabel, label);
    this.bar.classList.toggle("ax-hidden", show === "photograph" || show === "result");
  }

  makeStatus() {
    this.lines = [element("b"), element("span"), element("span")];
    const [lead, rest, more] = this.lines;
    this.status = element("div", { class: "ax-status", role: "status", id: freshId(), "aria-live": "polite" });
    this.status.append(element("p", {}, lead, " ", rest), element("p", {}, more));
    return this.status;
  }

  // Seen at once, announced when it has settled: a moving pointer must not flood a screen reader.
  read(...texts) {
    if (texts.every((text, i) => this.lines[i].textContent === text)) return;
    this.status.setAttribute("aria-busy", "true");
    texts.forEach((text, i) => say(this.lines[i], text));
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.status.removeAttribute("aria-busy"), SETTLED);
  }

  makeTable(rows) {
    this.table = element("table");
    this.details = element("details", { class: "ax-values", ontoggle: () => this.touch() });
    this.details.append(element("summary", {}, "Values as a table"), element("div", { class: "ax-scroll", tabindex: 0, role: "group", "aria-label": "Values as a table" }, this.table));
    this.tableRows = rows;
    return this.details;
  }

  fillTable() {
    if (!this.details.open || this.filling) return;
    this.filling = setTimeout(() => {
      this.filling = null;
      const { caption, head, body } = this.tableRows();
      const cells = (row, tag, scope) => element("tr", {}, ...row.map((cell) => element(tag, { scope }, cell)));
      this.table.replaceChildren(
        element("caption", {}, caption),
        element("thead", {}, cells(head, "th", "col")),
        element("tbody", {}, ...body.map((row) => cells(row, "td"))),
      );
    }, 150);
  }

  where(place) {
    return `row ${Math.floor(place / this.columns)}, column ${place % this.columns}`;
  }
}

// ---------------------------------------------------------------- positions

class Positions extends Explorer {
  constructor(model, root) {
    super(model, root, ["image", "head", "similarity", "temperature", "scale", "show", "query"]);
    this.firstTemperature = this.get("temperature");
    this.scores = new Float64Array(this.places);
    this.weights = new Float64Array(this.places);
    this.scales = { linear: linearScale(0, this.spec.limit), log: logScale(0.5 / this.places, this.spec.limit) };
    this.outlined = true;
    this.build();
    this.start();
  }

  file() {
    return this.get("image");
  }

  build() {
    const { spec } = this;
    const status = this.makeStatus();
    const stage = this.makeGridStage("query", "Arrow keys move the query; with Shift five places at a time.");
    const shows = [
      { value: "photograph", label: "photograph" },
      { value: "both", label: "both" },
      { value: "map", label: "map" },
    ];
    if (this.arrays.values) shows.push({ value: "result", label: "average" });
    this.ranks = element("canvas", { class: "ax-ranks", "aria-hidden": "true" });
    this.rankTitle = element("div", { class: "ax-title" });
    const scales = [{ value: "linear", label: "linear" }, { value: "log", label: "logarithmic" }];
    this.arrange(
      [
        this.photographChooser(),
        this.chooser(spec.headLabel, "head", spec.headNames.map((label, value) => ({ label, value }))),
        this.chooser("Similarity", "similarity", spec.similarities.map((value) => ({ value, label: SIMILARITY[value] }))),
      ],
      [stage, this.makeHint("Point at a place; a click keeps it. Arrow keys work too."), this.makeBar()],
      [status, this.makeSwatches(), this.makeTemperature(), element("div", {}, this.rankTitle, this.ranks)],
      [this.chooser("Show", "show", shows), this.chooser("Colour scale", "scale", scales), this.makeOutlineSwitch()],
      this.makeTable(() => this.topPlaces()),
    );
  }

  makeTemperature() {
    const [low, high] = this.spec.temperatureRange;
    const steps = 240;
    const toStep = (t) => Math.round((steps * Math.log(t / low)) / Math.log(high / low));
    const toTemperature = (s) => clamp(Number((low * (high / low) ** (s / steps)).toPrecision(3)), low, high);
    const reset = element("button", { type: "button", onclick: () => this.set("temperature", this.firstTemperature) }, `back to ${short(this.firstTemperature)}`);
    this.controls.push(() => (reset.disabled = this.get("temperature") === this.firstTemperature));
    const slide = (s) => this.set("temperature", toTemperature(s));
    return this.slider("Temperature", steps, ["sharp", "even"], slide, () => [toStep(this.get("temperature")), short(this.get("temperature"))], reset);
  }

  makeSwatches() {
    if (!this.arrays.values) return null;
    this.swatches = [element("i", { class: "ax-swatch" }), element("i", { class: "ax-swatch" })];
    this.swatchText = [element("span"), element("span")];
    const pair = (i, label) => element("div", { class: "ax-pair" }, this.swatches[i], element("div", {}, element("div", { class: "ax-title" }, label), this.swatchText[i]));
    return element("div", { class: "ax-swatches" }, pair(0, "its own colour"), pair(1, "weighted average"));
  }

  makeOutlineSwitch() {
    if (!this.spec.outlineNames.length) return null;
    return this.checkbox(`Outline ${this.spec.outlineNames.join(", ")}`, (on) => (this.outlined = on));
  }

  // ------------------------------------------------------------ numbers

  scoresOf(query, out) {
    const { places } = this;
    const block = this.get("image") * this.spec.heads + this.get("head");
    if (this.arrays.scores) {
      const row = (block * places + query) * places;
      for (let j = 0; j < places; j++) out[j] = this.arrays.scores[row + j];
      return;
    }
    const { queries, keys } = this.arrays;
    const width = this.spec.arrays.queries.shape[3];
    const q = (block * places + query) * width;
    const similarity = this.get("similarity");
    const norm = (array, at) => {
      let sum = 0;
      for (let c = 0; c < width; c++) sum += array[at + c] ** 2;
      return Math.max(Math.sqrt(sum), 1e-12);
    };
    const qNorm = similarity === "cosine" ? norm(queries, q) : 1;
    const root = similarity === "scaled dot" ? Math.sqrt(width) : 1;
    for (let j = 0, k = block * places * width; j < places; j++, k += width) {
      let sum = 0;
      if (similarity === "distance") for (let c = 0; c < width; c++) sum -= (queries[q + c] - keys[k + c]) ** 2;
      else for (let c = 0; c < width; c++) sum += queries[q + c] * keys[k + c];
      out[j] = similarity === "cosine" ? sum / (qNorm * norm(keys, k)) : sum / root;
    }
  }

  // softmax(score / temperature), in place
  softmax(out) {
    const temperature = this.get("temperature");
    let top = -Infinity;
    for (const s of out) if (s > top) top = s;
    let sum = 0;
    for (let j = 0; j < out.length; j++) sum += out[j] = Math.exp((out[j] - top) / temperature);
    for (let j = 0; j < out.length; j++) out[j] /= sum;
  }

  averageColour(weights, image) {
    const { values } = this.arrays;
    const sum = [0, 0, 0];
    for (let j = 0, at = image * this.places * 3; j < this.places; j++, at += 3) {
      for (let c = 0; c < 3; c++) sum[c] += weights[j] * values[at + c];
    }
    return sum;
  }

  insideOf(region) {
    const at = (this.get("image") * this.spec.outlineNames.length + region) * this.places;
    let mass = 0;
    let area = 0;
    for (let j = 0; j < this.places; j++) {
      const share = this.arrays.covers[at + j] / 255;
      mass += share * this.weights[j];
      area += share / this.places;
    }
    return [mass, area, this.arrays.covers[at + this.get("query")] > 127];
  }

  // ------------------------------------------------------------ drawing

  draw() {
    const { weights, places } = this;
    const [image, query, show] = [this.get("image"), this.get("query"), this.get("show")];
    this.scoresOf(query, weights);
    this.softmax(weights);
    let [best, second, entropy] = [0, -1, 0];
    for (let j = 0; j < places; j++) {
      if (weights[j] > weights[best]) best = j;
      if (weights[j] > 0) entropy -= weights[j] * Math.log(weights[j]);
    }
    if (best === query) {
      for (let j = 0; j < places; j++) if (j !== query && (second < 0 || weights[j] > weights[second])) second = j;
    }
    const scale = this.scales[this.get("scale")];
    const [width, height] = this.paint(weights, scale, show === "result" ? "photograph" : show);
    if (show === "result") this.paintResult(width, height);
    this.drawTruth(width, height);
    const elsewhere = best === query ? second : best;
    if (elsewhere >= 0 && show !== "result") this.ring(elsewhere, width, height);
    this.markPlace(query, width, height);
    this.showBar(scale, "Weight of each place for this query (all places sum to 1)", show, [this.get("scale") === "log", true], [[scale.t(1 / places), `uniform: ${number(1 / places)}`]]);
    this.drawRanks(scale);
    this.readOut(best, second, Math.exp(entropy));
    if (this.swatches) this.showColours(image, query);
    this.fillTable();
  }

  readOut(best, second, effective) {
    const { weights, places } = this;
    const query = this.get("query");
    const where = best === query ? `at the query itself, then ${number(weights[second])} at ${this.where(second)}` : `at ${this.where(best)}`;
    const regions = this.spec.outlineNames.map((name, i) => [name, ...this.insideOf(i)]);
    const on = regions.filter(([, , , inside]) => inside).map(([name]) => ` (${name})`).join("");
    const first = `strongest weight ${number(weights[best])} ${where} (uniform would be ${number(1 / places, 2)}).`;
    const shares = regions.map(([name, m, a]) => `${name} ${number(m, 2)} (${number(a, 2)})`).join(", ");
    const mass = shares && ` Weight inside (and share of the area): ${shares}.`;
    this.read(`Query ${this.where(query)}${on}:`, first, `Spread over about ${effective < 10 ? effective.toFixed(1) : Math.round(effective)} of ${places} places.${mass}`);
  }

  ring(place, width, height) {
    const [x, y, w, h] = this.frameOf(place, width, height);
    const context = this.stageContext;
    for (const [colour, thickness] of [["#000", 4], ["#fff", 2]]) {
      context.beginPath();
      context.arc(x + w / 2, y + h / 2, Math.max(6, Math.min(w, h) / 2 - 2), 0, 7);
      context.strokeStyle = colour;
      context.lineWidth = thickness;
      context.stroke();
    }
  }

  drawTruth(width, height) {
    const image = this.get("image");
    this.labels = [];
    for (const [place, label] of this.spec.marks[image]) {
      const [x, y, w, h] = this.frameOf(place, width, height);
      this.haloText(label, x + w / 2 + 4, y + h / 2 - 4);
    }
    if (!this.outlined) return;
    const [pixelsHigh, pixelsWide] = this.photographs.shape.slice(-3, -1);
    const { edges, edgeEnds } = this.arrays;
    const context = this.stageContext;
    this.spec.outlineNames.forEach((name, region) => {
      const at = image * this.spec.outlineNames.length + region;
      const path = new Path2D();
      let corner = null;
      for (let e = at ? edgeEnds[at - 1] : 0; e < edgeEnds[at]; e++) {
        const [x0, y0, x1, y1] = edges.subarray(4 * e, 4 * e + 4);
        path.moveTo((x0 / pixelsWide) * width, (y0 / pixelsHigh) * height);
        path.lineTo((x1 / pixelsWide) * width, (y1 / pixelsHigh) * height);
        if (!corner || y0 < corner[1]) corner = [x0, y0];
      }
      for (const [colour, thickness] of [["#000a", 4], ["#fff", 1.5]]) {
        context.strokeStyle = colour;
        context.lineWidth = thickness;
        context.lineCap = "round";
        context.stroke(path);
      }
      if (corner) this.haloText(name, (corner[0] / pixelsWide) * width, Math.max(12, (corner[1] / pixelsHigh) * height - 5));
    });
  }

  drawRanks(scale) {
    const [width, height] = this.sizeCanvas(this.ranks);
    const context = this.ranks.getContext("2d");
    const left = 44;
    const count = Math.min(this.places, Math.floor((width - left) / 6));
    const largest = Float64Array.from(this.weights).sort().reverse();
    const step = (width - left) / count;
    const floor = height - 2;
    const y = (value) => floor - scale.t(value) * (floor - 8);
    context.clearRect(0, 0, width, height);
    context.fillStyle = this.ink.accent;
    for (let i = 0; i < count; i++) context.fillRect(left + i * step, y(largest[i]), Math.max(1, step - 1.5), floor - y(largest[i]));
    context.strokeStyle = this.ink.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(left, 4);
    context.lineTo(left, floor + 0.5);
    context.lineTo(width, floor + 0.5);
    context.stroke();
    const uniform = y(1 / this.places);
    context.setLineDash([4, 3]);
    context.strokeStyle = context.fillStyle = this.ink.muted;
    context.beginPath();
    context.moveTo(left, uniform);
    context.lineTo(width, uniform);
    context.stroke();
    context.setLineDash([]);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.fillText(scale.ticks.at(-1)[1], left - 5, 13);
    context.fillText(scale.ticks[0][1], left - 5, floor);
    context.strokeStyle = this.ink.surface;
    context.lineWidth = 4;
    const label = uniform > 24 ? uniform - 5 : uniform + 13;
    context.strokeText("uniform", width - 2, label);
    context.fillText("uniform", width - 2, label);
    say(this.rankTitle, `The ${count} largest weights, in order`);
  }

  showColours(image, query) {
    const at = 3 * (image * this.places + query);
    const own = [...this.arrays.values.subarray(at, at + 3)];
    const mean = this.averageColour(this.weights, image);
    [own, mean].forEach((colour, i) => {
      this.swatches[i].style.background = `rgb(${colour.map((c) => Math.round(255 * c)).join(" ")})`;
      say(this.swatchText[i], colour.map((c) => c.toFixed(2)).join(", "));
    });
  }

  // The average at every place is N² work: done a few milliseconds a frame, and kept until something changes.
  paintResult(width, height) {
    const key = ["image", "head", "similarity", "temperature"].map((trait) => this.get(trait)).join();
    if (this.result?.key !== key) this.result = { key, next: 0, pixels: new Uint8ClampedArray(4 * this.places) };
    const { result } = this;
    const row = (this.resultRow ??= new Float64Array(this.places));
    const until = performance.now() + 7;
    while (result.next < this.places && performance.now() < until) {
      this.scoresOf(result.next, row);
      this.softmax(row);
      const colour = this.averageColour(row, this.get("image")).map((c) => 255 * c);
      result.pixels.set([...colour, 255], 4 * result.next++);
    }
    this.layerPixels.data.set(result.pixels);
    this.drawLayer(width, height);
    if (result.next < this.places) this.touch();
  }

  topPlaces() {
    const { weights } = this;
    const order = range(this.places).sort((a, b) => weights[b] - weights[a]).slice(0, 12);
    return {
      caption: `The ${order.length} places with the largest weights, for the query at ${this.where(this.get("query"))}`,
      head: ["row", "column", "weight", "times uniform"],
      body: order.map((j) => [Math.floor(j / this.columns), j % this.columns, number(weights[j]), number(weights[j] * this.places)].map(String)),
    };
  }
}

// ---------------------------------------------------------------- gates

class Gates extends Explorer {
  constructor(model, root) {
    super(model, root, ["image", "variant", "force", "channel", "place", "order", "stage", "compare", "show"]);
    const { spec } = this;
    this.channels = spec.channels;
    this.variants = spec.variantNames.length;
    this.count = spec.imageNames.length;
    this.groups = this.groupByVariant();
    this.values = new Float64Array(this.places);
    this.build();
    this.start();
  }

  file() {
    return this.get("image") * this.variants + this.get("variant");
  }

  build() {
    const { spec } = this;
    const status = this.makeStatus();
    const stage = this.makeGridStage("place", "Arrow keys choose a place, Escape lets it go.", (event) => {
      if (event.key === "Escape") this.keep("place", -1);
    });
    const options = (names) => names.map((label, value) => ({ label, value }));
    const colours = spec.variantNames.map((label, value) => ({ label, value, colour: spec.variantColours[value] }));
    const stages = [{ value: "before", label: "before the gate" }, { value: "after", label: "after the gate" }];
    const orders = [{ value: "channel", label: "channel number" }, { value: "gate", label: "gate" }];
    if (this.variants > 1) orders.push({ value: "variant", label: spec.variantLabel.toLowerCase() });
    this.arrange(
      [
        this.photographChooser(),
        this.chooser(spec.variantLabel, "variant", colours),
        this.chooser("Gates in place", "force", [{ value: -1, label: "the net's own" }, ...options(spec.forcedNames)]),
      ],
      [stage, this.makeHint("Point at the photograph or at a bar; a click keeps it. Arrow keys work too."), this.makeBar()],
      [status, this.makeAnswers(), this.makeCharts()],
      [
        this.chooser("Order of the bars", "order", orders),
        this.chooser("Features", "stage", stages),
        this.chooser("Show", "show", ["photograph", "both", "map"].map((value) => ({ value, label: value }))),
        this.menu("Compare the gates with", "compare", this.references()),
      ],
      this.makeTable(() => this.channelRows()),
    );
  }

  references() {
    const { spec } = this;
    const list = [{ value: "none", label: "nothing" }];
    if (this.count * this.variants > 1) list.push({ value: "mean", label: "the mean over all photographs" });
    if (this.variants > 1) spec.variantNames.forEach((name, i) => list.push({ value: `variant:${i}`, label: `this photograph, ${spec.variantLabel.toLowerCase()} ${name}` }));
    if (this.count > 1) spec.imageNames.forEach((name, i) => list.push({ value: `image:${i}`, label: `photograph ${name}` }));
    spec.forcedNames.forEach((name, i) => list.push({ value: `forced:${i}`, label: name }));
    return list;
  }

  makeAnswers() {
    if (!this.arrays.answers) return null;
    this.fills = this.spec.classNames.map(() => element("i"));
    const bars = this.spec.classNames.map((name, k) => element("div", { class: "ax-answer" }, element("div", { class: "ax-track" }, this.fills[k]), element("span", {}, name)));
    return element("div", { "aria-hidden": "true" }, element("div", { class: "ax-title" }, "Probability of each answer (0 to 1)"), element("div", { class: "ax-answers" }, ...bars));
  }

  makeCharts() {
    this.gateTitle = element("div", { class: "ax-title" });
    this.featureTitle = element("div", { class: "ax-title" });
    this.gateChart = this.makeChannelChart();
    this.featureChart = element("canvas", { class: "ax-chart", "aria-hidden": "true" });
    this.pointChannels(this.featureChart);
    const legend = element("span", { class: "ax-legend" }, element("i", { class: "before" }), "before", element("i", { class: "after" }), "after");
    this.legend = legend;
    return element(
      "div",
      { class: "ax-charts" },
      element("div", { class: "ax-row" }, this.gateTitle, this.makeAllButton()),
      this.gateChart,
      element("div", { class: "ax-row" }, this.featureTitle, legend),
      this.featureChart,
    );
  }

  // ------------------------------------------------------------ numbers

  gatesAt(image, variant) {
    const at = (image * this.variants + variant) * this.channels;
    return this.arrays.gates.subarray(at, at + this.channels);
  }

  gatesInPlace() {
    const force = this.get("force");
    return force < 0 ? this.gatesAt(this.get("image"), this.get("variant")) : this.forcedGates(force);
  }

  forcedGates(i) {
    return this.arrays.forced.subarray(i * this.channels, (i + 1) * this.channels);
  }

  reference() {
    const [kind, i] = this.get("compare").split(":");
    if (kind === "none") return null;
    if (kind === "mean") return (this.meanGates ??= Float32Array.from(range(this.channels), (c) => this.meanGate(c)));
    if (kind === "variant") return this.gatesAt(this.get("image"), Number(i));
    if (kind === "image") return this.gatesAt(Number(i), this.get("variant"));
    return this.forcedGates(Number(i));
  }

  meanGate(c, variant = null) {
    let [sum, n] = [0, 0];
    for (let p = 0; p < this.count; p++) {
      for (let v = 0; v < this.variants; v++) if (variant == null || v === variant) [sum, n] = [sum + this.gatesAt(p, v)[c], n + 1];
    }
    return sum / n;
  }

  // Channels grouped by the variant whose gates are highest on average, the most decided first in each group.
  groupByVariant() {
    const means = range(this.channels).map((c) => range(this.variants).map((v) => this.meanGate(c, v)));
    const group = means.map((m) => m.indexOf(Math.max(...m)));
    const margin = means.map((m, c) => m[group[c]] - Math.max(...m.filter((_, v) => v !== group[c]), 0));
    const order = range(this.channels).sort((a, b) => group[a] - group[b] || margin[b] - margin[a]);
    return { group, order };
  }

  order() {
    const kind = this.get("order");
    if (kind === "variant") return this.groups.order;
    if (kind === "channel") return range(this.channels);
    const shown = this.shownGates();
    return range(this.channels).sort((a, b) => shown[b] - shown[a]);
  }

  shownGates() {
    const [gates, reference] = [this.gatesInPlace(), this.reference()];
    return reference ? gates.map((g, c) => g - reference[c]) : gates;
  }

  featureScale(c) {
    return this.spec.arrays.features.scale[c];
  }

  featureAt(c, place) {
    return this.arrays.features[(this.file() * this.channels + c) * this.places + place] * this.featureScale(c);
  }

  featureMean(c) {
    const at = (this.file() * this.channels + c) * this.places;
    let sum = 0;
    for (let j = 0; j < this.places; j++) sum += this.arrays.features[at + j];
    return (sum / this.places) * this.featureScale(c);
  }

  // What is painted: one channel, or the mean over channels, times the factor that the gate, or a difference, gives.
  fillMap(channel, factors) {
    const { values, places } = this;
    values.fill(0);
    for (let c = 0; c < this.channels; c++) {
      if (channel >= 0 && c !== channel) continue;
      const factor = (factors ? factors[c] : 1) * this.featureScale(c) * (channel < 0 ? 1 / this.channels : 1);
      const at = (this.file() * this.channels + c) * places;
      for (let j = 0; j < places; j++) values[j] += factor * this.arrays.features[at + j];
    }
  }

  mapScale(channel, comparing) {
    const { limit, meanLimit, meanDifferenceLimit, signed } = this.spec;
    const high = channel >= 0 ? limit : comparing ? meanDifferenceLimit : meanLimit;
    return linearScale(comparing || signed ? -high : 0, high);
  }

  // ------------------------------------------------------------ drawing

  draw(now) {
    const [channel, place, show, stage] = ["channel", "place", "show", "stage"].map((trait) => this.get(trait));
    const reference = this.reference();
    const shown = this.shownGates();
    const factors = reference ? shown : stage === "after" ? this.gatesInPlace() : null;
    this.fillMap(channel, factors);
    const scale = this.mapScale(channel, Boolean(reference));
    const painted = show === "both" && channel < 0 && !reference ? "photograph" : show; // nothing chosen, nothing hidden
    const [width, height] = this.paint(this.values, scale, painted);
    if (place >= 0) this.markPlace(place, width, height);
    const what = channel < 0 ? "Mean of all channels" : `Channel ${channel}`;
    const how = reference ? "features × difference of the gates" : `features ${stage} the gate`;
    this.showBar(scale, `${what}: ${how}`, painted, [reference || this.spec.signed, true]);
    this.moveBars(shown, now);
    this.drawGates(Boolean(reference));
    this.drawFeatures();
    if (this.fills) this.showAnswers();
    this.readOut();
    this.fillTable();
  }

  // The heights drawn follow the heights asked for; a change of order or of comparison is a new picture, not a move.
  moveBars(target, now) {
    const key = [this.get("order") === "gate", this.get("compare") === "none"].join();
    const changed = !this.goal || target.some((g, c) => g !== this.goal[c]);
    if (changed) {
      const jump = !this.goal || key !== this.barKey || this.calm.matches || this.get("order") === "gate";
      this.from = jump ? Float64Array.from(target) : Float64Array.from(this.heights);
      [this.goal, this.began, this.barKey] = [Float64Array.from(target), now, key];
    }
    const u = clamp((now - this.began) / MOVE, 0, 1);
    const eased = 1 - (1 - u) ** 3;
    this.heights = this.goal.map((g, c) => this.from[c] + eased * (g - this.from[c]));
    if (u < 1 && this.from.some((f, c) => f !== this.goal[c])) this.touch();
  }

  drawBar({ context, y, step, gap }, slot, from, to, colour, share = 1) {
    const w = (step - gap) * share;
    context.fillStyle = colour;
    const [a, b] = [y(from), y(to)];
    context.fillRect(AXIS + slot * step + (step - gap - w) / 2, Math.min(a, b), w, Math.max(Math.abs(a - b), to === from ? 0 : 0.5));
  }

  drawGates(comparing) {
    const axes = this.axes(this.gateChart, comparing ? -1 : 0, 1);
    const order = this.order();
    const channel = this.get("channel");
    const own = this.get("force") >= 0 && !comparing ? this.gatesAt(this.get("image"), this.get("variant")) : null;
    const colours = this.spec.variantColours;
    const grouped = this.get("order") === "variant" && colours[0] !== "currentColor";
    order.forEach((c, slot) => {
      const g = this.heights[c];
      const colour = comparing ? (g < 0 ? "#4393c3" : "#d6604d") : grouped ? colours[this.groups.group[c]] : this.ink.accent;
      this.drawBar(axes, slot, 0, g, colour);
      if (grouped) {
        axes.context.fillStyle = colours[this.groups.group[c]];
        axes.context.fillRect(AXIS + slot * axes.step, 0, axes.step + 0.5, 4);
      }
      if (own) {
        axes.context.fillStyle = this.ink.text;
        axes.context.fillRect(AXIS + slot * axes.step, axes.y(own[c]) - 1, axes.step - axes.gap, 2);
      }
    });
    if (channel >= 0) this.pickMark(axes, order.indexOf(channel));
    const { spec } = this;
    const force = this.get("force");
    const title = force < 0 ? "Gate of each channel" : `Gate of each channel: ${spec.forcedNames[force]}`;
    const notes = [own && "lines: the net's own", grouped && !comparing && `colour: the ${spec.variantLabel.toLowerCase()} that opens it most`];
    const note = notes.filter(Boolean).join("; ");
    say(this.gateTitle, title + (comparing ? ", less the other" : "") + (note && ` (${note})`));
    const words = channel < 0 ? "all channels" : `channel ${channel}, gate ${number(this.gatesInPlace()[channel], 2)}`;
    this.sayChannel(this.gateChart, order.indexOf(channel), words);
  }

  drawFeatures() {
    const { signed } = this.spec;
    const limit = this.get("place") < 0 ? this.spec.squeezeLimit : this.spec.limit;
    const axes = this.axes(this.featureChart, signed ? -limit : 0, limit);
    const [place, channel, gates, order] = [this.get("place"), this.get("channel"), this.gatesInPlace(), this.order()];
    order.forEach((c, slot) => {
      const before = place < 0 ? this.featureMean(c) : this.featureAt(c, place);
      this.drawBar(axes, slot, 0, before, this.ink.before);
      this.drawBar(axes, slot, 0, before * gates[c], this.ink.after, axes.step > 5 ? 0.6 : 1);
    });
    if (channel >= 0) this.pickMark(axes, order.indexOf(channel));
    say(this.featureTitle, place < 0 ? "Features, mean over all places" : `Features at ${this.where(place)}`);
  }

  probabilities(force) {
    const [forcings, classes] = this.spec.arrays.answers.shape.slice(2);
    const at = (this.file() * forcings + force + 1) * classes;
    return this.arrays.answers.subarray(at, at + classes);
  }

  picked(force) {
    const p = this.probabilities(force);
    return p.indexOf(Math.max(...p));
  }

  showAnswers() {
    const p = this.probabilities(this.get("force"));
    const best = this.picked(this.get("force"));
    const things = this.candidatesOf(this.get("image"));
    const colours = this.spec.variantColours;
    this.fills.forEach((fill, k) => {
      const thing = things.indexOf(k);
      fill.style.height = `${100 * p[k]}%`;
      fill.style.background = thing >= 0 && things.length === this.variants && colours[0] !== "currentColor" ? colours[thing] : "";
      fill.parentElement.parentElement.classList.toggle("picked", k === best);
    });
  }

  candidatesOf(image) {
    if (!this.arrays.candidates) return [];
    const n = this.spec.candidateNames.length;
    return [...this.arrays.candidates.subarray(image * n, (image + 1) * n)];
  }

  named(k) {
    const things = this.candidatesOf(this.get("image")).flatMap((c, i) => (c === k ? [`the ${this.spec.candidateNames[i]}`] : []));
    return this.spec.classNames[k] + (things.length ? `, ${things.join(" and ")}` : "");
  }

  answerWords() {
    if (!this.arrays.answers) return ["", ""];
    const { spec } = this;
    const force = this.get("force");
    const reads = this.picked(force);
    const sure = number(this.probabilities(force)[reads], 2);
    if (force >= 0) {
      const own = this.picked(-1);
      const after = own === reads ? "So it does with its own gates." : `With its own gates it reads ${this.named(own)}.`;
      return [`The net reads ${this.named(reads)}`, `(probability ${sure}). Gates in place: ${spec.forcedNames[force]}. ${after}`];
    }
    const says = [`The net reads ${this.named(reads)}`, `(probability ${sure}).`];
    if (!this.arrays.truth) return says;
    const asked = this.arrays.truth[this.file()];
    const asker = this.variants > 1 ? `The ${spec.variantLabel.toLowerCase()} (${spec.variantNames[this.get("variant")]}) asks` : "Asked";
    return [says[0], `${says[1]} ${asker} for ${this.named(asked)}: ${asked === reads ? "right" : "wrong"}.`];
  }

  detail() {
    const [channel, place, gates] = [this.get("channel"), this.get("place"), this.gatesInPlace()];
    const reference = this.reference();
    if (channel < 0 && place < 0) return reference ? "The map shows where the difference of the gates acts." : "";
    if (channel < 0) {
      const strongest = (factors) => range(this.channels).reduce((a, b) => (this.featureAt(b, place) * factors[b] > this.featureAt(a, place) * factors[a] ? b : a));
      const [before, after] = [strongest(gates.map(() => 1)), strongest(gates)];
      const [x, y] = [this.featureAt(before, place), this.featureAt(after, place) * gates[after]];
      return `At ${this.where(place)} channel ${before} is strongest before the gate, ${number(x)}; channel ${after} after it, ${number(y)}.`;
    }
    const gate = `Channel ${channel}: gate ${number(gates[channel])}`;
    const own = this.get("force") < 0 ? "" : ` (the net's own ${number(this.gatesAt(this.get("image"), this.get("variant"))[channel])})`;
    const change = reference ? gates[channel] - reference[channel] : 0;
    const against = reference ? `, ${number(Math.abs(change))} ${change < 0 ? "below" : "above"} the other` : "";
    if (place < 0) return `${gate}${own}${against}.`;
    const x = this.featureAt(channel, place);
    return `${gate}${own}${against}. At ${this.where(place)}: ${number(x)} before, ${number(x * gates[channel])} after.`;
  }

  readOut() {
    this.read(...this.answerWords(), this.detail() || "Point at a place or at a channel's bar to read its numbers.");
  }

  channelRows() {
    const [place, gates, reference] = [this.get("place"), this.gatesInPlace(), this.reference()];
    const value = (c) => (place < 0 ? this.featureMean(c) : this.featureAt(c, place));
    const head = ["channel", "gate", ...(reference ? ["difference"] : []), "before", "after"];
    const body = this.order().map((c) => {
      const cells = [gates[c], ...(reference ? [gates[c] - reference[c]] : []), value(c), value(c) * gates[c]];
      return [String(c), ...cells.map((x) => number(x))];
    });
    return { caption: `Every channel: its gate, and its feature ${place < 0 ? "(mean over all places)" : `at ${this.where(place)}`} before and after the gate`, head, body };
  }
}

// ---------------------------------------------------------------- scales

class Scales extends Explorer {
  constructor(model, root) {
    super(model, root, ["image", "variant", "block", "branch", "channel"]);
    const { spec } = this;
    this.sizes = spec.sizes;
    this.branches = spec.branchNames.length;
    this.means = spec.channels.map((_, block) => this.averageChannels(block));
    this.outlined = true;
    this.build();
    this.start();
  }

  get channels() {
    return this.spec.channels[this.get("block")];
  }

  file() {
    return this.get("image") * this.sizes.length + this.get("variant");
  }

  build() {
    const { spec } = this;
    const status = this.makeStatus();
    const stage = this.makeStage("variant", `Arrow keys change the size of the ${spec.thing}.`, (event) => this.sizeUnder(event), (event) => this.sizeKey(event));
    const branches = spec.branchNames.map((label, value) => ({ label, value, colour: `var(--ax-branch-${value})` }));
    const last = this.sizes.length - 1;
    const size = this.slider(`Side of the ${spec.thing}`, last, [this.sizes[0], this.sizes[last]].map(short), (v) => this.keep("variant", v), () => [this.get("variant"), this.pixels(this.get("variant"))]);
    this.arrange(
      [this.photographChooser()],
      [stage, size, this.makeHint(`Point at the photograph: the ${spec.thing} grows to reach you. A click keeps its size. Arrow keys work too.`)],
      [status, this.makeBlocks(), this.chooser("Branch", "branch", branches), this.makePlot()],
      [this.makeFieldSwitch(), this.makeChannels()],
      this.makeTable(() => this.sizeRows()),
    );
  }

  makeFieldSwitch() {
    if (!this.spec.fields) return null;
    return this.checkbox("Outline what each branch's kernel covers", (on) => (this.outlined = on));
  }

  // One bar a block, as long as the sum of its weights: one. Choosing a block is choosing its bar.
  makeBlocks() {
    const { spec } = this;
    const name = freshId();
    this.shares = spec.blockNames.map(() => spec.branchNames.map((_, m) => element("i", { style: `background:var(--ax-branch-${m})` })));
    const several = spec.blockNames.length > 1; // one alone is not chosen
    const inputs = several ? spec.blockNames.map((_, value) => element("input", { type: "radio", name, value, onchange: () => this.set("block", value) })) : [];
    const rows = spec.blockNames.map((label, block) => {
      const bar = element("span", { class: "ax-shares", "aria-hidden": "true" }, ...this.shares[block]);
      return element("label", { class: "ax-block" }, inputs[block], element("span", { class: "ax-face" }, element("span", {}, label), bar));
    });
    this.controls.push(() => inputs.forEach((input, block) => (input.checked = block === this.get("block"))));
    return element("fieldset", { class: "ax-choice" }, element("legend", {}, "Block: the weights of its branches, which sum to 1"), element("div", { class: "ax-segments ax-blocks" }, ...rows));
  }

  makePlot() {
    const { spec } = this;
    this.plotTitle = element("div", { class: "ax-title" });
    this.plot = element("canvas", { class: "ax-plot", "aria-hidden": "true" });
    this.pointable(this.plot, "variant", (event) => {
      const box = this.plot.getBoundingClientRect();
      const [left, right] = this.plotEnds(box.width);
      return this.nearestSize(this.sizes[0] + ((event.clientX - box.left - left) / (right - left)) * (this.sizes.at(-1) - this.sizes[0]));
    });
    const keys = [["dot", "this photograph"], ["even", "even share"], ["thin", "other branches"]];
    if (this.arrays.spread) keys.unshift(["band", spec.spreadName]);
    if (this.arrays.mean) keys.unshift(["line", spec.meanName]);
    return element("div", {}, this.plotTitle, this.plot, this.makeKey(keys));
  }

  makeChannels() {
    this.channelTitle = element("div", { class: "ax-title" });
    this.channelChart = this.makeChannelChart();
    const keys = [["line", "at this size"], ["band", "over all sizes"], ["even", "even share"]];
    return element("div", { class: "ax-charts" }, element("div", { class: "ax-row" }, this.channelTitle, this.makeAllButton()), this.channelChart, this.makeKey(keys));
  }

  makeKey(keys) {
    return element("div", { class: "ax-key" }, ...keys.map(([kind, text]) => element("span", {}, element("i", { class: kind }), text)));
  }

  // ------------------------------------------------------------ sizes

  pixels(variant) {
    return `${short(this.sizes[variant])} pixels`;
  }

  nearestSize(side) {
    return this.sizes.reduce((best, size, v) => (Math.abs(size - side) < Math.abs(this.sizes[best] - side) ? v : best), 0);
  }

  centre() {
    return this.spec.centres[this.get("image")];
  }

  // The size at which the edge of the object's square lies under the pointer.
  sizeUnder(event) {
    const box = this.stage.getBoundingClientRect();
    const [y, x] = this.centre();
    const pixel = box.width / this.spec.extent[1];
    const reach = Math.max(Math.abs(event.clientX - box.left - x * pixel), Math.abs(event.clientY - box.top - y * pixel));
    return this.nearestSize((2 * reach) / pixel);
  }

  sizeKey(event) {
    const [from, last] = [this.get("variant"), this.sizes.length - 1];
    const far = event.shiftKey ? 5 : 1;
    const [smaller, larger] = [from - far, from + far];
    const to = { ArrowLeft: smaller, ArrowDown: smaller, ArrowRight: larger, ArrowUp: larger, Home: 0, End: last }[event.key];
    if (to == null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.keep("variant", clamp(to, 0, last));
  }

  // ------------------------------------------------------------ numbers

  // Weights of one block lie as (photograph, size, branch, channel).
  averageChannels(block) {
    const count = this.spec.channels[block];
    const weights = this.arrays[`weights${block}`];
    return Float64Array.from(range(weights.length / count), (row) => weights.subarray(row * count, (row + 1) * count).reduce((a, b) => a + b, 0) / count);
  }

  rowOf(variant, branch) {
    return (this.get("image") * this.sizes.length + variant) * this.branches + branch;
  }

  weight(variant, branch = this.get("branch"), block = this.get("block")) {
    return this.means[block][this.rowOf(variant, branch)];
  }

  channelWeight(variant, channel) {
    return this.arrays[`weights${this.get("block")}`][this.rowOf(variant, this.get("branch")) * this.channels + channel];
  }

  // The mean over many scenes, and the ends of its spread, lie as (size, block, branch).
  scenes(name, variant, end = 0, branch = this.get("branch")) {
    const blocks = this.spec.blockNames.length;
    return this.arrays[name][((end * this.sizes.length + variant) * blocks + this.get("block")) * this.branches + branch];
  }

  // The channel chosen, if this block has it.
  chosenChannel() {
    return this.get("channel") < this.channels ? this.get("channel") : -1;
  }

  // ------------------------------------------------------------ drawing

  draw() {
    this.paintColours();
    this.drawObject(this.paintPhotograph("full")[0]);
    this.showShares();
    this.drawPlot();
    this.drawChannels();
    this.readOut();
    this.fillTable();
  }

  paintColours() {
    const { theme } = this.root.dataset;
    const state = `${theme} ${this.get("branch")}`;
    if (state === this.colourState) return;
    this.colourState = state;
    this.colours = this.ramp(BRANCHES[theme]);
    this.bright = this.ramp(BRANCHES.dark); // over photographs, where all lines have a dark edge
    this.colours.forEach((colour, m) => this.root.style.setProperty(`--ax-branch-${m}`, colour));
    this.root.style.setProperty("--ax-chosen", this.colours[this.get("branch")]);
  }

  ramp(hex) {
    const table = colourTable(hex);
    return range(this.branches).map((m) => {
      const at = 3 * Math.round((255 * m) / (this.branches - 1));
      return `rgb(${table.subarray(at, at + 3).join(" ")})`;
    });
  }

  // The object's square with the corners that a pointer seems to pull, and each branch's kernel around the same centre.
  drawObject(width) {
    const { spec } = this;
    this.labels = []; // the names that stand on the photograph
    if (this.outlined && spec.fields) {
      const chosen = this.get("branch");
      spec.fields[this.get("block")].forEach((side, m) => {
        const [left, top, s] = this.square(side, width, this.bright[m], m === chosen ? 4 : 1.5);
        const odd = m % 2; // names at two corners in turn: squares may be close to one another
        this.haloText(spec.branchNames[m], left + odd * s, Math.max(12, top - 5), odd ? "right" : "left");
      });
    }
    const [left, top, s] = this.square(this.sizes[this.get("variant")], width, "#fff", 1.5, [2, 3]);
    for (const [x, y] of [[left, top], [left + s, top], [left, top + s], [left + s, top + s]]) {
      this.stageContext.fillStyle = "#000b";
      this.stageContext.fillRect(x - 5, y - 5, 10, 10);
      this.stageContext.fillStyle = "#fff";
      this.stageContext.fillRect(x - 3.5, y - 3.5, 7, 7);
    }
  }

  square(side, width, colour, thickness, dashes = []) {
    const pixel = width / this.spec.extent[1];
    const [top, left] = this.centre().map((c) => (c - side / 2) * pixel);
    const context = this.stageContext;
    context.setLineDash(dashes);
    for (const [stroke, wide] of [["#000b", thickness + 2], [colour, thickness]]) {
      context.strokeStyle = stroke;
      context.lineWidth = wide;
      context.strokeRect(left, top, side * pixel, side * pixel);
    }
    context.setLineDash([]);
    return [left, top, side * pixel];
  }

  showShares() {
    this.shares.forEach((bar, block) => {
      bar.forEach((part, m) => {
        const weight = this.weight(this.get("variant"), m, block);
        part.style.width = `${100 * weight}%`;
        say(part, weight.toFixed(3));
      });
    });
  }

  // Left and right end of the sizes' axis, in pixels of the plot.
  plotEnds(width) {
    return [AXIS + 14, width - 14];
  }

  drawPlot() {
    const [low, high] = this.spec.limits;
    const axes = this.axes(this.plot, low, high, roundTicks(low, high), 34);
    const { context, y, width, height } = axes;
    const { sizes, ink } = this;
    const [branch, variant] = [this.get("branch"), this.get("variant")];
    const [left, right] = this.plotEnds(width);
    const x = (v) => left + ((sizes[v] - sizes[0]) / (sizes.at(-1) - sizes[0])) * (right - left);
    const all = range(sizes.length);
    const path = (values) => all.forEach((v) => (v ? context.lineTo(x(v), y(values(v))) : context.moveTo(x(v), y(values(v)))));
    const line = (values, colour, thickness, alpha) => {
      context.beginPath();
      path(values);
      Object.assign(context, { strokeStyle: colour, lineWidth: thickness, globalAlpha: alpha, lineJoin: "round" });
      context.stroke();
      context.globalAlpha = 1;
    };
    this.plotGround(axes, x, left);
    const colour = this.colours[branch];
    const { mean, spread } = this.arrays;
    if (spread) {
      context.beginPath();
      path((v) => this.scenes("spread", v, 0));
      [...all].reverse().forEach((v) => context.lineTo(x(v), y(this.scenes("spread", v, 1))));
      Object.assign(context, { fillStyle: colour, globalAlpha: 0.2 });
      context.fill();
      context.globalAlpha = 1;
    }
    range(this.branches).forEach((m) => {
      if (m !== branch) line((v) => (mean ? this.scenes("mean", v, 0, m) : this.weight(v, m)), this.colours[m], 1.5, 0.55);
    });
    if (mean) line((v) => this.scenes("mean", v), colour, 2.5, 1);
    else line((v) => this.weight(v), colour, 1.5, 1);
    for (const v of all) {
      context.beginPath();
      context.arc(x(v), y(this.weight(v)), v === variant ? 6 : 3.5, 0, 7);
      Object.assign(context, { fillStyle: colour, strokeStyle: v === variant ? ink.text : ink.surface, lineWidth: v === variant ? 2 : 1 });
      context.fill();
      context.stroke();
    }
    context.fillStyle = ink.muted;
    context.textAlign = "center";
    context.fillText(`side of the ${this.spec.thing}, pixels`, (left + right) / 2, height - 4);
    const { branchNames, blockNames } = this.spec;
    say(this.plotTitle, `Weight of ${branchNames[branch]} in ${blockNames[this.get("block")]} (the axis runs from ${short(low)} to ${short(high)}, whatever you choose)`);
  }

  // The sizes along the axis, the size chosen, and the even share.
  plotGround({ context, y, width, bottom }, x, left) {
    const { ink, sizes } = this;
    const chosen = Math.round(x(this.get("variant")));
    context.fillStyle = ink.text;
    context.globalAlpha = 0.1;
    context.fillRect(chosen - 7, 4, 14, bottom - 4);
    context.globalAlpha = 1;
    context.textAlign = "center";
    let free = left - 20;
    sizes.forEach((size, v) => {
      context.fillStyle = v === this.get("variant") ? ink.text : ink.muted;
      context.fillRect(x(v) - 0.5, bottom, 1, 4);
      const wide = context.measureText(short(size)).width + 6;
      if (x(v) - wide / 2 < free) return;
      context.fillText(short(size), x(v), bottom + 15);
      free = x(v) + wide / 2;
    });
    this.evenShare({ context, y, width });
  }

  evenShare({ context, y, width }) {
    const even = Math.round(y(1 / this.branches)) + 0.5;
    context.setLineDash([4, 3]);
    context.strokeStyle = this.ink.muted;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(AXIS, even);
    context.lineTo(width, even);
    context.stroke();
    context.setLineDash([]);
  }

  drawChannels() {
    const [low, high] = this.spec.channelLimits;
    const axes = this.axes(this.channelChart, low, high, roundTicks(low, high, 4));
    const { context, y, step, gap } = axes;
    const { spec } = this;
    const [variant, chosen] = [this.get("variant"), this.chosenChannel()];
    const colour = this.colours[this.get("branch")];
    for (let c = 0; c < this.channels; c++) {
      const weights = this.sizes.map((_, v) => this.channelWeight(v, c));
      const [top, foot] = [y(Math.max(...weights)), y(Math.min(...weights))];
      context.fillStyle = colour;
      context.globalAlpha = 0.3;
      context.fillRect(AXIS + c * step, top, step - gap, foot - top);
      context.globalAlpha = 1;
      context.fillRect(AXIS + c * step, y(weights[variant]) - 1.5, step - gap, 3);
    }
    this.evenShare(axes);
    if (chosen >= 0) this.pickMark(axes, chosen);
    say(this.channelTitle, `Weight of ${spec.branchNames[this.get("branch")]} in each channel of ${spec.blockNames[this.get("block")]}`);
    this.sayChannel(this.channelChart, chosen, chosen < 0 ? "all channels" : `channel ${chosen}, weight ${number(this.channelWeight(variant, chosen))}`);
  }

  // ------------------------------------------------------------ words

  answerWords(variant) {
    if (!this.arrays.answers) return "";
    const { classNames } = this.spec;
    const at = (this.get("image") * this.sizes.length + variant) * classNames.length;
    const p = this.arrays.answers.subarray(at, at + classNames.length);
    const reads = p.indexOf(Math.max(...p));
    const verdict = !this.arrays.truth ? "" : this.arrays.truth[this.get("image")] === reads ? ", right" : ", wrong";
    return `${classNames[reads]} (probability ${number(p[reads], 2)})${verdict}`;
  }

  readOut() {
    const { spec } = this;
    const [variant, block, branch] = ["variant", "block", "branch"].map((trait) => this.get(trait));
    const name = spec.branchNames[branch];
    const mean = this.arrays.mean ? `; ${spec.meanName} ${number(this.scenes("mean", variant))}` : "";
    const gives = `${spec.blockNames[block]} gives ${name} a weight of ${number(this.weight(variant))}${mean} (even share ${short(1 / this.branches)}).`;
    const answer = this.answerWords(variant);
    this.read(`${spec.thing[0].toUpperCase()}${spec.thing.slice(1)} ${this.pixels(variant)} wide:`, gives, this.detail() + (answer && ` The net reads ${answer}.`));
  }

  detail() {
    const { sizes } = this;
    const [variant, channel] = [this.get("variant"), this.chosenChannel()];
    const weigh = channel < 0 ? (v) => this.weight(v) : (v) => this.channelWeight(v, channel);
    const [first, last] = [weigh(0), weigh(sizes.length - 1)];
    const move = last - first;
    const signed = `${move < 0 ? "−" : "+"}${number(Math.abs(move), 2)}`;
    const change = `from ${number(first)} at ${short(sizes[0])} pixels to ${number(last)} at ${short(sizes.at(-1))} (${signed})`;
    if (channel < 0) return `In this photograph it goes ${change}.`;
    return `Channel ${channel} alone: ${number(weigh(variant))}; ${change}.`;
  }

  sizeRows() {
    const { spec, sizes } = this;
    const branch = spec.branchNames[this.get("branch")];
    const head = ["side, pixels", ...spec.branchNames];
    if (this.arrays.mean) head.push(`${branch}, ${spec.meanName}`);
    if (this.arrays.spread) head.push(`${branch}, ${spec.spreadName}`);
    if (this.arrays.answers) head.push("the net reads");
    const body = sizes.map((size, v) => {
      const cells = [short(size), ...spec.branchNames.map((_, m) => number(this.weight(v, m)))];
      if (this.arrays.mean) cells.push(number(this.scenes("mean", v)));
      if (this.arrays.spread) cells.push(`${number(this.scenes("spread", v, 0))} to ${number(this.scenes("spread", v, 1))}`);
      if (this.arrays.answers) cells.push(this.answerWords(v));
      return cells;
    });
    return { caption: `${spec.blockNames[this.get("block")]}: the weight of each branch at each size of the ${spec.thing}, in this photograph, mean over channels`, head, body };
  }
}

// ---------------------------------------------------------------- table

const SHAPES = ["M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z", "M-4.6-4.6h9.2v9.2h-9.2z", "M0-5.8 5.6 4.4H-5.6z", "M0-6.2 6.2 0 0 6.2-6.2 0z"];
const PLOT = { left: 58, right: 14, top: 12, bottom: 44 }; // px around the plot's ground

class Table extends Explorer {
  constructor(model, root) {
    super(model, root, ["x", "y", "sort", "descending", "row", "hidden", "filter", "bound"]);
    this.columns = this.spec.columns;
    const columns = this.columns.map((column, value) => ({ label: column.name, value }));
    const status = this.makeStatus();
    const plot = this.makePlot();
    const axes = element("div", { class: "ax-axes" }, this.menu("Across", "x", columns), this.menu("Up", "y", columns));
    this.arrange([this.makeGroups(), this.makeFilter(columns)], [axes, plot], [status, this.makeHint("Press a heading to sort. Choose a row or a mark with a finger, the pointer, or Tab and the arrow keys.")], [], this.makeRows());
    this.start();
    const observer = new ResizeObserver(() => this.touch()); // the plot's own width changes when the columns do
    observer.observe(this.plot.parentElement);
    this.closers.push(() => observer.disconnect());
  }

  // ------------------------------------------------------------ which rows

  makeGroups() {
    if (this.spec.kinds.length < 2) return "";
    const boxes = this.spec.kinds.map((kind, i) => {
      const box = element("input", { type: "checkbox", onchange: () => {
        const hidden = this.get("hidden").filter((name) => name !== kind);
        this.set("hidden", box.checked ? hidden : [...hidden, kind]);
      } });
      this.controls.push(() => (box.checked = !this.get("hidden").includes(kind)));
      return element("label", { class: "ax-check" }, box, this.mark(i), kind);
    });
    return element("fieldset", { class: "ax-choice" }, element("legend", {}, "Show"), element("div", { class: "ax-row" }, ...boxes));
  }

  makeFilter(columns) {
    const id = freshId();
    const steps = 100;
    const choice = this.menu("Keep only rows by", "filter", [{ label: "nothing", value: -1 }, ...columns]);
    const select = choice.querySelector("select");
    select.addEventListener("change", () => this.set("bound", this.keepAll(Number(this.get("filter")))));
    const input = element("input", { type: "range", id, min: 0, max: steps, oninput: () => this.set("bound", this.along(this.get("filter"), input.value / steps)) });
    const words = element("b");
    const slider = element("div", { class: "ax-choice ax-slider" }, element("label", { for: id }, words), element("div", { class: "ax-row" }, input));
    this.controls.push(() => {
      const column = this.get("filter");
      slider.hidden = column < 0;
      if (column < 0) return;
      input.value = Math.round(steps * this.fraction(column, this.get("bound")));
      const text = `at ${this.columns[column].better === "lower" ? "most" : "least"} ${number(this.get("bound"))}`;
      say(words, text);
      input.setAttribute("aria-valuetext", text);
    });
    return element("div", { class: "ax-filter" }, choice, slider);
  }

  // The bound that keeps every row.
  keepAll(column) {
    if (column < 0) return 0;
    const [low, high] = this.ends(column);
    return this.columns[column].better === "lower" ? high : low;
  }

  // Fixed ends of a column's axis: its values and the ends of their intervals, with a little room.
  ends(column) {
    const cells = this.spec.cells.map((row) => row[column]).filter((cell) => cell.value !== undefined);
    const all = cells.flatMap((cell) => [cell.value, ...(cell.points ?? [])]);
    let [low, high] = [Math.min(...all), Math.max(...all)];
    if (this.columns[column].log) return [low / 1.15, high * 1.15];
    if (low >= 0 && high <= 1.0001) [low, high] = [0, 1];
    else if (low > 0 && low < high / 2) low = 0;
    return low === high ? [low - 1, high + 1] : [low, low === 0 && high === 1 ? 1 : high + (high - low) * 0.06];
  }

  fraction(column, value) {
    const f = this.columns[column].log ? Math.log : (x) => x;
    const [low, high] = this.ends(column).map(f);
    return clamp((f(value) - low) / (high - low), 0, 1);
  }

  along(column, u) {
    const [low, high] = this.ends(column);
    return this.columns[column].log ? low * (high / low) ** u : low + u * (high - low);
  }

  isKept(row) {
    if (this.get("hidden").includes(this.spec.groups[row])) return false;
    const column = this.get("filter");
    if (column < 0) return true;
    const { value } = this.spec.cells[row][column];
    const slack = 1e-9 * Math.abs(this.get("bound"));
    if (value === undefined) return false;
    return this.columns[column].better === "lower" ? value <= this.get("bound") + slack : value >= this.get("bound") - slack;
  }

  order() {
    const column = this.get("sort");
    const rows = range(this.spec.rows.length);
    if (column < 0) return rows;
    const sign = this.get("descending") ? -1 : 1;
    const value = (row) => this.spec.cells[row][column].value;
    return rows.sort((a, b) => {
      if (value(a) === undefined || value(b) === undefined) return (value(a) === undefined) - (value(b) === undefined);
      return sign * (value(a) - value(b)) || a - b;
    });
  }

  // ------------------------------------------------------------ the table

  makeRows() {
    const heads = this.columns.map((column, k) => {
      const arrow = element("span", { class: "ax-arrow", "aria-hidden": "true" });
      const button = element("button", { type: "button", title: column.unit, onclick: () => {
        if (this.get("sort") === k) this.set("descending", !this.get("descending"));
        else {
          this.set("descending", column.better !== "lower");
          this.set("sort", k);
        }
      } }, column.name, arrow);
      const head = element("th", { scope: "col" }, button);
      this.controls.push(() => {
        const sorted = this.get("sort") === k;
        head.setAttribute("aria-sort", sorted ? (this.get("descending") ? "descending" : "ascending") : "none");
        say(arrow, sorted ? (this.get("descending") ? " ↓" : " ↑") : "");
      });
      return head;
    });
    this.lineOf = this.spec.rows.map((name, r) => this.makeRow(name, r));
    this.body = element("tbody", {}, ...this.lineOf);
    const table = element("table", { class: "ax-grid" }, element("caption", {}, this.spec.caption), element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "row"), ...heads)), this.body);
    return element("div", { class: "ax-scroll", tabindex: 0, role: "region", "aria-label": this.spec.caption || "Table" }, table);
  }

  makeRow(name, r) {
    const link = this.spec.links[r];
    const title = link ? element("a", { href: link }, name) : name;
    const cells = this.spec.cells[r].map((cell, k) => this.makeCell(cell, k));
    const line = element("tr", { tabindex: 0 }, element("th", { scope: "row" }, this.mark(this.spec.kinds.indexOf(this.spec.groups[r])), title), ...cells);
    line.addEventListener("focus", () => this.keep("row", r));
    line.addEventListener("click", () => this.keep("row", r));
    line.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && this.hover(r));
    line.addEventListener("pointerleave", () => this.unhover());
    line.addEventListener("keydown", (event) => {
      const shown = [...this.body.children].filter((node) => !node.hidden);
      const to = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const next = to && shown[shown.indexOf(line) + to];
      if (!next || event.target !== line) return;
      event.preventDefault();
      next.focus();
    });
    return line;
  }

  makeCell(cell, k) {
    if (cell.value === undefined) return element("td", { class: "ax-missing" }, element("span", { title: cell.why }, "–"));
    const half = !cell.ends || cell.ends[0] === cell.ends[1] ? null : element("small", {}, ` ${cell.ends[0]}–${cell.ends[1]}`);
    const bar = element("i", { class: "ax-level", style: `width:${(100 * this.fraction(k, cell.value)).toFixed(1)}%`, "aria-hidden": "true" });
    return element("td", {}, cell.text, half, bar);
  }

  hover(row) {
    this.hovering = "row";
    this.set("row", row);
    this.drawAll(performance.now());
  }

  unhover() {
    if (this.hovering === "row") this.keep("row", this.kept.row);
  }

  // ------------------------------------------------------------ the plot

  mark(kind) {
    const icon = this.svg("svg", { viewBox: "-8 -8 16 16", width: 16, height: 16, class: `ax-mark ax-kind${kind}`, "aria-hidden": "true" });
    icon.append(this.svg("path", { d: SHAPES[kind] }));
    return icon;
  }

  svg(tag, attributes) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  }

  makePlot() {
    this.plot = this.svg("svg", { class: "ax-plot", role: "group", "aria-label": "Two columns against each other, one mark a row" });
    this.ground = this.svg("g", {});
    this.plot.append(this.ground);
    this.marks = this.spec.rows.map((name, r) => {
      const kind = this.spec.kinds.indexOf(this.spec.groups[r]);
      const group = this.svg("g", { class: `ax-point ax-kind${kind}`, tabindex: 0, role: "button" });
      const [across, up] = [0, 1].map(() => this.svg("line", { class: "ax-whisker" }));
      const singles = this.svg("g", { class: "ax-singles" });
      const shape = this.svg("path", { d: SHAPES[kind], class: "ax-shape" });
      const target = this.svg("circle", { r: 16, class: "ax-target" });
      const label = this.svg("text", { class: "ax-label" });
      label.textContent = name;
      group.append(across, up, singles, shape, label, target);
      group.addEventListener("focus", () => this.keep("row", r));
      group.addEventListener("click", () => this.keep("row", r));
      group.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && this.hover(r));
      group.addEventListener("pointerleave", () => this.unhover());
      this.plot.append(group);
      return { group, across, up, singles, shape, label, target };
    });
    return this.plot;
  }

  drawPlot() {
    const width = Math.max(260, this.plot.parentElement.clientWidth);
    const height = Math.round(clamp(width * 0.72, 260, 420));
    const [x, y] = [this.get("x"), this.get("y")];
    const at = {
      x: (v) => PLOT.left + this.fraction(x, v) * (width - PLOT.left - PLOT.right),
      y: (v) => height - PLOT.bottom - this.fraction(y, v) * (height - PLOT.top - PLOT.bottom),
    };
    const ground = [width, height, x, y].join();
    if (this.laid !== ground) {
      this.laid = ground;
      this.plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.plot.style.height = `${height}px`;
      this.layAxes(width, height, x, y, at);
      this.marks.forEach((mark, r) => this.placeMark(mark, r, x, y, at));
    }
    const chosen = this.get("row");
    this.marks.forEach((mark, r) => {
      const [a, b] = [this.spec.cells[r][x], this.spec.cells[r][y]];
      const seen = this.isKept(r) && a.value !== undefined && b.value !== undefined;
      mark.group.style.display = seen ? "" : "none";
      mark.seen = seen;
      mark.group.classList.toggle("ax-chosen", r === chosen);
      if (seen) mark.group.setAttribute("aria-label", `${this.spec.rows[r]}: ${this.columns[x].name} ${a.text}, ${this.columns[y].name} ${b.text}`);
    });
    this.placeLabels(width, height);
  }

  ticks(column) {
    const [low, high] = this.ends(column);
    if (!this.columns[column].log) return roundTicks(low, high, 5).filter((v) => v >= low - 1e-9 && v <= high + 1e-9);
    const decades = range(20).flatMap((i) => [1, 2, 5].map((m) => m * 10 ** (i - 6))).filter((v) => v >= low && v <= high);
    return decades.length > 6 ? decades.filter((v) => Math.abs(Math.log10(v) % 1) < 1e-9) : decades;
  }

  layAxes(width, height, x, y, at) {
    const nodes = [];
    const text = (words, attributes) => {
      const node = this.svg("text", attributes);
      node.textContent = words;
      nodes.push(node);
    };
    const bottom = height - PLOT.bottom;
    for (const v of this.ticks(x)) {
      nodes.push(this.svg("line", { x1: at.x(v), x2: at.x(v), y1: PLOT.top, y2: bottom, class: "ax-gridline" }));
      text(short(v), { x: at.x(v), y: bottom + 16, "text-anchor": "middle", class: "ax-tick" });
    }
    for (const v of this.ticks(y)) {
      nodes.push(this.svg("line", { x1: PLOT.left, x2: width - PLOT.right, y1: at.y(v), y2: at.y(v), class: "ax-gridline" }));
      text(short(v), { x: PLOT.left - 6, y: at.y(v) + 4, "text-anchor": "end", class: "ax-tick" });
    }
    text(this.columns[x].unit, { x: (PLOT.left + width - PLOT.right) / 2, y: height - 6, "text-anchor": "middle", class: "ax-axis" });
    text(this.columns[y].unit, { transform: `translate(13 ${(PLOT.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle", class: "ax-axis" });
    this.ground.replaceChildren(...nodes);
  }

  placeMark(mark, r, x, y, at) {
    const [a, b] = [this.spec.cells[r][x], this.spec.cells[r][y]];
    if (a.value === undefined || b.value === undefined) return;
    [mark.px, mark.py] = [at.x(a.value), at.y(b.value)];
    mark.shape.setAttribute("transform", `translate(${mark.px} ${mark.py})`);
    mark.target.setAttribute("cx", mark.px);
    mark.target.setAttribute("cy", mark.py);
    const line = (node, from) => Object.entries(from).forEach(([name, value]) => node.setAttribute(name, value));
    const none = { x1: mark.px, x2: mark.px, y1: mark.py, y2: mark.py };
    line(mark.across, a.low === undefined ? none : { x1: at.x(a.low), x2: at.x(a.high), y1: mark.py, y2: mark.py });
    line(mark.up, b.low === undefined ? none : { x1: mark.px, x2: mark.px, y1: at.y(b.low), y2: at.y(b.high) });
    const count = Math.max(a.points?.length ?? 0, b.points?.length ?? 0);
    mark.singles.replaceChildren(...range(count).map((s) => this.svg("circle", { r: 2, cx: at.x(a.points?.[s] ?? a.value), cy: at.y(b.points?.[s] ?? b.value) })));
  }

  // Beside its mark, on the first side where it covers no other name and no mark. Where there is none, the name is
  // seen only while its mark is chosen.
  placeLabels(width, height) {
    const seen = this.marks.filter((mark) => mark.seen);
    const taken = seen.map(({ px, py }) => [px - 6, py - 6, px + 6, py + 6]);
    for (const mark of seen) {
      const w = 6.6 * mark.label.textContent.length;
      const sides = [[9, 4, "start"], [-9, 4, "end"], [0, -11, "middle"], [0, 19, "middle"], [9, -9, "start"], [9, 16, "start"], [-9, -9, "end"], [-9, 16, "end"], ...[-22, 29, -35, 42].flatMap((dy) => [[9, dy, "start"], [-9, dy, "end"]])];
      const box = ([dx, dy, anchor]) => {
        const left = mark.px + dx - (anchor === "end" ? w : anchor === "middle" ? w / 2 : 0);
        return [left, mark.py + dy - 10, left + w, mark.py + dy + 3];
      };
      const free = (b) => b[0] >= PLOT.left && b[2] <= width && b[1] >= 0 && b[3] <= height - PLOT.bottom + 4 && taken.every((t) => b[2] < t[0] || b[0] > t[2] || b[3] < t[1] || b[1] > t[3]);
      const found = sides.find((s) => free(box(s)));
      const side = found ?? sides[mark.px > width / 2 ? 1 : 0];
      if (found) taken.push(box(found));
      mark.group.classList.toggle("ax-crowded", !found);
      mark.label.setAttribute("x", mark.px + side[0]);
      mark.label.setAttribute("y", mark.py + side[1]);
      mark.label.setAttribute("text-anchor", side[2]);
    }
  }

  // ------------------------------------------------------------ a frame

  draw() {
    const order = this.order();
    if (order.some((r, i) => this.body.children[i] !== this.lineOf[r])) {
      const focused = this.root.contains(document.activeElement) ? document.activeElement : null;
      this.body.append(...order.map((r) => this.lineOf[r]));
      if (focused && document.activeElement !== focused) focused.focus();
    }
    const chosen = this.get("row");
    const kept = order.filter((r) => this.isKept(r));
    this.lineOf.forEach((line, r) => {
      line.hidden = !kept.includes(r);
      line.classList.toggle("ax-chosen", r === chosen);
    });
    this.drawPlot();
    this.readOut(kept);
  }

  readOut(kept) {
    const all = this.spec.rows.length;
    const count = kept.length === all ? `All ${all} rows are shown.` : `${kept.length} of ${all} rows are shown.`;
    const row = this.get("row");
    if (row < 0) return this.read(count, "", "Choose a row or a mark to read its numbers.");
    const said = [this.get("x"), this.get("y")].filter((k, i, both) => both.indexOf(k) === i).map((k) => this.words(row, k));
    this.read(`${this.spec.rows[row]}, ${this.spec.groups[row]}.`, said.join(" "), count);
  }

  words(row, k) {
    const [cell, column] = [this.spec.cells[row][k], this.columns[k]];
    if (cell.value === undefined) return `${column.name}: none, ${cell.why}.`;
    const spread = cell.ends && cell.ends[0] !== cell.ends[1];
    const ends = !spread ? "" : `, ${this.spec.intervalName} ${cell.ends.join(" to ")}`;
    const each = cell.each && spread ? `, ${this.spec.pointsName} ${cell.each.join(", ")}` : "";
    return `${column.unit}: ${cell.text}${ends}${each}.`;
  }
}

// ---------------------------------------------------------------- the two homes

const KINDS = { positions: Positions, gates: Gates, scales: Scales, table: Table };

function mount(model, root) {
  try {
    return new KINDS[model.get("kind")](model, root);
  } catch (error) {
    root.textContent = `This explorer could not start: ${error.message}`;
    throw error;
  }
}

function render({ model, el }) {
  const root = element("div", { class: "attention-explorer", "data-kind": model.get("kind") });
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys for moving between cells
  el.append(root);
  const explorer = mount(model, root);
  return () => explorer.close();
}

// In a static page the model is a plain table of traits with listeners; there is no kernel to save to.
class PageModel {
  constructor(traits) {
    this.traits = traits;
    this.listeners = new Map();
  }

  get(name) {
    return this.traits[name];
  }

  set(name, value) {
    this.traits[name] = value;
    (this.listeners.get(`change:${name}`) ?? []).forEach((listener) => listener());
  }

  on(event, listener) {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
  }

  off(event, listener) {
    this.listeners.set(event, (this.listeners.get(event) ?? []).filter((other) => other !== listener));
  }

  save_changes() {}
}

export function mountAll(page = document) {
  for (const root of page.querySelectorAll(".attention-explorer[data-kind]")) {
    const source = root.querySelector("script[type='application/json']");
    if (!source) continue;
    const { data, ...traits } = JSON.parse(source.textContent);
    traits.data = new DataView(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer);
    mount(new PageModel(traits), root);
  }
}

export default { render };
