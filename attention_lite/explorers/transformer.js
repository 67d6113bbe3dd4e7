// ---------------------------------------------------------------- transformer

const COLOUR = "likeness of colour";
const DIMMED = 0.72; // what is left of the photograph's light, at half its saturation
const LIGHT = [255, 214, 64]; // laid over it, the more the larger the weight: dark things and pale ones can be seen lit
const LIGHT_RAMP = ["rgb(92 92 92)", "rgb(222 190 70)"]; // how a middle grey looks under it: no weight, and the limit
const OPAQUE = 0.8; // where the weight is at its limit or above
const OUTLINE = "#ffb000";
const OWN = "your own";
const GUTTER = 18; // px for the numbers of layers and heads

class Transformer extends PhotographExplorer {
  constructor(model, root) {
    super(model, root, ["image", "layer", "head", "query", "network", "other", "outlined"]);
    Object.assign(this, { layers: this.spec.layers, heads: this.spec.heads, width: this.spec.width, tokens: this.places + 1 });
    this.parts = {};
    this.weights = new Float32Array(this.layers * this.heads * this.tokens);
    this.scale = linearScale(0, this.spec.limit);
    this.scale.ticks = [0, 0.5, 1].map((u) => [u, short(u * this.spec.limit)]);
    this.lastPatch = Math.max(0, this.get("query"));
    this.build();
    this.start();
  }

  file() {
    return this.get("image");
  }

  allows(trait, value) {
    if (trait === "network") return [...this.spec.networks, COLOUR].includes(value);
    if (trait === "outlined") return typeof value === "boolean";
    const photographs = this.spec.imageNames.length;
    const end = { image: photographs, other: photographs, layer: this.layers, head: this.heads, query: this.places }[trait];
    return Number.isInteger(value) && value < end && value >= (trait === "query" || trait === "other" ? -1 : 0);
  }

  // ------------------------------------------------------------ layout

  build() {
    const { spec } = this;
    const status = this.makeStatus();
    const stage = this.makeGridStage("query", "Arrow keys move the query patch; C asks the class token.", (event) => this.key(event));
    const shown = [...spec.networks, COLOUR].map((value) => ({ value, label: value }));
    const part = (name, ...nodes) => element("div", { class: name }, ...nodes);
    [this.photographChoice, this.otherChoice] = [part("ax-choice"), part("ax-choice")];
    this.fillChoices();
    this.root.style.setProperty("--ax-light", LIGHT_RAMP.join());
    this.root.replaceChildren(
      part("ax-body",
        part("ax-photograph", stage),
        part("ax-overview", this.makeOverview()),
        part("ax-reading", status, part("ax-row", this.makeHint("Point or touch; a click keeps. Arrow keys work too."), this.makeClassButton())),
        part("ax-legends", this.makeBar(), this.makeKey()),
        part("ax-painting", this.photographChoice, this.makeUpload(), this.chooser("Network", "network", shown), this.otherChoice, this.makeOutlineSwitch(), this.makeSaveButton()),
        this.makeSecond(),
      ),
      this.makeTable(() => this.topPlaces()),
    );
  }

  // The controls that list the photographs, made anew when one of the reader's own has come.
  fillChoices() {
    this.controls = this.controls.filter((sync) => !this.listing?.includes(sync));
    const others = [{ value: -1, label: "nothing" }, ...this.spec.imageNames.map((label, value) => ({ label, value }))];
    const before = this.controls.length;
    this.photographChoice.replaceChildren(this.photographChooser() ?? "");
    this.otherChoice.replaceChildren(this.menu("Nearest tokens in", "other", others));
    this.listing = this.controls.slice(before);
  }

  // In a static page the networks run in the page, on one photograph of the reader's own at a time.
  makeUpload() {
    if (!(this.model instanceof PageModel)) return super.makeUpload();
    if (!this.spec.engine) return this.makeHint("This page was built without the network's weights: it can show no photograph of your own. The notebook of its chapter can.");
    this.own = new OwnPhotograph(this);
    this.closers.push(() => this.own.close());
    return this.own.control();
  }

  // Puts it behind the book's photographs, or in the place of the one before, and shows it. `seen` has what networks made
  // of it, by their names.
  showOwn(blob, described, seen) {
    const { spec } = this;
    const book = spec.parts[spec.networks[0]].length;
    Object.assign(this.own, { image: book, described });
    this.parts = Object.fromEntries(Object.entries(this.parts).filter(([name]) => !name.startsWith(OWN)));
    for (const [network, part] of Object.entries(seen)) this.parts[this.partName(network, book)] = part;
    [spec.imageNames[book], spec.alt[book], spec.regions[book], spec.pairs[book]] = [OWN, "Your own photograph", [], []];
    this.photographs.replace(book, blob);
    this.photographs.load(book).then(() => {
      this.fillChoices();
      this.computed = null;
      this.keep("image", book);
      this.keep("network", spec.networks[0]);
      this.touch();
      const list = this.photographChoice.querySelector(".ax-segments");
      list.scrollLeft = list.scrollWidth;
      this.stage.scrollIntoView({ block: "nearest", behavior: this.calm.matches ? "auto" : "smooth" });
    });
  }

  // What the lines mean.
  makeKey() {
    const item = (name, words) => element("li", {}, element("i", { class: `ax-key-${name}`, "aria-hidden": "true" }), words);
    return element("ul", { class: "ax-key" },
      item("query", "the patch that asks"),
      item("half", "the fewest patches that hold half of its weight"),
      item("uniform", `equal weights: ${number(1 / this.tokens, 2)} each`),
    );
  }

  makeClassButton() {
    const button = element("button", { type: "button", onclick: () => this.toggleClass() }, "class token");
    this.controls.push(() => button.setAttribute("aria-pressed", this.get("query") < 0));
    return button;
  }

  makeSaveButton() {
    const button = element("button", { type: "button", onclick: () => savePicture(this) }, "save picture");
    this.saveButton = button;
    return button;
  }

  pictureName() {
    const [colour, query] = [this.get("network") === COLOUR, this.get("query")];
    const by = colour ? "colour" : `${this.get("network")}-layer-${this.get("layer")}-head-${this.get("head")}`;
    return `${this.spec.imageNames[this.get("image")]}-${by}-${query < 0 && !colour ? "class-token" : `patch-${this.lastPatch}`}`.replaceAll(" ", "-");
  }

  toggleClass() {
    if (this.get("query") >= 0) this.lastPatch = this.get("query");
    this.keep("query", this.get("query") < 0 ? this.lastPatch : -1);
  }

  key(event) {
    if (event.key.toLowerCase() !== "c" || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.toggleClass();
  }

  makeOutlineSwitch() {
    if (!this.spec.regions.some((regions) => regions.length)) return null;
    const box = element("input", { type: "checkbox", onchange: () => this.set("outlined", box.checked) });
    this.controls.push(() => (box.checked = this.get("outlined")));
    return element("label", { class: "ax-check" }, box, "Outline what was drawn by hand");
  }

  makeOverview() {
    this.overview = element("canvas", { class: "ax-maps", tabindex: 0, role: "application", "aria-roledescription": "small maps", "aria-describedby": this.status.id });
    this.small = element("canvas"); // all small maps, a pixel a patch and one between two maps; it is drawn enlarged
    const choose = (event) => {
      const box = this.overview.getBoundingClientRect();
      const [layer, head] = [event.clientX - box.left, event.clientY - box.top].map((x) => Math.floor((x - GUTTER) / this.cell));
      this.chooseMap(layer, head);
    };
    this.overview.addEventListener("pointerdown", choose);
    this.overview.addEventListener("pointermove", (event) => event.buttons && choose(event));
    this.overview.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const move = event.ctrlKey || event.metaKey || event.altKey ? null : moves[event.key];
      if (!move) return this.key(event);
      event.preventDefault();
      this.chooseMap(this.get("layer") + move[0], this.get("head") + move[1]);
    });
    this.controls.push(() => this.overview.setAttribute("aria-label", `${this.layers} layers of ${this.heads} heads, a small map each; arrow keys choose. Now layer ${this.get("layer")}, head ${this.get("head")}.`));
    return this.overview;
  }

  chooseMap(layer, head) {
    this.set("layer", clamp(layer, 0, this.layers - 1));
    this.set("head", clamp(head, 0, this.heads - 1));
    if (this.get("network") === COLOUR) this.set("network", this.spec.networks[0]);
    this.drawAll(performance.now());
  }

  makeSecond() {
    this.second = element("canvas", { class: "ax-second", role: "img", style: "aspect-ratio:1" });
    this.secondText = element("p", { class: "ax-hint" });
    this.secondBox = element("div", { class: "ax-other" }, this.second, this.secondText);
    return this.secondBox;
  }

  // ------------------------------------------------------------ numbers

  // What a network computed for a photograph: null while it is on its way, "missing" where it is not to be had.
  part(network, image) {
    const name = this.partName(network, image);
    if (!(name in this.parts)) {
      this.parts[name] = null;
      const made = image === this.own?.image ? this.own.seen(network) : this.bytesOf(name).then((bytes) => this.unpack(bytes));
      made.catch(() => "missing").then((part) => {
        if (name in this.parts) this.parts[name] = part; // else another photograph has come
        this.touch();
      });
    }
    return this.parts[name];
  }

  partName(network, image) {
    return this.spec.parts[network][image] ?? `${OWN} ${this.own.count} ${network}`;
  }

  unpack(bytes) {
    const { layers, heads, tokens, width, spec } = this;
    const vectors = layers * heads * tokens * width;
    const at = 2 * vectors + tokens * spec.featureWidth;
    const whole = bytes.slice(); // typed arrays want their offset to be even
    const codes = (from, length) => new Int8Array(whole.buffer, from, length);
    const floats = (from, length) => new Float32Array(whole.slice(from, from + 4 * length).buffer);
    const scale = floats(at, layers * heads * width);
    const featureScale = floats(at + 4 * scale.length, spec.featureWidth);
    return { queries: codes(0, vectors), keys: codes(vectors, vectors), scale, features: this.unitVectors(codes(2 * vectors, tokens * spec.featureWidth), featureScale) };
  }

  unitVectors(codes, scale) {
    const vectors = Float32Array.from(codes, (code, i) => code * scale[i % scale.length]);
    for (let at = 0; at < vectors.length; at += scale.length) {
      const vector = vectors.subarray(at, at + scale.length);
      const norm = Math.hypot(...vector) || 1;
      for (let c = 0; c < vector.length; c++) vector[c] /= norm;
    }
    return vectors;
  }

  // softmax(q·k / √d) over all tokens, for one token as the query, in every layer and head.
  attend(part, token) {
    for (let map = 0; map < this.layers * this.heads; map++) this.attendIn(part, token, map, this.weights.subarray(map * this.tokens, (map + 1) * this.tokens));
  }

  // The same in one head, into `row`.
  attendIn({ queries, keys, scale }, token, map, row) {
    const { width, tokens } = this;
    const q = (this.scaled ??= new Float32Array(width));
    const from = (map * tokens + token) * width;
    for (let c = 0; c < width; c++) q[c] = queries[from + c] * scale[map * width + c];
    let top = -Infinity;
    for (let j = 0, k = map * tokens * width; j < tokens; j++, k += width) {
      let sum = 0;
      for (let c = 0; c < width; c++) sum += q[c] * keys[k + c];
      row[j] = sum;
      if (sum > top) top = sum;
    }
    let total = 0;
    for (let j = 0; j < tokens; j++) total += row[j] = Math.exp(row[j] - top);
    for (let j = 0; j < tokens; j++) row[j] /= total;
    return row;
  }

  // exp(−d²/τ) over its sum, for patches whose colour and texture differ by d, among the other patches: nothing is
  // learned.
  likeness(image, patch) {
    const width = this.spec.arrays.described.shape[2];
    const described = image === this.own?.image ? this.own.described : this.arrays.described.subarray(image * this.places * width);
    const out = new Float32Array(this.tokens); // the class token has no colour
    let total = 0;
    for (let j = 0; j < this.places; j++) {
      if (j === patch) continue;
      let squared = 0;
      for (let c = 0; c < width; c++) squared += (described[j * width + c] - described[patch * width + c]) ** 2;
      total += out[j + 1] = Math.exp(-squared / this.spec.temperature);
    }
    return total ? out.map((v) => v / total) : out;
  }

  // The far pair to which a patch belongs as one of those that ask.
  pairAt(image, patch) {
    return this.spec.pairs[image].find(([, patches]) => patches.includes(patch));
  }

  // Of what a patch gives to other patches, the share that lies on some regions of an image.
  shareOn(image, regions, row, patch) {
    const covers = regions.map((region) => this.coversOf(image, region));
    let [on, all] = [0, 0];
    for (let j = 0; j < this.places; j++) {
      if (j === patch) continue;
      all += row[j + 1];
      on += Math.min(1, covers.reduce((sum, cover) => sum + cover[j], 0) / 255) * row[j + 1];
    }
    return on / all;
  }

  // The mean of that share over all patches of the asking region: what the chapters score.
  shareOfAll(image, [, patches, , partners]) {
    const colour = this.get("network") === COLOUR;
    const part = colour ? null : this.part(this.get("network"), image);
    const map = this.get("layer") * this.heads + this.get("head");
    const row = new Float32Array(this.tokens);
    const shares = patches.map((patch) => this.shareOn(image, partners, colour ? this.likeness(image, patch) : this.attendIn(part, patch + 1, map, row), patch));
    return shares.reduce((sum, share) => sum + share, 0) / shares.length;
  }

  // Cosines of a token's last features with those of the patches of another photograph.
  cosines(part, token, other) {
    const width = this.spec.featureWidth;
    const out = new Float32Array(this.tokens);
    for (let j = 1; j < this.tokens; j++) {
      let sum = 0;
      for (let c = 0; c < width; c++) sum += part.features[token * width + c] * other.features[j * width + c];
      out[j] = sum;
    }
    return out;
  }

  // The fewest patches that together hold half of what the patches get.
  half(weights) {
    const order = range(this.places).sort((a, b) => weights[b + 1] - weights[a + 1]);
    let left = order.reduce((sum, j) => sum + weights[j + 1], 0) / 2;
    const held = new Set();
    for (const j of order) {
      if (left <= 0) break;
      held.add(j);
      left -= weights[j + 1];
    }
    return held;
  }

  // Where the covers of an image's regions begin.
  coversOf(image, region) {
    const before = this.spec.regions.slice(0, image).reduce((sum, regions) => sum + regions.length, 0);
    return this.arrays.covers.subarray((before + region) * this.places, (before + region + 1) * this.places);
  }

  // The smallest region that covers most of a patch.
  regionOf(image, patch) {
    const on = this.spec.regions[image].map(([name], i) => [name, this.coversOf(image, i)]).filter(([, cover]) => cover[patch] > 127);
    const area = (cover) => cover.reduce((sum, v) => sum + v, 0);
    return on.sort((a, b) => area(a[1]) - area(b[1]))[0]?.[0];
  }

  placed(image, patch) {
    const name = this.regionOf(image, patch);
    return name ? `${name} (${this.where(patch)})` : this.where(patch);
  }

  // ------------------------------------------------------------ drawing

  draw() {
    const [image, query, network] = [this.get("image"), this.get("query"), this.get("network")];
    const colour = network === COLOUR;
    const shown = colour ? this.spec.networks[0] : network;
    const part = this.part(shown, image);
    if (query >= 0) this.lastPatch = query;
    const ready = part && part !== "missing";
    if (ready) this.refresh(part, `${shown} ${image} ${query}`, query + 1);
    const map = this.get("layer") * this.heads + this.get("head");
    this.shown = colour ? this.likeness(image, this.lastPatch) : ready ? this.weights.subarray(map * this.tokens, (map + 1) * this.tokens) : null;
    this.saveButton.disabled = !this.shown;
    this.drawStage(image, colour ? this.lastPatch : query);
    this.drawOverview(ready, colour);
    this.drawSecond(ready ? part : null, query + 1);
    this.showBar(this.scale, "Weight: light on the photograph, colour on the small maps (layers across, heads down)", "map", [false, true], [[this.scale.t(1 / this.tokens), `uniform: ${number(1 / this.tokens)}`]]);
    if (this.shown) this.readOut(image, query, network);
    else this.read(part === "missing" ? "The maps of this photograph are missing." : `The maps of ${this.spec.imageNames[image]} are on their way …`, part === "missing" ? "They are a file beside this page, in _static/transformer." : "", "");
    this.fillTable();
  }

  refresh(part, key, token) {
    if (this.computed === key) return;
    this.computed = key;
    this.attend(part, token);
  }

  drawStage(image, patch) {
    const [width, height] = this.paintPhotograph(this.shown ? "muted" : "full");
    const context = this.stageContext;
    if (this.shown) this.light(context, width, height, (j) => this.scale.t(this.shown[j + 1]), this.half(this.shown));
    const pair = this.shown && this.pairAt(image, patch);
    const partners = pair ? pair[3] : [];
    this.outlineRegions(this.spec.regions[image].filter((_, i) => this.get("outlined") || partners.includes(i)), width, height);
    if (patch >= 0) this.markPlace(patch, width, height);
    else this.frameAll(context, width, height);
  }

  // The stage drawn once more, in another size.
  stageOf(side) {
    const shown = [this.stage, this.stageContext];
    this.stage = element("canvas");
    this.stageContext = this.stage.getContext("2d");
    this.canvasSizes.set(this.stage, [side, side]);
    this.drawStage(this.get("image"), this.get("network") === COLOUR ? this.lastPatch : this.get("query"));
    const drawn = this.stage;
    [this.stage, this.stageContext] = shown;
    return drawn;
  }

  // The photograph dimmed, and on each patch light by its value, 0 to 1; a line around the patches in `held`.
  light(context, width, height, value, held) {
    context.fillStyle = `rgb(0 0 0 / ${1 - DIMMED})`;
    context.fillRect(0, 0, width, height);
    const pixels = this.layerPixels.data;
    for (let j = 0; j < this.places; j++) pixels.set([...LIGHT, 255 * OPAQUE * value(j)], 4 * j);
    this.layerContext.putImageData(this.layerPixels, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.layer, 0, 0, width, height);
    this.line(context, this.borderOf(held, width, height), OUTLINE, 2);
  }

  borderOf(held, width, height) {
    const path = new Path2D();
    const [w, h] = [width / this.columns, height / this.rows];
    for (const j of held) {
      const [row, column] = [Math.floor(j / this.columns), j % this.columns];
      const [x, y] = [column * w, row * h];
      const side = (open, x0, y0, x1, y1) => open && (path.moveTo(x0, y0), path.lineTo(x1, y1));
      side(row === 0 || !held.has(j - this.columns), x, y, x + w, y);
      side(row === this.rows - 1 || !held.has(j + this.columns), x, y + h, x + w, y + h);
      side(column === 0 || !held.has(j - 1), x, y, x, y + h);
      side(column === this.columns - 1 || !held.has(j + 1), x + w, y, x + w, y + h);
    }
    return path;
  }

  line(context, path, colour, thickness) {
    context.lineCap = context.lineJoin = "round";
    for (const [ink, wide] of [["#000a", thickness + 2], [colour, thickness]]) {
      context.strokeStyle = ink;
      context.lineWidth = wide;
      context.stroke(path);
    }
  }

  frameAll(context, width, height) {
    for (const [colour, thickness] of [["#000", 9], ["#fff", 5]]) {
      context.strokeStyle = colour;
      context.lineWidth = thickness;
      context.strokeRect(0, 0, width, height);
    }
    this.labels = [];
    this.haloText("asked by the class token", 10, 20);
  }

  outlineRegions(regions, width, height) {
    this.labels = [];
    for (const [name, corners] of regions) {
      const path = new Path2D();
      corners.forEach(([x, y], i) => path[i ? "lineTo" : "moveTo"](x * width, y * height));
      path.closePath();
      this.line(this.stageContext, path, "#fff", 1.5);
      const [x, y] = corners.reduce((top, corner) => (corner[1] < top[1] ? corner : top));
      this.haloText(name, x * width, Math.max(14, y * height - 5));
    }
  }

  // Layers from left to right, heads from above.
  drawOverview(ready, faded) {
    const { clientWidth } = this.overview;
    const cell = (this.cell = (clientWidth - GUTTER) / this.layers);
    const height = Math.round(GUTTER + this.heads * cell);
    this.overview.style.height = `${height}px`;
    this.sizeCanvas(this.overview, height);
    const context = this.overview.getContext("2d");
    context.clearRect(0, 0, clientWidth, height);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = this.ink.muted;
    context.textAlign = "center";
    for (let i = 0; i < this.layers; i++) context.fillText(i, GUTTER + (i + 0.5) * cell, 12);
    for (let i = 0; i < this.heads; i++) context.fillText(i, 8, GUTTER + (i + 0.5) * cell + 4);
    context.globalAlpha = faded ? 0.35 : 1;
    this.paintSmall(context, ready);
    context.globalAlpha = 1;
    // Around the map, in the gap: it hides none of its patches.
    const [x, y] = [this.get("layer"), this.get("head")].map((i) => GUTTER + i * cell - 1.5);
    context.strokeStyle = OUTLINE;
    context.lineWidth = 3;
    context.strokeRect(x, y, (cell * this.columns) / (this.columns + 1) + 3, (cell * this.rows) / (this.rows + 1) + 3);
  }

  paintSmall(context, ready) {
    const pitch = this.columns + 1;
    const [w, h] = [this.layers * pitch, this.heads * pitch];
    if (!this.smallPixels || this.small.width !== w) {
      [this.small.width, this.small.height] = [w, h];
      this.smallPixels = this.small.getContext("2d").createImageData(w, h);
    }
    const words = new Uint32Array(this.smallPixels.data.buffer);
    const [table, limit] = [this.colourWords(), this.spec.limit];
    for (let map = 0; map < this.layers * this.heads; map++) {
      const [layer, head] = [Math.floor(map / this.heads), map % this.heads];
      let at = head * pitch * w + layer * pitch;
      let from = map * this.tokens + 1;
      for (let y = 0; y < this.rows; y++, at += w) {
        for (let x = 0; x < this.columns; x++) words[at + x] = ready ? table[Math.min(255, (255 * this.weights[from++]) / limit) | 0] : table[0];
      }
    }
    const small = this.small.getContext("2d");
    small.putImageData(this.smallPixels, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.small, GUTTER, GUTTER, this.layers * this.cell, this.heads * this.cell);
  }

  // The colours of the scale, each four bytes in one number.
  colourWords() {
    return (this.words ??= Uint32Array.from(range(256), (i) => {
      const [r, g, b] = this.scale.table.subarray(3 * i, 3 * i + 3);
      return (255 << 24) | (b << 16) | (g << 8) | r;
    }));
  }

  drawSecond(part, token) {
    const other = this.get("other");
    this.secondBox.hidden = other < 0;
    if (other < 0) return;
    const network = this.get("network") === COLOUR ? this.spec.networks[0] : this.get("network");
    const theirs = this.part(network, other);
    const name = this.spec.imageNames[other];
    const [width, height] = this.sizeCanvas(this.second);
    const context = this.second.getContext("2d");
    const picture = this.photographs.ready[other];
    if (picture) context.drawImage(picture.muted, 0, 0, width, height);
    if (!part || !theirs || theirs === "missing") return say(this.secondText, theirs === "missing" ? `The tokens of ${name} are missing.` : `The tokens of ${name} are on their way …`);
    const cosines = this.cosines(part, token, theirs);
    const order = range(this.places).sort((a, b) => cosines[b + 1] - cosines[a + 1]);
    this.light(context, width, height, (j) => clamp(cosines[j + 1], 0, 1), new Set(order.slice(0, 5)));
    const text = `In ${name}, the token most like it is at ${this.placed(other, order[0])}: cosine ${number(cosines[order[0] + 1], 2)}. Light: cosine of the last layer's tokens, 0 to 1; outlined: the five nearest.`;
    say(this.secondText, text);
    this.second.setAttribute("aria-label", text);
  }

  // ------------------------------------------------------------ words

  readOut(image, query, network) {
    const weights = this.shown;
    const colour = network === COLOUR;
    let best = 0;
    for (let j = 1; j < this.places; j++) if (weights[j + 1] > weights[best + 1]) best = j;
    const from = query < 0 && !colour ? "the class token" : this.placed(image, colour ? this.lastPatch : query);
    const what = colour ? `Likeness of colour (τ = ${this.spec.temperature})` : `Layer ${this.get("layer")}, head ${this.get("head")}${network === this.spec.networks[0] ? "" : `, ${network}`}`;
    const shares = this.spec.regions[image].map(([name], i) => [name, this.weightIn(this.coversOf(image, i), weights)]);
    const held = shares.sort((a, b) => b[1] - a[1]).slice(0, 2).map(([name, mass]) => `${name} ${mass.toFixed(2)}`).join(", ");
    const token = colour ? "" : `class token ${weights[0].toFixed(2)}`;
    const shared = [held, token].filter(Boolean).join("; ");
    this.read(`${what}, from ${from}:`, `strongest weight ${number(weights[best + 1])} at ${this.placed(image, best)}.`, `${shared && `Of its weight: ${shared}. `}${this.pairWords(image, colour ? this.lastPatch : query, weights)}`);
  }

  // By the chapters' rule: what a patch gives to itself and to the class token is left out.
  pairWords(image, patch, weights) {
    const pair = this.pairAt(image, patch);
    if (!pair) return "";
    const [asking, patches, partner, partners] = pair;
    const [here, all] = [this.shareOn(image, partners, weights, patch), this.shareOfAll(image, pair)];
    return `Among other patches: ${partner} ${here.toFixed(2)}; from all ${patches.length} of ${asking} ${all.toFixed(2)}.`;
  }

  weightIn(cover, weights) {
    let sum = 0;
    for (let j = 0; j < this.places; j++) sum += (cover[j] / 255) * weights[j + 1];
    return sum;
  }

  topPlaces() {
    const weights = this.shown ?? new Float32Array(this.tokens);
    const order = range(this.places).sort((a, b) => weights[b + 1] - weights[a + 1]).slice(0, 12);
    return {
      caption: `The ${order.length} patches with the largest weights, in the large map`,
      head: ["row", "column", "weight", "times uniform", "region"],
      body: order.map((j) => [Math.floor(j / this.columns), j % this.columns, number(weights[j + 1]), number(weights[j + 1] * this.tokens), this.regionOf(this.get("image"), j) ?? ""].map(String)),
    };
  }
}

KINDS.transformer = Transformer;
