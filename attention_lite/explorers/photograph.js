// ---------------------------------------------------------------- what the explorers of photographs share

class PhotographExplorer extends Explorer {
  constructor(model, root, traits) {
    super(model, root, traits);
    if (this.spec.grid) this.layGrid(...this.spec.grid);
  }

  // Places over the photograph, and the layer on which each is one pixel.
  layGrid(rows, columns) {
    Object.assign(this, { rows, columns, places: rows * columns });
    this.layer = element("canvas", { width: columns, height: rows });
    this.layerContext = this.layer.getContext("2d");
    this.layerPixels = this.layerContext.createImageData(columns, rows);
  }

  start() {
    super.start();
    this.loadPhotographs();
  }

  close() {
    super.close();
    this.photographs.close();
    this.successor?.close();
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

  thumbnail(file) {
    return this.photographs.url(file);
  }

  photographChooser() {
    const perPhotograph = this.photographs.shape.length === 5 ? this.photographs.shape[1] : 1;
    const options = this.spec.imageNames.map((label, value) => ({ label, value, file: value * perPhotograph }));
    return this.chooser("Photograph", "image", options);
  }

  // A file that the reader chooses goes to the kernel, which runs the networks on it; a static page has none. While the
  // kernel works, the file stands in `own`.
  makeUpload() {
    if (!this.spec.looks) return null;
    if (this.model instanceof PageModel) return this.makeHint("In the notebook of this page, a field here takes a photograph of your own.");
    ["own", "refused"].forEach((trait) => this.listen(trait));
    this.renewWhenAdded();
    const [id, state] = [freshId(), element("p", { class: "ax-hint", role: "alert" })];
    const input = element("input", { type: "file", id, accept: "image/*", onchange: () => input.files.length && this.send(input.files[0]) });
    this.controls.push(() => say(state, this.get("own").byteLength ? "Your photograph is on its way through the network …" : this.get("refused")));
    return element("div", { class: "ax-choice" }, element("label", { for: id }, "Your own photograph"), input, state);
  }

  async send(file) {
    this.model.set("own", new DataView(await file.arrayBuffer()));
    this.model.save_changes();
  }

  // With a photograph more, all is made anew.
  renewWhenAdded() {
    const renew = () => {
      this.close();
      this.successor = new this.constructor(this.model, this.root);
    };
    this.model.on("change:spec", renew);
    this.closers.push(() => this.model.off("change:spec", renew));
  }

  // ------------------------------------------------------------ the stage

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

  where(place) {
    return `row ${Math.floor(place / this.columns)}, column ${place % this.columns}`;
  }

  // ------------------------------------------------------------ painting

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
    const [width, height] = this.canvasSizes.get(this.stage);
    context.font = "600 12px system-ui, sans-serif";
    const wide = context.measureText(text).width;
    x = clamp(align === "right" ? x - wide : x, 2, width - wide - 2);
    const meets = (other) => Math.abs(other.y - y) < 14 && x < other.x + other.wide + 4 && other.x < x + wide + 4;
    const away = y > 40 ? -14 : 14; // near the upper edge a name gives way downwards
    while (y > 12 && y < height && this.labels.some(meets)) y += away; // two names never stand on one another
    this.labels.push({ x, y, wide });
    context.lineJoin = "round";
    context.lineWidth = 3;
    context.strokeStyle = "#000c";
    context.strokeText(text, x, y);
    context.fillStyle = "#fff";
    context.fillText(text, x, y);
  }

  // ------------------------------------------------------------ colour bar

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
}
