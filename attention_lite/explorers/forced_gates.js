// ---------------------------------------------------------------- forced gates

const GONE = 0.1; // an overlap below this: hardly a place is found again

// Dark where nothing is found; the photograph itself where something is.
const DIMMED = { ...linearScale(0, 1), table: new Uint8Array(256 * 3), opacity: (u) => 0.6 * (1 - u) };

class ForcedGates extends PhotographExplorer {
  constructor(model, root) {
    super(model, root, ["image", "source", "block", "place", "show"]);
    const { spec } = this;
    this.count = spec.imageNames.length;
    this.sources = this.count + spec.sourceNames.length;
    this.blocks = spec.blockNames.length;
    this.firsts = spec.blockSizes.map((_, b) => spec.blockSizes.slice(0, b).reduce((x, y) => x + y, 0));
    this.channels = spec.blockSizes.reduce((x, y) => x + y, 0);
    this.build();
    this.start();
    this.inflateAll();
  }

  async inflateAll() {
    for (const name of Object.keys(this.arrays)) this.arrays[name] = await this.arrays[name];
    this.inflated = true;
    this.touch();
  }

  file() {
    return this.get("image");
  }

  build() {
    const { spec } = this;
    const status = this.makeStatus();
    const stage = this.makeGridStage("place", "Arrow keys choose a place, Escape lets it go.", (event) => {
      if (event.key === "Escape") this.keep("place", -1);
    });
    const pictures = spec.imageNames.map((label, value) => ({ label, value, file: value }));
    const others = spec.sourceNames.map((label, i) => ({ label, value: this.count + i }));
    this.arrange(
      [this.photographChooser(), this.chooser("Whose gates it gets", "source", [{ value: -1, label: "its own" }, ...pictures, ...others])],
      [stage, this.makeBar()],
      [status, this.makeBlocks()],
      [
        this.chooser("Show", "show", ["photograph", "both", "map"].map((value) => ({ value, label: value }))),
        this.makeHint(`Yellow: what counts as ${spec.found}, above ${spec.threshold}. White: what counts under its own gates.`),
      ],
      this.makeTable(() => this.blockRows()),
    );
  }

  // One line a block: its channels in the order of the photograph's own gates; above the own, below those in place.
  makeBlocks() {
    const { spec } = this;
    const name = freshId();
    this.strips = spec.blockNames.map(() => element("canvas", { class: "ax-strip", "aria-hidden": "true" }));
    this.changes = spec.blockNames.map(() => element("span", { class: "ax-change" }));
    const lines = [-1, ...range(this.blocks)].map((b) => {
      const input = element("input", { type: "radio", name, value: b, onchange: () => this.set("block", b) });
      this.controls.push(() => {
        input.checked = b === this.blockInPlace();
        input.disabled = b >= 0 && !spec.singles.includes(this.get("image"));
      });
      const words = b < 0 ? [`all ${this.blocks} blocks`] : [element("span", { class: "ax-name" }, spec.blockNames[b]), this.strips[b], this.changes[b]];
      return element("label", { class: "ax-block" }, input, element("span", { class: "ax-face" }, ...words));
    });
    this.blocksLegend = element("legend");
    return element("fieldset", { class: "ax-choice" }, this.blocksLegend, element("div", { class: "ax-segments ax-blocks" }, ...lines), this.makeKey());
  }

  makeKey() {
    const ramp = element("i", { class: "ax-gate-ramp", style: `background:linear-gradient(to right,${this.rampStops()})` });
    return element("div", { class: "ax-key" }, element("span", {}, "gate 0", ramp, "1"), element("span", {}, "above: its own; below: those in place; at the right: how far they lie apart, on average"));
  }

  rampStops() {
    const { table } = linearScale(0, 1);
    return range(17).map((i) => `rgb(${range(3).map((c) => table[3 * Math.round((255 * i) / 16) + c]).join(" ")})`).join(",");
  }

  // ------------------------------------------------------------ numbers

  sourceInPlace() {
    return this.get("source") < 0 ? this.get("image") : this.get("source");
  }

  // Blocks were forced alone on some photographs only.
  blockInPlace() {
    return this.spec.singles.includes(this.get("image")) ? this.get("block") : -1;
  }

  gatesOf(block, source) {
    const at = (this.get("image") * this.sources + source) * this.channels + this.firsts[block];
    return this.arrays.gates.subarray(at, at + this.spec.blockSizes[block]);
  }

  mapUnder(source, block) {
    const image = this.get("image");
    if (block < 0 || source === image) return this.slice(this.arrays.maps, image * this.sources + source);
    return this.slice(this.arrays.single, (this.spec.singles.indexOf(image) * this.blocks + block) * this.sources + source);
  }

  slice(maps, i) {
    return maps.subarray(i * this.places, (i + 1) * this.places);
  }

  isForeign() {
    return this.sourceInPlace() !== this.get("image");
  }

  isForced(block) {
    const chosen = this.blockInPlace();
    return this.isForeign() && (chosen < 0 || chosen === block);
  }

  difference(block) {
    if (!this.isForced(block)) return 0;
    const [own, put] = [this.gatesOf(block, this.get("image")), this.gatesOf(block, this.sourceInPlace())];
    return own.reduce((sum, g, c) => sum + Math.abs(g - put[c]), 0) / own.length / 255;
  }

  compare(map, own) {
    const cut = 255 * this.spec.threshold;
    let [both, either, found, before] = [0, 0, 0, 0];
    for (let i = 0; i < this.places; i++) {
      const [a, b] = [map[i] > cut, own[i] > cut];
      [both, either, found, before] = [both + (a && b), either + (a || b), found + a, before + b];
    }
    return { overlap: either ? both / either : null, found: found / this.places, before: before / this.places };
  }

  // ------------------------------------------------------------ drawing

  draw() {
    if (!this.inflated) {
      this.paintPhotograph("full");
      return;
    }
    const show = this.get("show");
    const view = this.view();
    const scale = show === "map" ? linearScale(0, 1) : DIMMED;
    const [width, height] = this.drawPicture(view, scale, show);
    const place = this.get("place");
    if (place >= 0) this.markPlace(place, width, height);
    this.showBar(scale, `Probability that a place is ${this.spec.found}`, show, [false, false], [[this.spec.threshold, `${this.spec.found} from here`]]);
    this.drawStrips();
    this.readOut(view);
    this.fillTable();
  }

  // The two maps and their numbers: made once for a state, since a pointer that moves changes none of it.
  view() {
    const [source, block] = [this.sourceInPlace(), this.blockInPlace()];
    const key = [this.get("image"), source, block].join();
    if (this.seen?.key !== key) {
      const [map, own] = [this.mapUnder(source, block), this.mapUnder(this.get("image"), -1)];
      this.seen = { key, map, own, numbers: this.compare(map, own) };
    }
    return this.seen;
  }

  // So is the picture, which a place is then marked on.
  drawPicture({ key, map, own }, scale, show) {
    const [width, height] = this.sizeCanvas(this.stage);
    const state = [key, show, this.stage.width, this.stage.height, Boolean(this.photographs.ready[this.file()])].join();
    if (this.picture?.state === state) {
      this.stageContext.drawImage(this.picture.canvas, 0, 0, width, height);
      return [width, height];
    }
    this.paintFound(map, scale, show);
    if (show !== "photograph") {
      if (this.isForeign()) this.drawEdge(own, width, height, "#fff");
      this.drawEdge(map, width, height, "#ffd21f");
    }
    const canvas = element("canvas", { width: this.stage.width, height: this.stage.height });
    canvas.getContext("2d").drawImage(this.stage, 0, 0);
    this.picture = { state, canvas };
    return [width, height];
  }

  // As Explorer.paint, but the photograph keeps its colours.
  paintFound(map, scale, show) {
    const [width, height] = this.paintPhotograph("full");
    if (show === "photograph") return;
    const pixels = this.layerPixels.data;
    for (let i = 0; i < this.places; i++) {
      for (let c = 0; c < 3; c++) pixels[4 * i + c] = scale.table[3 * map[i] + c];
      pixels[4 * i + 3] = show === "both" ? 255 * scale.opacity(map[i] / 255) : 255;
    }
    this.layerContext.putImageData(this.layerPixels, 0, 0);
    this.stageContext.imageSmoothingEnabled = true;
    this.stageContext.drawImage(this.layer, 0, 0, width, height);
  }

  // The border between the places above the threshold and the others.
  drawEdge(map, width, height, colour) {
    const cut = 255 * this.spec.threshold;
    const inside = (r, c) => r >= 0 && c >= 0 && r < this.rows && c < this.columns && map[r * this.columns + c] > cut;
    const [w, h] = [width / this.columns, height / this.rows];
    const path = new Path2D();
    const line = (x0, y0, x1, y1) => {
      path.moveTo(x0 * w, y0 * h);
      path.lineTo(x1 * w, y1 * h);
    };
    for (let r = 0; r <= this.rows; r++) {
      for (let c = 0; c <= this.columns; c++) {
        if (inside(r, c) !== inside(r - 1, c)) line(c, r, c + 1, r);
        if (inside(r, c) !== inside(r, c - 1)) line(c, r, c, r + 1);
      }
    }
    const context = this.stageContext;
    for (const [ink, thickness] of [["#000a", 2.4], [colour, 1.2]]) {
      context.strokeStyle = ink;
      context.lineWidth = thickness;
      context.stroke(path);
    }
  }

  drawStrips() {
    const { table } = linearScale(0, 1);
    const rows = (context, gates, order, y, width, height) => order.forEach((c, i) => {
      context.fillStyle = `rgb(${range(3).map((k) => table[3 * gates[c] + k]).join(" ")})`;
      context.fillRect((i * width) / order.length, y, width / order.length + 0.5, height);
    });
    this.strips.forEach((strip, b) => {
      const key = [this.get("image"), this.isForced(b) ? this.sourceInPlace() : -1, strip.clientWidth].join();
      if (strip.dataset.drawn === key) return;
      strip.dataset.drawn = key;
      const [width, height] = this.sizeCanvas(strip);
      const own = this.gatesOf(b, this.get("image"));
      const put = this.isForced(b) ? this.gatesOf(b, this.sourceInPlace()) : own;
      const order = range(own.length).sort((x, y) => own[x] - own[y] || x - y);
      const context = strip.getContext("2d");
      context.clearRect(0, 0, width, height);
      rows(context, own, order, 0, width, height / 2 - 1);
      rows(context, put, order, height / 2 + 1, width, height / 2 - 1);
      say(this.changes[b], this.isForced(b) ? this.difference(b).toFixed(2) : "–");
    });
    const alone = this.spec.singles.map((p) => this.spec.imageNames[p]).join(", ");
    say(this.blocksLegend, `Blocks that get them${alone ? ` (one alone: on ${alone})` : ""}`);
  }

  // ------------------------------------------------------------ in words

  sourceName() {
    const source = this.sourceInPlace();
    if (source === this.get("image")) return "its own gates";
    return source < this.count ? `the gates of ${this.spec.imageNames[source]}` : `the gates: ${this.spec.sourceNames[source - this.count]}`;
  }

  verdict({ overlap, found, before }) {
    const { found: what } = this.spec;
    if (overlap == null) return `No ${what}, as with its own gates.`;
    if (before === 0) return `${what[0].toUpperCase()}${what.slice(1)} where its own gates find none.`;
    if (overlap >= 0.9) return `Nearly the same ${what}.`;
    if (overlap >= 0.5) return `Most of the ${what} is still found.`;
    if (overlap >= GONE) return `Much has changed.`;
    return found < before / 2 ? `The ${what} is gone.` : `Other places count as ${what} now.`;
  }

  readOut({ map, own, numbers }) {
    const { spec } = this;
    const block = this.blockInPlace();
    const where = block < 0 ? "" : ` in ${spec.blockNames[block]} alone`;
    const share = (x) => `${(100 * x).toFixed(1)} %`;
    const lead = !this.isForeign()
      ? [`${share(numbers.before)} of the places count as ${spec.found}`, "under its own gates."]
      : [this.verdict(numbers), `Overlap with its own map: ${numbers.overlap == null ? "none to measure" : numbers.overlap.toFixed(2)}. Under ${this.sourceName()}${where} ${share(numbers.found)} of the places count as ${spec.found}, under its own ${share(numbers.before)}.`];
    const place = this.get("place");
    const here = place < 0 ? "Point at a place to read its probability." : `At ${this.where(place)}: ${(map[place] / 255).toFixed(2)}, under its own gates ${(own[place] / 255).toFixed(2)}.`;
    this.read(...lead, here);
  }

  blockRows() {
    const mean = (gates) => gates.reduce((sum, g) => sum + g, 0) / gates.length / 255;
    const body = range(this.blocks).map((b) => {
      const own = this.gatesOf(b, this.get("image"));
      const put = this.isForced(b) ? this.gatesOf(b, this.sourceInPlace()) : own;
      return [this.spec.blockNames[b], String(own.length), mean(own).toFixed(2), mean(put).toFixed(2), this.difference(b).toFixed(2)];
    });
    const head = ["block", "channels", "mean gate, its own", "mean gate in place", "mean difference"];
    return { caption: `Every block under ${this.sourceName()}`, head, body };
  }
}

KINDS["forced-gates"] = ForcedGates;
