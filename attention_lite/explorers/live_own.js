// ---------------------------------------------------------------- the reader's own digit, and their own photograph
//
// A digit is drawn on a pad and brought into the form of the lab's digits, 8 × 8 grey levels from 0 to 16; by keys a
// stored one is chosen. It takes the place of the digit that is asked for. A photograph stands behind the digits; it is
// opened by the browser and never leaves the page.

const PAD = 32; // the pad's side, in points; 4 × 4 of them are a grey level, as in the source of the lab's digits
const STROKE = 4.5; // points
const LETTERS = "abcdefghijklmnopq"; // of the grey levels 0 … 16

// The lines that were drawn, moved and enlarged until they fill the pad, as letters; "" for none.
function lettersOf(lines) {
  const points = lines.flat();
  if (!points.length) return "";
  const [low, high] = [Math.min, Math.max].map((most) => [0, 1].map((axis) => most(...points.map((point) => point[axis]))));
  const scale = Math.min(PAD, (PAD - STROKE) / Math.max(1, high[0] - low[0], high[1] - low[1]));
  const placed = lines.map((line) => line.map((point) => point.map((v, axis) => PAD / 2 + (v - (low[axis] + high[axis]) / 2) * scale)));
  const canvas = element("canvas", { width: PAD, height: PAD });
  drawLines(canvas.getContext("2d"), placed, STROKE);
  const ink = canvas.getContext("2d").getImageData(0, 0, PAD, PAD).data;
  const levels = new Float64Array(64);
  for (let i = 0; i < PAD * PAD; i++) levels[8 * Math.floor(i / PAD / 4) + Math.floor((i % PAD) / 4)] += ink[4 * i + 3] / 255;
  return Array.from(levels, (level) => LETTERS[Math.round(level)]).join("");
}

function drawLines(context, lines, thickness) {
  Object.assign(context, { lineWidth: thickness, lineCap: "round", lineJoin: "round", strokeStyle: "#000" });
  for (const line of lines) {
    context.beginPath();
    for (const [x, y] of [line[0], ...line]) context.lineTo(x, y); // a dot is a line, too
    context.stroke();
  }
}

const folded = (summary, ...inside) => element("details", { class: "ax-own" }, element("summary", {}, summary), element("div", { class: "ax-row ax-wrap" }, ...inside));

// The pad, and beside it the stored digits.
function digitPad(live) {
  let lines = [];
  const pad = element("canvas", { class: "ax-pad", width: 4 * PAD, height: 4 * PAD, role: "img", "aria-label": "A pad to draw a digit on, by finger or mouse. By keys, choose one in the list." });
  const put = (letters) => live.set("inks", letters ? { [Math.max(0, live.askedDigit())]: letters } : {});
  const wipe = () => {
    lines = [];
    put("");
  };
  const at = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * PAD, ((event.clientY - box.top) / box.height) * PAD];
  };
  const drawn = () => {
    put(lettersOf(lines));
    live.drawAll(performance.now());
  };
  pad.addEventListener("pointerdown", (event) => {
    if (event.isTrusted) pad.setPointerCapture(event.pointerId);
    lines.push([at(event)]);
    drawn();
  });
  pad.addEventListener("pointermove", (event) => {
    if (!event.buttons || !lines.length) return;
    lines.at(-1).push(at(event));
    drawn();
  });
  const id = freshId();
  const choices = [["", "the scene's own"], ["drawn", "drawn on the pad"], ...live.spec.inks.map((letters, digit) => [letters, `a stored ${digit}`])];
  const choose = (value) => {
    lines = [];
    put(value);
  };
  const menu = element("select", { id, onchange: () => choose(menu.value) }, ...choices.map(([value, words]) => element("option", { value, disabled: value === "drawn" }, words)));
  const back = element("button", { type: "button", onclick: wipe }, "wipe the pad");
  live.controls.push(() => {
    const ink = live.ownInk();
    if (!ink || live.spec.inks.includes(ink)) lines = [];
    menu.value = !ink || live.spec.inks.includes(ink) ? ink : "drawn";
    back.disabled = !ink;
    const context = pad.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, pad.width, pad.height);
    context.setTransform(4, 0, 0, 4, 0, 0);
    if (lines.length) drawLines(context, lines, STROKE);
    else if (ink) live.drawing.glyph(ink).forEach((v, i) => { // a stored one, or one that an address brought
      context.fillStyle = `rgb(0 0 0 / ${v})`;
      context.fillRect(i % PAD, Math.floor(i / PAD), 1, 1);
    });
  });
  return folded("Draw the digit that is asked for", pad, element("div", { class: "ax-choice" }, element("label", { for: id }, "The digit that is asked for"), menu, back));
}

// A canvas as uint8 (3, side, side).
function planesOf(canvas) {
  const { width: side } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, side, side);
  const planes = new Uint8Array(3 * side * side);
  for (let i = 0; i < side * side; i++) for (let c = 0; c < 3; c++) planes[c * side * side + i] = data[4 * i + c];
  return planes;
}

// The photograph behind the digits, as the networks get it: uint8 (3, S, S); and four times as large for the reader.
class OwnGround {
  constructor(live) {
    Object.assign(this, { live, count: 0, bytes: null });
    live.listen("ground");
  }

  // What the trait holds; null for nothing. A static page has it in base64, as its script holds it, until it is changed.
  pixels() {
    const held = this.live.get("ground");
    if (held === this.held) return this.bytes;
    this.held = held;
    const bytes = typeof held === "string" ? readBase64(held) : new Uint8Array(held.buffer, held.byteOffset, held.byteLength);
    this.bytes = bytes.length ? bytes : null;
    if (held !== this.chosen) this.crisp = null; // set from outside: it has no more than these pixels
    this.count += 1;
    return this.bytes;
  }

  name() {
    return this.pixels() ? `own photograph ${this.count}` : "";
  }

  // Opens a file of the reader's: its middle square.
  async open(file) {
    const { size } = this.live.spec;
    const [crisp, small] = (await middleSquares(file, () => [4 * size, size])).map(planesOf);
    this.crisp = crisp;
    this.chosen = new DataView(small.buffer);
    this.live.set("ground", this.chosen);
  }

  // As the reader sees it in this scene: with the scene's light and contrast, brightened.
  canvas({ light, contrast }) {
    const key = [this.name(), light, contrast].join();
    if (key === this.shownKey) return this.shown;
    const crop = this.crisp ?? this.pixels();
    const n = crop.length / 3;
    const side = Math.sqrt(n);
    this.shownKey = key;
    this.shown = element("canvas", { width: side, height: side });
    const picture = new ImageData(side, side);
    for (let c = 0; c < 3; c++) {
      const plane = crop.subarray(c * n, (c + 1) * n);
      const mean = plane.reduce((a, b) => a + b, 0) / n;
      plane.forEach((v, i) => (picture.data[4 * i + c] = 255 * clamp(((mean + contrast * (v - mean)) / 255) * light, 0, 1) ** this.live.spec.gamma));
    }
    for (let i = 0; i < n; i++) picture.data[4 * i + 3] = 255;
    this.shown.getContext("2d").putImageData(picture, 0, 0);
    return this.shown;
  }

  makeControl() {
    const { live } = this;
    const [id, refused] = [freshId(), element("p", { class: "ax-hint", role: "alert" })];
    const input = element("input", { type: "file", id, accept: "image/*", onchange: async () => {
      const [file] = input.files;
      if (!file) return;
      say(refused, "");
      await this.open(file).catch((error) => say(refused, `${error.message} What stood behind the digits stays.`));
    } });
    const back = element("button", { type: "button", onclick: () => {
      input.value = "";
      live.set("ground", new DataView(new ArrayBuffer(0)));
    } }, "the scene's own");
    live.controls.push(() => (back.disabled = !this.pixels()));
    return folded("Put your own photograph behind it", element("div", { class: "ax-choice" }, element("label", { for: id }, "A file of yours; it does not leave this page"), input, back), refused);
  }
}
