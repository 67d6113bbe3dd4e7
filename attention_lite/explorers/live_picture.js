// ---------------------------------------------------------------- the live explorer's picture
//
// The photograph, the things on it, which can be dragged, and over it the map that is looked at: the less its weight, the
// paler the place; a line around those at half its scale and above. All of it is brighter than the network has it, by
// one fixed curve, value ** gamma, for all scenes. Where a network has queries, a press chooses the place that asks; a drag
// moves a thing, and the place goes on asking.

const GRIP = 3; // pixels of the network's picture around a thing that still take hold of it
const SHAKE = 0.5; // of them that a press may move and be none the less a press
const FRAME_WIDTH = 3;
const DISC_DIAMETER = 11;
const [RIM, DOT] = [7, 5]; // diameters
const [GREY, PALE] = [0.65, 0.5]; // how much colour a place loses where a map is zero, and how much white lies over it then

class LivePicture extends LiveAsking {
  cropOf(i) {
    const n = 3 * this.spec.size ** 2;
    return this.arrays.crops.subarray(i * n, (i + 1) * n);
  }

  makeScene() {
    const [drags, asks] = [this.spec.causes.includes("drag"), this.spec.asks];
    const acts = drags || asks;
    const thing = this.scene().flags ? "flag" : "digit";
    const does = [asks && "Press a place, or move the square with the arrow keys", drags && `Drag a ${thing}`, drags && `By keys: space chooses a thing${asks ? " or the square" : ""}, arrow keys move it, Escape puts it back`];
    const hint = does.filter(Boolean).join(". ") || "The picture";
    this.aspect = 1;
    this.stage = element("canvas", { class: "ax-stage", tabindex: acts ? 0 : false, role: acts ? "application" : "img", "aria-roledescription": acts ? "picture" : false, "aria-describedby": this.status.id, style: "aspect-ratio:1" });
    this.stageContext = this.stage.getContext("2d");
    if (acts) this.listenToPicture(drags, asks);
    this.controls.push(() => this.stage.setAttribute("aria-label", `${this.spec.alt[this.get("scene")]}. ${hint}.`));
    return this.stage;
  }

  // {name: [y, x, reach]} of the things in the picture, as they lie now.
  things() {
    const { y, x, side, disc_yx: disc } = this.drawn;
    const found = Object.fromEntries(y.map((_, k) => [String(k), [y[k], x[k], side[k] / 2]]));
    if (disc) found.disc = [...disc, DISC_DIAMETER / 2];
    return found;
  }

  // ------------------------------------------------------------ by pointer and by keys

  listenToPicture(drags, asks) {
    const { stage } = this;
    const at = (event) => {
      const box = stage.getBoundingClientRect();
      return [((event.clientY - box.top) / box.height) * this.spec.size, ((event.clientX - box.left) / box.width) * this.spec.size];
    };
    const under = ([y, x]) => {
      if (!drags) return null;
      const near = Object.entries(this.things()).map(([name, [v, u, reach]]) => [name, Math.hypot(y - v, x - u) - reach]);
      const [name, gap] = near.reduce((a, b) => (b[1] < a[1] ? b : a));
      return gap < GRIP ? name : null;
    };
    let held = null;
    stage.addEventListener("touchstart", (event) => (asks || under(at(event.touches[0]))) && event.preventDefault(), { passive: false });
    stage.addEventListener("pointerdown", (event) => {
      stage.focus({ preventScroll: true });
      const [y, x] = at(event);
      const name = this.paintsPlaces() ? null : under([y, x]);
      this.set("thing", name ?? "");
      if (!name && !asks) return;
      if (!name) this.ask(y, x);
      const [v, u] = name ? this.things()[name] : [0, 0];
      held = { name, y, x, dy: v - y, dx: u - x, moved: false };
      if (event.isTrusted) stage.setPointerCapture(event.pointerId);
      this.drawAll(performance.now());
    });
    stage.addEventListener("pointermove", (event) => {
      if (!held || !event.buttons) {
        stage.style.cursor = under(at(event)) ? "grab" : asks ? "crosshair" : "default";
        return;
      }
      const [y, x] = at(event);
      held.moved ||= Math.hypot(y - held.y, x - held.x) > SHAKE;
      if (!held.name) this.ask(y, x);
      else if (held.moved) this.place(held.name, y + held.dy, x + held.dx);
      this.drawAll(performance.now());
    });
    stage.addEventListener("pointerup", () => {
      if (asks && held?.name && !held.moved) this.ask(held.y, held.x);
      held = null;
    });
    stage.addEventListener("pointercancel", () => (held = null));
    stage.addEventListener("keydown", (event) => this.pressed(event, drags, asks));
  }

  ask(y, x) {
    const at = (v) => clamp(Math.floor((v / this.spec.size) * this.side), 0, this.side - 1);
    this.set("query", at(y) * this.side + at(x));
    this.paintPlace();
  }

  // A brush is in the hand: a press sets the gate of a place.
  paintsPlaces() {
    return typeof this.brush === "number";
  }

  paintPlace() {
    if (this.paintsPlaces()) this.set("painted", { ...this.get("painted"), [this.query()]: this.brush });
  }

  place(name, y, x) {
    const inside = (v) => Number(clamp(v, 0, this.spec.size).toFixed(2));
    this.set("places", { ...this.get("places"), [name]: [inside(y), inside(x)] });
  }

  pressed(event, drags, asks) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const names = [...(asks ? [""] : []), ...(drags ? Object.keys(this.things()) : [])];
    const chosen = names.includes(this.get("thing")) ? this.get("thing") : names[0];
    const far = event.shiftKey ? 5 : 1;
    const by = { ArrowLeft: [0, -far], ArrowRight: [0, far], ArrowUp: [-far, 0], ArrowDown: [far, 0] }[event.key];
    if (event.key === "Enter" && this.paintsPlaces()) this.paintPlace();
    else if (event.key === " " || event.key === "Enter") this.set("thing", names[(names.indexOf(this.get("thing")) + 1) % names.length]);
    else if (by && chosen === "") this.askBeside(by);
    else if (by) {
      const [y, x] = this.get("places")[chosen] ?? this.things()[chosen]; // two keys may come in one frame
      this.set("thing", chosen);
      this.place(chosen, y + by[0], x + by[1]);
    } else if (event.key === "Escape") {
      const { [chosen]: _, ...others } = this.get("places");
      if (chosen === "") this.set("query", -1);
      else this.set("places", others);
    } else return;
    event.preventDefault();
  }

  askBeside([dy, dx]) {
    const inside = (v) => clamp(v, 0, this.side - 1);
    const from = this.query();
    this.set("query", inside(Math.floor(from / this.side) + dy) * this.side + inside((from % this.side) + dx));
  }

  // ------------------------------------------------------------ painting

  paintScene() {
    const [width] = this.paintPhotograph("full");
    if (!width) return; // not laid out yet
    if (this.photograph.pixels()) this.stageContext.drawImage(this.photograph.canvas(this.drawn), 0, 0, width, width);
    const unit = width / this.spec.size;
    this.paintThings(unit, width);
    const map = this.shownMap();
    if (map) this.fade(map, width);
    if (this.paints) this.outline(this.spec.size, width, (i) => this.run.scores[i] > 0);
    if (this.get("forbid").length) this.crossOut(width);
    this.markThing(unit);
    if (this.spec.asks && this.side && this.get("over") !== "change") this.markQuery(width); // that one is of the whole block
  }

  paintThings(unit, width) {
    const context = this.stageContext;
    const { y, x, side, angle, opacity, colour, disc_yx: disc, disc_colour: discColour, frame } = this.drawn;
    context.imageSmoothingEnabled = true;
    if (this.drawn.flags) return y.forEach((_, k) => this.paintFlag(k, unit));
    y.forEach((_, k) => {
      context.save();
      context.globalAlpha = opacity[k];
      context.translate(x[k] * unit, y[k] * unit);
      context.rotate(angle[k]);
      context.drawImage(this.stamp(k, colour[k]), (-side[k] * unit) / 2, (-side[k] * unit) / 2, side[k] * unit, side[k] * unit);
      context.restore();
    });
    if (disc) {
      context.fillStyle = this.css(discColour);
      context.beginPath();
      context.arc(disc[1] * unit, disc[0] * unit, (DISC_DIAMETER / 2) * unit, 0, 7);
      context.fill();
    }
    if (frame) {
      context.strokeStyle = this.css(frame);
      context.lineWidth = FRAME_WIDTH * unit;
      context.strokeRect((FRAME_WIDTH / 2) * unit, (FRAME_WIDTH / 2) * unit, width - FRAME_WIDTH * unit, width - FRAME_WIDTH * unit);
    }
  }

  paintFlag(k, unit) {
    const context = this.stageContext;
    const { y, x, side, opacity, colour, flags } = this.drawn;
    const half = (side[k] * unit) / 2;
    context.save();
    context.globalAlpha = opacity[k];
    context.translate(x[k] * unit, y[k] * unit);
    flags[k].forEach((part, i) => {
      context.fillStyle = this.css(part);
      context.fillRect(i ? 0 : -half, -half, i || flags[k].length === 1 ? half : 2 * half, 2 * half);
    });
    for (const [width, fill] of [[RIM, [1, 1, 1]], [DOT, colour[k]]]) {
      context.fillStyle = this.css(fill);
      context.beginPath();
      context.arc(0, 0, (width / 2) * unit, 0, 7);
      context.fill();
    }
    context.restore();
  }

  // A digit as a picture of its colour, as opaque as its ink.
  stamp(k, colour) {
    const key = [this.get("scene"), k, this.get("inks")[k], ...colour].join();
    this.stamps ??= new Map();
    if (!this.stamps.has(key)) {
      if (this.stamps.size > 60) this.stamps.clear();
      const glyph = this.drawn.glyphs[k];
      const canvas = element("canvas", { width: 32, height: 32 });
      const pixels = new ImageData(32, 32);
      glyph.forEach((ink, i) => pixels.data.set([...this.bright(colour), 255 * ink], 4 * i));
      canvas.getContext("2d").putImageData(pixels, 0, 0);
      this.stamps.set(key, canvas);
    }
    return this.stamps.get(key);
  }

  // The map over the picture: its full colours at the upper limit and above, greyish and pale at the lower one. A place of
  // share s keeps s of itself; of the rest GREY loses its colour, and PALE of that becomes white. Two veils do it, a pixel
  // a place, the white one over the grey: nothing as large as the picture is copied.
  fade({ values, low, high, line = 0.5 }, width) {
    const side = Math.sqrt(values.length);
    const shares = Array.from(values, (value) => clamp((value - low) / (high - low), 0, 1));
    const pale = this.drawn.flags ? PALE / 2 : PALE; // hues are what is compared
    const white = (share) => pale * (1 - share);
    const context = this.stageContext;
    context.imageSmoothingEnabled = false;
    context.globalCompositeOperation = "saturation";
    if (!this.drawn.flags) context.drawImage(this.veil("grey", 128, shares.map((share) => (GREY * (1 - pale) * (1 - share)) / (1 - white(share)))), 0, 0, width, width);
    context.globalCompositeOperation = "source-over";
    context.drawImage(this.veil("white", 255, shares.map(white)), 0, 0, width, width);
    if (side < this.spec.size) this.outline(side, width, (i) => shares[i] >= line, 1);
  }

  // A small canvas of one level of grey, more or less opaque from pixel to pixel.
  veil(name, level, opacities) {
    const side = Math.sqrt(opacities.length);
    const canvas = ((this.veils ??= {})[name] ??= element("canvas"));
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const pixels = new ImageData(new Uint8ClampedArray(4 * side * side).fill(level), side, side);
    opacities.forEach((opacity, i) => (pixels.data[4 * i + 3] = 255 * opacity));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }

  // A line around some of side × side places.
  outline(side, width, holds, thickness) {
    const step = width / side;
    const at = (v) => clamp(v, 0, side - 1); // the picture's own edge is none
    const inside = (y, x) => holds(at(y) * side + at(x));
    this.twice((context) => {
      for (let y = 0; y <= side; y++) {
        for (let x = 0; x <= side; x++) {
          if (inside(y, x) !== inside(y, x - 1)) {
            context.moveTo(x * step, y * step);
            context.lineTo(x * step, (y + 1) * step);
          }
          if (inside(y, x) !== inside(y - 1, x)) {
            context.moveTo(x * step, y * step);
            context.lineTo((x + 1) * step, y * step);
          }
        }
      }
    }, thickness);
  }

  crossOut(width) {
    const step = width / this.side;
    this.twice((context) => {
      for (const key of this.forbidden()) {
        const [x, y] = [(key % this.side) * step, Math.floor(key / this.side) * step];
        context.moveTo(x + 3, y + 3);
        context.lineTo(x + step - 3, y + step - 3);
        context.moveTo(x + step - 3, y + 3);
        context.lineTo(x + 3, y + step - 3);
      }
    }, 1.5);
  }

  twice(draw, thickness = 2) {
    for (const [colour, width] of [["#000", thickness + 2], ["#fff", thickness]]) {
      this.stageContext.strokeStyle = colour;
      this.stageContext.lineWidth = width;
      this.stageContext.beginPath();
      draw(this.stageContext);
      this.stageContext.stroke();
    }
  }

  markThing(unit) {
    const thing = this.things()[this.get("thing")];
    if (!thing || document.activeElement !== this.stage) return;
    this.twice((context) => context.arc(thing[1] * unit, thing[0] * unit, (thing[2] + 1.5) * unit, 0, 7));
  }

  // A square around the place that asks; a ring around the key that it is compared with.
  markQuery(width) {
    const step = width / this.side;
    const query = this.query();
    this.twice((context) => context.rect((query % this.side) * step, Math.floor(query / this.side) * step, step, step), 2.5);
    const pair = this.pair();
    if (!pair || pair.keySide === 0) return;
    const ratio = this.side / pair.keySide; // a key stands in the middle of its window
    const middle = (i) => (i * ratio + 0.5) * step;
    this.twice((context) => context.arc(middle(pair.key % pair.keySide), middle(Math.floor(pair.key / pair.keySide)), 0.6 * ratio * step, 0, 7));
  }

  // A colour as readers see it: 0 … 255.
  bright(colour) {
    return colour.map((c) => 255 * c ** this.spec.gamma);
  }

  css(colour) {
    return `rgb(${this.bright(colour).map(Math.round).join(" ")})`;
  }
}
