// ---------------------------------------------------------------- views of one place that asks: its heads, and one pair

// All heads at a glance: each head's map of the place that asks, on the scale of the large one.
class HeadsView {
  constructor(live) {
    this.live = live;
    const name = freshId();
    this.canvases = range(live.spec.heads).map(() => element("canvas", { class: "ax-head", "aria-hidden": "true" }));
    this.inputs = this.canvases.map((_, h) => element("input", { type: "radio", name, onchange: () => live.set("head", h) }));
    this.faces = this.canvases.map((canvas, h) => element("label", { class: "ax-thumb" }, this.inputs[h], element("span", { class: "ax-face" }, canvas, element("span", { class: "ax-caption" }, `head ${h}`))));
    this.node = element("fieldset", { class: "ax-choice ax-heads" }, element("legend", {}, "Head"), element("div", { class: "ax-segments" }, ...this.faces));
    live.controls.push(() => this.inputs.forEach((input, h) => (input.checked = h === live.get("head"))));
  }

  draw() {
    const { live } = this;
    const over = live.get("over") || live.spec.maps[0];
    // What a block changes has no heads; another block may lack the map.
    const heads = over === "change" || !MAPS[over](live) ? 0 : (live.asking()?.steps.scores.shape[0] ?? 0);
    this.node.hidden = !heads;
    this.faces.forEach((face, h) => (face.hidden = h >= heads));
    this.canvases.slice(0, heads).forEach((canvas, h) => {
      paintSmall(canvas, MAPS[over](live, h));
    });
  }

  words() {
    return this.live.spec.views.includes("pair") || this.live.get("over") === "change" ? "" : whoAsks(this.live);
  }
}

// Which place asks, and where its weight lies.
function whoAsks(live) {
  if (!live.pair()) return "";
  const head = live.spec.heads > 1 ? `, head ${live.get("head")}` : "";
  return `The place at ${live.where(live.query(), live.side)} asks${head}: ${live.sharesOn()}.`;
}

// One pair of places: its query times its key, number by number, is a score; the softmax makes weights of all
// scores; and the average of the values with these weights is what the asking place takes home.
class PairView {
  constructor(live) {
    this.live = live;
    this.titles = range(3).map(() => element("div", { class: "ax-title" }));
    this.charts = ["ax-product", "ax-scores", "ax-average"].map((name) => element("canvas", { class: `ax-chart ${name}`, "aria-hidden": "true" }));
    const steps = this.charts.map((chart, i) => element("div", {}, this.titles[i], chart));
    this.node = element("div", { class: "ax-one-pair" }, steps[0], this.makeKey(), steps[1], steps[2]);
    this.charts[1].addEventListener("pointerdown", (event) => this.choose(event));
    this.charts[1].addEventListener("pointermove", (event) => event.buttons && this.choose(event));
  }

  // The key: the strongest, or one chosen on the chart or by the slider.
  makeKey() {
    const { live } = this;
    const back = element("button", { type: "button", onclick: () => live.set("key", -1) }, "the strongest");
    live.controls.push(() => (back.disabled = live.get("key") < 0));
    return live.slider("Compared with", live.spec.keys - 1, ["first", "last"], (i) => live.set("key", i), () => {
      const pair = live.run && live.pair();
      return pair ? [pair.key, `${live.where(pair.key, pair.keySide)}${pair.keySide < live.side ? " of the keys" : ""}${live.get("key") < 0 ? ", which has most weight" : ""}`] : [0, ""];
    }, back);
  }

  choose(event) {
    const { live } = this;
    const box = this.charts[1].getBoundingClientRect();
    live.set("key", clamp(Math.floor(((event.clientX - box.left - AXIS) / (box.width - AXIS)) * live.pair().n), 0, live.pair().n - 1));
    live.drawAll(performance.now());
  }

  draw() {
    const pair = this.live.pair();
    this.node.hidden = !pair;
    if (!pair) return;
    const { q, k, v, average } = pair;
    this.rows(this.charts[0], [["q", q], ["k", k], ["q×k", q.map((a, i) => a * k[i])]]);
    this.weights(pair);
    this.rows(this.charts[2], [["v", v], ["o", average]]);
  }

  write() {
    const pair = this.live.pair();
    if (!pair) return;
    const { q, k, score, weight, d, scaled } = pair;
    const product = q.map((a, i) => a * k[i]);
    const dot = product.reduce((a, b) => a + b, 0);
    const mixed = pair.mixed ? `${number(dot / Math.sqrt(d), 3)}; mixed with the other heads: ` : "";
    say(this.titles[0], `q · k = ${number(dot, 3)}${scaled ? `, divided by √${d}: ` : ": "}${mixed}score ${number(score, 3)}`);
    say(this.titles[1], `Softmax over ${pair.n} scores${pair.normed ? ", then the norm" : ""}: weight ${number(weight, 3)}`);
    say(this.titles[2], pair.normed ? "Sum: this key's value v, and the sum o of all values times their weights" : "Average: this key's value v, and the average o of all values by their weights");
  }

  // Rows of signed bars, each on its own axis.
  rows(chart, rows) {
    const { live } = this;
    const [width, height] = live.sizeCanvas(chart);
    const context = chart.getContext("2d");
    const row = height / rows.length;
    context.clearRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    rows.forEach(([name, values], r) => {
      const middle = (r + 0.5) * row;
      const most = Math.max(1e-6, ...values.map(Math.abs));
      const step = (width - AXIS) / values.length;
      context.fillStyle = live.ink.text;
      context.fillText(name, 0, middle + 4);
      context.fillStyle = live.ink.line;
      context.fillRect(AXIS, middle, width - AXIS, 1);
      values.forEach((value, i) => {
        const tall = (value / most) * (row / 2 - 2);
        context.fillStyle = value > 0 ? live.ink.after : live.ink.before;
        context.fillRect(AXIS + i * step, tall > 0 ? middle - tall : middle, Math.max(1, step - 1), Math.abs(tall));
      });
    });
  }

  // The scores of all keys above, the weights that the softmax makes of them below, the chosen key marked.
  weights({ scores, weights, key, n, forbidden }) {
    const { live } = this;
    const chart = this.charts[1];
    const [width, height] = live.sizeCanvas(chart);
    const context = chart.getContext("2d");
    const step = (width - AXIS) / n;
    const half = height / 2 - 4;
    const [low, high] = [Math.min(...scores), Math.max(...scores)];
    const most = Math.max(1e-6, ...weights);
    const least = Math.min(0, ...weights); // of a normed map: bars below a line at zero
    const zero = height - (half - 2) * (-least / (most - least));
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = live.ink.text;
    context.fillText("score", 0, half / 2 + 4);
    context.fillText("weight", 0, half * 1.5 + 12);
    const wide = Math.max(1, step - (step > 4 ? 1 : 0));
    const bar = (j, value, base) => context.fillRect(AXIS + j * step, base - Math.max(0, value) * (half - 2), wide, Math.max(1, Math.abs(value) * (half - 2)));
    for (let j = 0; j < n; j++) {
      context.fillStyle = j === key ? PULLED : forbidden.has(j) ? live.ink.line : live.ink.muted;
      bar(j, (scores[j] - low) / (high - low || 1), half);
    }
    for (let j = 0; j < n; j++) {
      context.fillStyle = j === key ? PULLED : weights[j] < 0 ? live.ink.before : live.ink.accent;
      bar(j, weights[j] / (most - least), zero);
    }
    context.fillStyle = live.ink.muted;
    context.textAlign = "right";
    context.fillText(short(most), width, half + 14);
    context.textAlign = "left";
  }

  words() {
    return whoAsks(this.live);
  }
}

// The slots of a memory: how the place that asks divides its weight among them, and which slot is looked at.
class SlotsView {
  constructor(live) {
    this.live = live;
    this.title = element("div", { class: "ax-title" });
    this.chart = element("canvas", { class: "ax-chart ax-low", "aria-hidden": "true" });
    const back = element("button", { type: "button", onclick: () => live.set("slot", -1) }, "the strongest");
    live.controls.push(() => (back.disabled = live.get("slot") < 0));
    const slider = live.slider("Slot", live.spec.slots - 1, ["first", "last"], (i) => live.set("slot", i), () => {
      const map = live.run && live.asking()?.maps.slot;
      return map ? [live.slot(map.shape[2]), `${live.slot(map.shape[2])}: weight ${number(live.lineOf(map)[live.slot(map.shape[2])], 2)}`] : [0, ""];
    }, back);
    const choose = (event) => {
      const box = this.chart.getBoundingClientRect();
      live.set("slot", clamp(Math.floor(((event.clientX - box.left - AXIS) / (box.width - AXIS)) * live.spec.slots), 0, live.spec.slots - 1));
      live.drawAll(performance.now());
    };
    this.chart.addEventListener("pointerdown", choose);
    this.chart.addEventListener("pointermove", (event) => event.buttons && choose(event));
    this.node = element("div", {}, this.title, this.chart, slider);
  }

  draw() {
    const { live } = this;
    const map = live.asking()?.maps.slot;
    this.node.hidden = !map;
    if (!map) return;
    const values = Array.from(live.lineOf(map));
    this.limit = Math.max(this.limit ?? 0.1, nextRound(Math.max(...values)));
    const { context, y, step, bottom, gap } = live.axes(this.chart, 0, this.limit, [0, this.limit], 9, values.length);
    values.forEach((value, i) => {
      context.fillStyle = i === live.slot(values.length) ? PULLED : live.ink.accent;
      context.fillRect(AXIS + i * step, Math.min(y(value), bottom - 1), Math.max(1, step - gap), Math.max(1, bottom - y(value)));
    });
  }

  write() {
    const { live } = this;
    const map = live.asking()?.maps.slot;
    if (map) say(this.title, `How the place at ${live.where(live.query(), live.side)} divides its weight among ${map.shape[2]} slots`);
  }

  words() {
    const { live } = this;
    const map = live.asking()?.maps.slot;
    if (!map) return "";
    const slot = live.slot(map.shape[2]);
    return `The place at ${live.where(live.query(), live.side)}, head ${live.get("head")}, takes ${number(live.lineOf(map)[slot], 2)} of what it reads from slot ${slot}.`;
  }
}
