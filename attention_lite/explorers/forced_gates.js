// ---------------------------------------------------------------- forced gates

const GONE = 0.1; // an overlap below this: hardly a place is found again
const TILES = 6; // channels shown inside a block
const TILE_LABEL = 16; // px for the words above a row of them

// A marker's yellow over what is found; the rest of the photograph in grey.
const MARKER = [255, 217, 0];
const MARKED = { ...linearScale(0, 1), table: Uint8Array.from({ length: 256 * 3 }, (_, i) => MARKER[i % 3]), opacity: (u) => 0.45 * u };

class ForcedGates extends PhotographExplorer {
  constructor(model, root) {
    super(model, root, ["image", "source", "block", "spared", "place", "show"]);
    const { spec } = this;
    this.count = spec.imageNames.length;
    this.blocks = spec.blockNames.length;
    this.firsts = spec.blockSizes.map((_, b) => spec.blockSizes.slice(0, b).reduce((x, y) => x + y, 0));
    this.channels = spec.blockSizes.reduce((x, y) => x + y, 0);
    this.parts = {};
    this.build();
    this.start();
  }

  file() {
    return this.get("image");
  }

  // What an address may ask for.
  allows(trait, value) {
    const { spec } = this;
    if (trait === "show") return ["photograph", "both", "map"].includes(value);
    if (trait === "spared") return typeof value === "boolean";
    const least = trait === "image" ? 0 : -1;
    const most = { image: this.count, source: spec.sources, block: this.blocks, place: this.places }[trait];
    return Number.isInteger(value) && value >= least && value < most;
  }

  // ------------------------------------------------------------ layout

  build() {
    const { spec } = this;
    const status = this.makeStatus();
    const stage = this.makeGridStage("place", "Arrow keys choose a place, Escape lets it go.", (event) => {
      if (event.key === "Escape") this.keep("place", -1);
    });
    const pictures = spec.imageNames.map((label, value) => ({ label, value, file: value }));
    const others = spec.sourceNames.map((label, i) => ({ label, value: this.count + i }));
    const part = (name, ...nodes) => element("div", { class: name }, ...nodes);
    this.root.replaceChildren(
      part("ax-body",
        part("ax-sources", this.chooser("Whose gates it gets", "source", [{ value: -1, label: "its own" }, ...pictures])),
        part("ax-pair", this.makeOwnMap(), this.makeForced(stage)),
        part("ax-reading", status),
        part("ax-painting",
          others.length ? this.menu("Or gates that were made", "source", others, "choose …") : null,
          this.photographChooser(), this.makeUpload(),
          this.chooser("Show", "show", ["photograph", "both", "map"].map((value) => ({ value, label: value }))),
          this.makeBar()),
        part("ax-within", this.makeInside(), this.makeBlocks()),
      ),
      this.makeTable(() => this.blockRows()),
    );
  }

  // What it finds under its own gates stands still at the left.
  makeOwnMap() {
    this.ownMap = element("canvas", { class: "ax-own", role: "img", style: this.stage.getAttribute("style") });
    return element("figure", {}, this.ownMap, element("figcaption", {}, "its own gates"));
  }

  // At the right, what it finds under others; until the reader has chosen some, a button that gives it the first.
  makeForced(stage) {
    const [caption, first] = [element("figcaption"), this.makeFirst()];
    this.controls.push(() => say(caption, this.isForeign() ? this.sourceName() : "whose gates?"));
    return element("figure", { class: "ax-forced" }, stage, first, caption);
  }

  makeFirst() {
    const button = element("button", { type: "button", class: "ax-first", onclick: () => this.set("source", this.other()) });
    this.controls.push(() => {
      button.hidden = this.isForeign() || this.count < 2;
      say(button, `Give it the gates of ${this.spec.imageNames[this.other()]}`);
    });
    return button;
  }

  // The first photograph that is not this one.
  other() {
    return this.get("image") === 1 ? 0 : Math.min(1, this.count - 1);
  }

  makeInside() {
    const { inside, blockNames } = this.spec;
    if (!inside) return null;
    this.tiles = element("canvas", { class: "ax-tiles", role: "img" });
    const caption = element("figcaption");
    this.controls.push(() => say(caption, `Inside ${blockNames[inside.block]}: the three channels ${this.isForced(inside.block) ? "whose gates fall furthest, and the three whose gates rise furthest" : "whose gates are most open, and the three most shut"}`));
    return element("figure", { class: "ax-inside" }, caption, this.tiles, this.makeHint("Each channel as it leaves its gate: white 0, red above, blue below, on a scale of its own. Under it, its gate; with gate 0 it is blank. The blocks before it keep their own gates."));
  }

  // One line a block: its channels in the order of the photograph's own gates; where others are forced, these below.
  makeBlocks() {
    const { spec } = this;
    const name = freshId();
    this.strips = spec.blockNames.map(() => element("canvas", { class: "ax-gate-strip", "aria-hidden": "true" }));
    this.changes = spec.blockNames.map(() => element("span", { class: "ax-change" }));
    const lines = [-1, ...range(this.blocks)].map((b) => {
      const input = element("input", { type: "radio", name, value: b, onchange: () => this.set("block", b) });
      this.controls.push(() => {
        input.checked = b === this.blockInPlace();
        input.disabled = b >= 0 && !this.isSingle();
      });
      const words = b < 0 ? [`all ${this.blocks} blocks`] : [element("span", { class: "ax-name" }, spec.blockNames[b]), this.strips[b], this.changes[b]];
      return element("label", { class: "ax-block" }, input, element("span", { class: "ax-face" }, ...words));
    });
    this.blocksLegend = element("legend");
    return element("fieldset", { class: "ax-choice" }, this.blocksLegend, element("div", { class: "ax-segments ax-blocks" }, ...lines), this.makeSpared(), this.makeKey());
  }

  makeSpared() {
    if (!Object.keys(this.spec.singles).length) return null;
    const box = element("input", { type: "checkbox", onchange: () => this.set("spared", box.checked) });
    this.controls.push(() => {
      box.checked = this.get("spared");
      box.disabled = this.blockInPlace() < 0;
    });
    return element("label", { class: "ax-check" }, box, "All blocks but this one: it keeps its own");
  }

  makeKey() {
    const ramp = element("i", { class: "ax-gate-ramp", style: `background:linear-gradient(to right,${this.rampStops()})` });
    const words = element("span");
    this.controls.push(() => say(words, this.isForeign() ? "above: its own; below: those in place; at the right: how far they lie apart, on average" : "its own gates, from the lowest to the highest"));
    return element("div", { class: "ax-key" }, element("span", {}, "gate 0", ramp, "1"), words);
  }

  rampStops() {
    const { table } = linearScale(0, 1);
    return range(17).map((i) => `rgb(${range(3).map((c) => table[3 * Math.round((255 * i) / 16) + c]).join(" ")})`).join(",");
  }

  // ------------------------------------------------------------ numbers

  sourceInPlace() {
    return this.get("source") < 0 ? this.get("image") : this.get("source");
  }

  isForeign() {
    return this.sourceInPlace() !== this.get("image");
  }

  // Blocks were forced one by one on some photographs only, with some gates.
  isSingle() {
    return Boolean(this.spec.singles[this.get("image")]?.includes(this.sourceInPlace()));
  }

  blockInPlace() {
    return this.isSingle() ? this.get("block") : -1;
  }

  isForced(block) {
    const chosen = this.blockInPlace();
    return this.isForeign() && (chosen < 0 || (chosen === block) !== this.get("spared"));
  }

  // What was stored under a name: null while it is on its way, "missing" where it is not to be had.
  part(name) {
    if (!(name in this.parts)) {
      this.parts[name] = null;
      this.bytesOf(name).then(inflate).catch(() => "missing").then((bytes) => {
        this.parts[name] = bytes;
        this.touch();
      });
    }
    return this.parts[name];
  }

  stored() {
    return this.part(`answers ${this.get("image")}`);
  }

  gatesOf(block, source) {
    const at = source * this.channels + this.firsts[block];
    return this.stored().subarray(at, at + this.spec.blockSizes[block]);
  }

  entering(channel) {
    const [, rows, columns] = this.spec.inside.shape;
    const from = this.spec.sources * (this.channels + this.places) + channel * rows * columns;
    const bytes = this.stored();
    return new Int8Array(bytes.buffer, bytes.byteOffset + from, rows * columns);
  }

  // The text map in place; null or "missing" as `part` has it.
  mapInPlace() {
    const [image, source, block] = [this.get("image"), this.sourceInPlace(), this.blockInPlace()];
    if (block < 0) return this.mapUnder(source);
    const maps = this.part(`blocks ${image}`);
    if (!maps || maps === "missing") return maps;
    const way = this.spec.singles[image].indexOf(source) * 2 + Number(this.get("spared"));
    return this.slice(maps, way * this.blocks + block);
  }

  mapUnder(source) {
    return this.slice(this.stored().subarray(this.spec.sources * this.channels), source);
  }

  slice(maps, i) {
    return maps.subarray(i * this.places, (i + 1) * this.places);
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
    const words = this.spec.words[this.get("image")];
    return { overlap: either ? both / either : null, found: found / this.places, before: before / this.places, words: words && { all: words.length, now: this.wordsOn(map, words), before: this.wordsOn(own, words) } };
  }

  // A word is found where at least half of the line through its middle is.
  wordsOn(map, words) {
    const cut = 255 * this.spec.threshold;
    return words.filter(([left, top, right, bottom]) => {
      const row = Math.min(Math.floor(((top + bottom) / 2) * this.rows), this.rows - 1);
      const from = Math.floor(left * this.columns);
      const line = map.subarray(row * this.columns + from, row * this.columns + Math.max(from + 1, Math.ceil(right * this.columns)));
      return 2 * line.reduce((sum, v) => sum + (v > cut), 0) >= line.length;
    }).length;
  }

  // ------------------------------------------------------------ drawing

  draw() {
    const stored = this.stored();
    const map = stored && stored !== "missing" ? this.mapInPlace() : stored;
    if (!map || map === "missing") return this.wait(map);
    const view = this.view(map);
    const show = this.get("show");
    const scale = show === "map" ? linearScale(0, 1) : MARKED;
    this.drawPictures(view, scale, show);
    this.showBar(scale, `Probability that a place is ${this.spec.found}`, show, [false, false], [[this.spec.threshold, `${this.spec.found} from here`]]);
    this.drawStrips();
    this.drawTiles();
    this.readOut(view);
    this.fillTable();
  }

  wait(map) {
    this.paintPhotograph("full");
    const name = this.spec.imageNames[this.get("image")];
    if (map === "missing") this.read(`What was found on ${name} is missing.`, "It is a file beside this page, in _static/transformer.", "");
    else this.read(`What was found on ${name} is on its way …`, "", "");
  }

  // The two maps and their numbers: made once for a state, since a pointer that moves changes none of it.
  view(map) {
    const [image, source, block] = [this.get("image"), this.sourceInPlace(), this.blockInPlace()];
    const key = [image, source, block, this.get("spared")].join();
    if (this.seen?.key !== key) {
      const own = this.mapUnder(image);
      this.seen = { key, map, own, numbers: this.compare(map, own) };
    }
    return this.seen;
  }

  // So are the pictures, which a place is then marked on.
  drawPictures({ key, map, own }, scale, show) {
    const place = this.get("place");
    for (const [canvas, shown, marked] of [[this.ownMap, own, true], [this.stage, map, this.isForeign()]]) {
      const [width, height] = this.sizeCanvas(canvas);
      const state = [key, show, canvas.width, canvas.height, Boolean(this.photographs.ready[this.file()])].join();
      const kept = (this.pictures ??= new Map()).get(canvas);
      if (kept?.state === state) canvas.getContext("2d").drawImage(kept.picture, 0, 0, width, height);
      else this.pictures.set(canvas, { state, picture: this.drawFound(canvas, width, height, shown, marked ? scale : null, show) });
      if (place >= 0) this.markOn(canvas, place, width, height);
    }
    this.ownMap.setAttribute("aria-label", `${this.spec.imageNames[this.get("image")]}, what is found under its own gates`);
  }

  // Draws on the canvas, and returns a copy of what it drew.
  drawFound(canvas, width, height, map, scale, show) {
    const context = canvas.getContext("2d");
    const photograph = this.photographs.ready[this.file()];
    context.imageSmoothingEnabled = true;
    if (photograph) context.drawImage(photograph.full, 0, 0, width, height);
    if (scale && show !== "photograph") {
      if (show === "both") this.greyOut(context, map, width, height);
      this.layMap(context, map, scale, show, width, height);
      this.drawEdge(context, map, width, height);
    }
    const copy = element("canvas", { width: canvas.width, height: canvas.height });
    copy.getContext("2d").drawImage(canvas, 0, 0);
    return copy;
  }

  // Where nothing is found the photograph is grey, and a little lighter.
  greyOut(context, map, width, height) {
    const grey = element("canvas", { width: context.canvas.width, height: context.canvas.height });
    const pen = grey.getContext("2d");
    pen.filter = "grayscale(1) contrast(0.75) brightness(1.1)";
    pen.drawImage(context.canvas, 0, 0);
    pen.filter = "none";
    pen.globalCompositeOperation = "destination-out";
    pen.imageSmoothingEnabled = true;
    pen.drawImage(this.layerOf(map, (i) => [0, 0, 0, map[i]]), 0, 0, grey.width, grey.height);
    context.drawImage(grey, 0, 0, width, height);
  }

  layMap(context, map, scale, show, width, height) {
    const layer = this.layerOf(map, (i) => [...scale.table.subarray(3 * map[i], 3 * map[i] + 3), show === "both" ? 255 * scale.opacity(map[i] / 255) : 255]);
    context.imageSmoothingEnabled = true;
    context.drawImage(layer, 0, 0, width, height);
  }

  layerOf(map, colour) {
    for (let i = 0; i < this.places; i++) this.layerPixels.data.set(colour(i), 4 * i);
    this.layerContext.putImageData(this.layerPixels, 0, 0);
    return this.layer;
  }

  // The border between the places above the threshold and the others.
  drawEdge(context, map, width, height) {
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
    for (const [ink, thickness] of [["#0007", 1.5], ["#ffd900", 0.9]]) {
      context.strokeStyle = ink;
      context.lineWidth = thickness;
      context.stroke(path);
    }
  }

  markOn(canvas, place, width, height) {
    const [x, y, w, h] = this.frameOf(place, width, height);
    const context = canvas.getContext("2d");
    for (const [colour, thickness] of [["#000", 5], ["#fff", 2.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = thickness;
      context.strokeRect(x + w / 2 - 6, y + h / 2 - 6, 12, 12);
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
      const [own, put] = this.gatesAt(b);
      const order = range(own.length).sort((x, y) => own[x] - own[y] || x - y);
      const context = strip.getContext("2d");
      context.clearRect(0, 0, width, height);
      const forced = this.isForced(b);
      rows(context, own, order, 0, width, forced ? height / 2 - 1 : height);
      if (forced) rows(context, put, order, height / 2 + 1, width, height / 2 - 1);
      say(this.changes[b], forced ? this.difference(b).toFixed(2) : "–");
    });
    const names = Object.keys(this.spec.singles).map((p) => this.spec.imageNames[p]).join(", ");
    say(this.blocksLegend, `Blocks that get them${names ? ` (one alone: on ${names})` : ""}`);
  }

  // A block's own gates, and those in place.
  gatesAt(block) {
    const own = this.gatesOf(block, this.get("image"));
    return [own, this.isForced(block) ? this.gatesOf(block, this.sourceInPlace()) : own];
  }

  // The channels whose gates fall furthest, and those that rise furthest; of its own, the most open and the most shut.
  moved(own, put) {
    const rise = (c) => put[c] - own[c];
    const order = range(own.length).sort((x, y) => rise(x) - rise(y) || own[y] - own[x] || x - y);
    return [...order.slice(0, TILES / 2), ...order.slice(-TILES / 2)];
  }

  drawTiles() {
    if (!this.tiles) return;
    const { block, shape } = this.spec.inside;
    const key = [this.get("image"), this.isForced(block) ? this.sourceInPlace() : -1, this.tiles.clientWidth, this.ink.text].join();
    if (this.tilesDrawn === key) return;
    this.tilesDrawn = key;
    const [own, put] = this.gatesAt(block);
    const channels = this.moved(own, put);
    const side = (this.tiles.clientWidth - 4 * (TILES - 1)) / TILES;
    const rowHeight = 2 * TILE_LABEL + side;
    const rows = [["its own gates", own], ...(this.isForced(block) ? [[this.sourceName(), put]] : [])];
    const height = rows.length * rowHeight;
    this.tiles.style.height = `${height}px`;
    this.sizeCanvas(this.tiles, height);
    const context = this.tiles.getContext("2d");
    context.clearRect(0, 0, this.tiles.clientWidth, height);
    context.font = "12px system-ui, sans-serif";
    rows.forEach(([title, gates], r) => {
      const top = r * rowHeight;
      context.fillStyle = this.ink.text;
      context.textAlign = "left";
      context.fillText(title, 0, top + 12);
      channels.forEach((c, i) => {
        const x = i * (side + 4);
        context.imageSmoothingEnabled = false;
        context.drawImage(this.tile(c, gates[c] / 255, shape), x, top + TILE_LABEL, side, side);
        context.strokeStyle = this.ink.line;
        context.strokeRect(x + 0.5, top + TILE_LABEL + 0.5, side - 1, side - 1);
        context.textAlign = "center";
        context.fillText((gates[c] / 255).toFixed(2), x + side / 2, top + TILE_LABEL + side + 12);
      });
    });
    const each = channels.map((c) => `channel ${c}: ${rows.map(([, gates]) => (gates[c] / 255).toFixed(2)).join(", then ")}`);
    this.tiles.setAttribute("aria-label", `Gates of ${TILES} channels: ${rows.map(([title]) => title).join(", then ")}. ${each.join("; ")}.`);
  }

  // One channel times its gate, in the colours of a scale whose end is the channel's largest value before the gate.
  tile(channel, gate, [, rows, columns]) {
    const values = this.entering(channel);
    const { table } = (this.signed ??= linearScale(-1, 1));
    const canvas = element("canvas", { width: columns, height: rows });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(columns, rows);
    values.forEach((v, i) => {
      const at = 3 * Math.round(127.5 * (1 + (v / 127) * gate));
      pixels.data.set([table[at], table[at + 1], table[at + 2], 255], 4 * i);
    });
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  // ------------------------------------------------------------ in words

  sourceName() {
    const source = this.sourceInPlace();
    if (source === this.get("image")) return "its own gates";
    return source < this.count ? `the gates of ${this.spec.imageNames[source]}` : `made gates: ${this.spec.sourceNames[source - this.count]}`;
  }

  verdict({ overlap, found, before, words }) {
    const { found: what } = this.spec;
    if (words) return `${words.now} of ${words.all} words are found`;
    if (overlap == null) return `No ${what}, as with its own gates`;
    if (before === 0) return `${what[0].toUpperCase()}${what.slice(1)} where its own gates find none`;
    if (overlap >= 0.9) return `Nearly the same places count as ${what}`;
    if (overlap >= 0.5) return `Most of the same places count as ${what}`;
    if (overlap >= GONE) return "Much has changed";
    return found < before / 2 ? `Hardly a place counts as ${what} any more` : `Other places count as ${what} now`;
  }

  readOut({ map, own, numbers }) {
    const { spec } = this;
    const block = this.blockInPlace();
    const where = block < 0 ? "" : this.get("spared") ? ` in all blocks but ${spec.blockNames[block]}` : ` in ${spec.blockNames[block]} alone`;
    const share = (x) => `${(100 * x).toFixed(1)} %`;
    const { words } = numbers;
    const lead = !this.isForeign()
      ? [words ? `${words.now} of ${words.all} words are found under its own gates.` : `${share(numbers.before)} of the places count as ${spec.found} under its own gates.`, words ? `${share(numbers.before)} of the places count as ${spec.found}.` : ""]
      : [`${this.verdict(numbers)} under ${this.sourceName()}${where}${words ? `; ${words.before} under its own` : ""}.`, `IoU with its own map: ${numbers.overlap == null ? "none to measure" : numbers.overlap.toFixed(2)}. ${share(numbers.found)} of the places count as ${spec.found}, under its own ${share(numbers.before)}.`];
    const place = this.get("place");
    const here = place < 0 ? "Point at a place of the right picture to read its probability." : `At ${this.where(place)}: ${(map[place] / 255).toFixed(2)}, under its own gates ${(own[place] / 255).toFixed(2)}.`;
    this.read(...lead, here);
  }

  blockRows() {
    const mean = (gates) => gates.reduce((sum, g) => sum + g, 0) / gates.length / 255;
    const body = range(this.blocks).map((b) => {
      const [own, put] = this.gatesAt(b);
      return [this.spec.blockNames[b], String(own.length), mean(own).toFixed(2), mean(put).toFixed(2), this.difference(b).toFixed(2)];
    });
    const head = ["block", "channels", "mean gate, its own", "mean gate in place", "mean difference"];
    return { caption: `Every block under ${this.sourceName()}`, head, body };
  }
}

KINDS["forced-gates"] = ForcedGates;
