// ---------------------------------------------------------------- a photograph of the reader's own, in a static page

const PIXELS = 224; // on a side: what the network takes
const SHOWN = 400; // at most, on a side: what the page shows

// {rgba: 224 × 224 pixels, blob: the picture that is shown} of a file's middle square.
async function readPhotograph(file) {
  const [small, shown] = await middleSquares(file, (shorter) => [PIXELS, Math.min(SHOWN, shorter)]);
  const rgba = small.getContext("2d").getImageData(0, 0, PIXELS, PIXELS).data;
  const blob = await new Promise((resolve) => shown.toBlob(resolve, "image/png"));
  small.width = shown.width = 0; // gives their memory back at once
  return { rgba, blob };
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
