// ---------------------------------------------------------------- positions

const SIMILARITY = { dot: "q·k", "scaled dot": "q·k / √d", cosine: "cosine", distance: "−‖q − k‖²" };
const INSIDE = 0.15; // a place lies on a region that covers more of it than this, as in the chapters' scores

class Positions extends PhotographExplorer {
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

  allows(trait, value) {
    const { spec } = this;
    const [low, high] = spec.temperatureRange;
    const below = (n) => Number.isInteger(value) && value >= 0 && value < n;
    const known = {
      image: below(spec.imageNames.length), head: below(spec.heads), query: below(this.places),
      similarity: spec.similarities.includes(value), scale: value in this.scales,
      show: ["photograph", "both", "map", ...(this.arrays.values ? ["result"] : [])].includes(value),
      temperature: value >= low && value <= high,
    };
    return known[trait];
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
    const { covers } = this.arrays;
    let weight = 0;
    let inside = 0;
    for (let j = 0; j < this.places; j++) {
      if (covers[at + j] <= 255 * INSIDE) continue;
      weight += this.weights[j];
      inside++;
    }
    return [weight, inside / this.places, covers[at + this.get("query")] > 127];
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
    const held = shares && ` Weight on it (and share of the places): ${shares}.`;
    this.read(`Query ${this.where(query)}${on}:`, first, `Spread over about ${effective < 10 ? effective.toFixed(1) : Math.round(effective)} of ${places} places.${held}`);
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

KINDS.positions = Positions;
