// ---------------------------------------------------------------- a photograph of the reader's own, in a static page

const PIXELS = 224; // on a side: what the network takes
const SHOWN = 400; // at most, on a side: what the page shows
const SHORTEST = 32;
const MOST_MEGABYTES = 60; // of the file
const MOST_MEGAPIXELS = 60; // decoded, each takes four bytes
const HEIC = /^ftyp(hei|hev|mif1|msf1)/;

// The middle square of a photograph, upright, on white: {rgba: 224 × 224 pixels, blob: the picture that is shown}.
// Rejected with a sentence that says why a file is none.
async function readPhotograph(file) {
  const megabytes = file.size / 1e6;
  if (!file.size) throw new Error(`${file.name} is empty.`);
  if (megabytes > MOST_MEGABYTES) throw new Error(`${file.name} has ${Math.round(megabytes)} MB, more than ${MOST_MEGABYTES}: make it smaller first.`);
  const [width, height] = await sizeOf(file);
  const size = `${file.name} has ${width} × ${height} pixels`;
  if (Math.min(width, height) < SHORTEST) throw new Error(`${size}; it must have ${SHORTEST} on each side.`);
  if (width * height > MOST_MEGAPIXELS * 1e6) throw new Error(`${size}, more than ${MOST_MEGAPIXELS} million: make it smaller first.`);
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => unread(file));
  const [small, shown] = [PIXELS, Math.min(SHOWN, width, height)].map((side) => middle(picture, side));
  const rgba = small.getContext("2d").getImageData(0, 0, PIXELS, PIXELS).data;
  const blob = await new Promise((resolve) => shown.toBlob(resolve, "image/png"));
  picture.close();
  small.width = shown.width = 0; // gives their memory back at once
  return { rgba, blob };
}

// An <img> knows it before anything is decoded.
async function sizeOf(file) {
  const picture = new Image();
  picture.src = URL.createObjectURL(file);
  const loaded = new Promise((resolve, reject) => Object.assign(picture, { onload: resolve, onerror: reject }));
  await loaded.catch(() => unread(file)).finally(() => URL.revokeObjectURL(picture.src));
  return [picture.naturalWidth, picture.naturalHeight];
}

async function unread(file) {
  const head = await file.slice(4, 12).text();
  throw new Error(HEIC.test(head)
    ? `${file.name} is HEIC, as telephones store it, which this browser cannot read: export it as JPEG first.`
    : `${file.name} is no picture that this browser can read: choose a JPEG, PNG or WebP.`);
}

function middle(picture, side) {
  const { width, height } = picture;
  const short = Math.min(width, height);
  const canvas = element("canvas", { width: side, height: side });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, side, side);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, Math.floor((width - short) / 2), Math.floor((height - short) / 2), short, short, 0, 0, side, side);
  return canvas;
}

// Megabytes of so many bytes in a script, which holds them as text.
const asText = (bytes) => Math.round((bytes * 4) / 3e6);

// The button, its progress in words and as a bar, and the networks, which are loaded when a photograph is there.
class OwnPhotograph {
  constructor(explorer) {
    const { engine } = explorer.spec;
    Object.assign(this, { explorer, error: engine.error });
    this.engines = Object.fromEntries(Object.entries(engine.networks).map(([name, one]) => [name, new TransformerEngine(one)]));
    this.count = 0; // photographs so far: each takes the place of the one before
    this.turn = Promise.resolve();
  }

  control() {
    this.file = element("input", { type: "file", accept: "image/*", hidden: true, "aria-label": "Your own photograph", onchange: () => this.chosen() });
    this.button = element("button", { type: "button", class: "ax-own-button", onclick: () => this.file.click() });
    this.bar = element("progress", { max: 1, hidden: true, "aria-label": "Progress" });
    this.words = element("p", { class: "ax-hint", "aria-live": "polite" });
    const [first] = Object.values(this.engines);
    this.explorer.controls.push(() => say(this.button, first.ready
      ? "Use another photograph of yours: it stays on your machine"
      : `Use a photograph of yours: loads ${asText(first.bytes)} MB once; it stays on your machine`));
    return element("div", { class: "ax-choice ax-own" }, this.button, this.file, this.bar, this.words, element("p", { class: "ax-hint" }, this.promise()));
  }

  promise() {
    const { mean, worst, photographs } = this.error;
    const percent = (share) => `${number(100 * share, 2)} %`;
    return `The network runs in this page, and your photograph, of which it takes the middle square, never leaves it. Its weights are rounded to 8 bits: that moves ${percent(mean)} of a map's weight, in the mean of ${photographs} photographs of the book, and ${percent(worst)} in the worst head.`;
  }

  async chosen() {
    const [file] = this.file.files;
    this.file.value = ""; // the same file can be chosen again
    if (!file) return;
    this.progress("Reading your photograph …");
    try {
      const { rgba, blob } = await readPhotograph(file);
      const [network] = Object.keys(this.engines);
      const seen = await this.seen(network, rgba);
      this.rgba = rgba;
      this.count += 1;
      this.explorer.showOwn(blob, describePatches(rgba, PIXELS, this.explorer.columns), { [network]: seen });
    } catch (error) {
      this.settle(error.message);
    }
  }

  progress(words, done) {
    say(this.words, words);
    this.button.disabled = true;
    this.bar.hidden = false;
    if (done == null) this.bar.removeAttribute("value");
    else this.bar.value = done;
  }

  settle(words) {
    say(this.words, words);
    this.button.disabled = false;
    this.bar.hidden = true;
    this.explorer.touch();
  }

  // What a network makes of a photograph, as Transformer.unpack gives it; one run after the other.
  seen(network, rgba = this.rgba) {
    const run = this.turn.then(() => this.run(this.engines[network], rgba));
    this.turn = run.catch((error) => this.settle(error.message));
    return run;
  }

  async run(engine, rgba) {
    const { layers, heads, width, spec } = this.explorer;
    await engine.load((bytes) => this.progress(engine.seed == null
      ? `Loading the network: ${asText(bytes)} of ${asText(engine.bytes)} MB …`
      : "Drawing the weights of the network before any training …", bytes / engine.bytes));
    const start = performance.now();
    const { queries, keys, features } = await engine.run(rgba, (layer) => this.progress(`Layer ${layer}; the last is ${layers - 1} …`, layer / layers));
    this.settle(`${layers} layers in ${number((performance.now() - start) / 1000, 2)} s, on your machine. If this head finds nothing alike, choose another of the ${layers * heads} small maps. Another photograph will take this one's place.`);
    const ones = (count) => new Float32Array(count).fill(1);
    return { queries, keys, scale: ones(layers * heads * width), features: this.explorer.unitVectors(features, ones(spec.featureWidth)) };
  }

  close() {
    Object.values(this.engines).forEach((engine) => engine.close());
  }
}
