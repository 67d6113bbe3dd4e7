// ---------------------------------------------------------------- views of a running network, for the live explorer
//
// Each has a `node`; from the explorer's `run` (as it is now) and `own` (nothing forced) it may draw() on canvases, write()
// what the page says, and settle() when the reader's hand rests.

const INKS = { red: "#d62728", green: "#2a8f2a", blue: "#2a78c2", yellow: "#b08900", cyan: "#0c8f9c", magenta: "#b93aa2" };
const PULLED = "#d9730d"; // a gate that the reader has pulled
const REMEMBERED = 40; // states in the strip
const STRIP = { left: 18, row: 9 }; // px

// What the network answers, as bars: the digits in the picture in their own colours, a line where it stood by itself.
class AnswerView {
  constructor(live) {
    this.live = live;
    this.bars = [];
    this.title = element("div", { class: "ax-title" });
    this.box = element("div", { class: "ax-answers" });
    this.node = element("div", { class: "ax-answer-view", "aria-hidden": "true" }, this.title, this.box);
  }

  makeBar() {
    const [fill, line, name] = [element("i"), element("b"), element("span")];
    const node = element("div", { class: "ax-answer" }, element("div", { class: "ax-track" }, fill, line), name);
    return { node, fill, line, name };
  }

  // On a phone a name of many letters is its first one.
  tellName(node, name) {
    if (node.textContent !== name) node.replaceChildren(name[0], element("span", { class: "ax-rest" }, name.slice(1)));
  }

  write() {
    const { live } = this;
    const [now, own] = [live.answer, live.ownAnswer];
    const names = live.paints ? live.drawn.labels.map((label) => String(label ?? "yours")) : live.answerNames();
    if (this.bars.length !== names.length) {
      this.bars = names.map(() => this.makeBar());
      this.box.replaceChildren(...this.bars.map(({ node }) => node));
    }
    const best = live.answers.best(now);
    const what = live.paints ? "overlap of the paint with each digit" : `probability of each ${live.scene().flags ? "colour" : "digit"}`;
    say(this.title, live.isForced() ? "Answer (line: with nothing forced)" : `Answer: ${what}`);
    this.bars.forEach(({ node, fill, line, name }, k) => {
      if (live.scene().flags) this.tellName(name, names[k]);
      else say(name, names[k]);
      fill.style.height = `${100 * now[k]}%`;
      fill.style.background = INKS[live.colourOf(k)] ?? "";
      line.style.bottom = `${100 * own[k]}%`;
      line.hidden = !live.isForced();
      node.classList.toggle("picked", k === best);
      node.classList.toggle("asked", k === live.asked());
    });
  }
}

// One of the block's vectors on the way to its gates, a bar a number. Its axis grows when a value would not fit.
class StepView {
  constructor(live, step, title) {
    Object.assign(this, { live, step, limit: 0 });
    this.title = element("div", { class: "ax-title" }, title);
    this.chart = element("canvas", { class: "ax-chart ax-low", "aria-hidden": "true" });
    this.node = element("div", {}, this.title, this.chart);
  }

  draw() {
    const values = this.live.blockWith(this.live.run, "steps", this.step)?.steps[this.step].data;
    this.node.hidden = !values;
    if (!values) return;
    this.limit = Math.max(this.limit, nextRound(Math.max(1e-3, ...values)));
    const { context, y, step, bottom, gap } = this.live.axes(this.chart, 0, this.limit, [0, this.limit], 9, values.length);
    values.forEach((value, i) => {
      context.fillStyle = value > 0 ? this.live.ink.accent : this.live.ink.line;
      const top = value > 0 ? Math.min(y(value), bottom - 1) : bottom - 1;
      context.fillRect(AXIS + i * step, top, Math.max(1, step - gap), bottom - top);
    });
  }
}

const nextRound = (x) => [1, 2, 5, 10].map((s) => s * 10 ** Math.floor(Math.log10(x))).find((v) => v >= x);

// The last forty states, a column each, and in it the value of each answer: an effect can be seen to repeat.
class StripView {
  constructor(live) {
    this.live = live;
    this.chart = element("canvas", { class: "ax-strip", "aria-hidden": "true" });
    this.title = element("div", { class: "ax-title" });
    this.node = element("div", {}, this.title, this.chart);
  }

  settle() {
    const { live } = this;
    const names = live.answerNames();
    const n = names.length;
    const row = (10 * STRIP.row) / n;
    say(this.title, `The last ${REMEMBERED} states, left to right: ${live.paints ? "overlap with each digit" : live.scene().flags ? "probability of each colour, by its first letter" : "probability of the digits 0 to 9"}`);
    const [width] = live.sizeCanvas(this.chart);
    const context = this.chart.getContext("2d");
    context.clearRect(0, 0, width, 10 * STRIP.row + 6);
    context.font = "9px system-ui, sans-serif";
    context.textAlign = "right";
    context.fillStyle = live.ink.muted;
    range(n).forEach((k) => context.fillText(String(live.paints ? live.drawn.labels[k] ?? "?" : names[k][0]), STRIP.left - 5, (k + 0.5) * row + 3.5));
    const step = (width - STRIP.left) / REMEMBERED;
    live.remembered.forEach(({ answer, colours }, i) => {
      const best = live.answers.best(answer);
      answer.slice(0, n).forEach((p, k) => {
        context.globalAlpha = 0.06 + 0.94 * p;
        context.fillStyle = INKS[colours[k]] ?? live.ink.muted;
        context.fillRect(STRIP.left + i * step, k * row, step - 1, row - 1);
        context.globalAlpha = 1;
        if (k !== best) return;
        context.strokeStyle = live.ink.text;
        context.strokeRect(STRIP.left + i * step + 0.5, k * row + 0.5, step - 2, row - 2);
      });
    });
  }
}

// The same intervention on the stored scenes, counted in a worker.
class CountView {
  constructor(live) {
    this.live = live;
    this.button = element("button", { type: "button", onclick: () => this.start() }, `count over ${live.spec.counted} scenes`);
    this.progress = element("progress", { max: live.spec.counted, value: 0, "aria-label": "Scenes counted", hidden: true });
    this.text = element("p", { class: "ax-count", "aria-live": "polite" });
    this.node = element("div", { class: "ax-row" }, this.button, this.progress, this.text);
  }

  async start() {
    this.stop?.();
    const { live } = this;
    const state = live.state();
    this.progress.hidden = false;
    this.progress.value = 0;
    this.began = live.written();
    say(this.text, "");
    try {
      const scenes = (live.counted ??= await openScenes(await live.bytesOf("counted")));
      const work = { weights: await live.bytesOf(live.part()), scenes, state, palette: live.spec.palette, inks: live.spec.inks, expected: live.expected(), known: live.known(live.nets[live.part()], live.part()), stored: live.spec.scenes.map((_, i) => ({ ...live.spec.scenes[i], crop: live.cropOf(i) })) };
      this.stop = startCount(work, (found) => this.tell(found, state), () => this.fail());
    } catch {
      this.fail();
    }
  }

  fail() {
    this.progress.hidden = true;
    say(this.text, "The stored scenes or the worker that counts did not start, so nothing was counted.");
  }

  tell({ done, n, changed, before, after, asked }, state) {
    this.progress.value = done;
    if (done < this.live.spec.counted) return;
    this.progress.hidden = true;
    this.stop();
    say(this.text, this.live.countWords({ n, changed, before, after, asked }, state));
  }

  write() {
    if (this.began != null && this.began !== this.live.written()) {
      this.stop?.();
      this.began = null;
      this.progress.hidden = true;
      say(this.text, "");
    }
  }
}

const LIVE_VIEWS = {
  answer: (live) => new AnswerView(live),
  map: (live) => new MapView(live),
  heads: (live) => new HeadsView(live),
  channels: (live) => new ChannelsView(live),
  pair: (live) => new PairView(live),
  slots: (live) => new SlotsView(live),
  sums: (live) => new SumsView(live),
  shares: (live) => new SharesView(live),
  seeds: (live) => new SeedsView(live),
  squeeze: (live) => new StepView(live, "z", "Squeeze: the mean of each channel over all places"),
  hidden: (live) => new StepView(live, "hidden", "Hidden units: what the gates are made of (a line: silent)"),
  gates: (live) => new GatesView(live),
  strip: (live) => new StripView(live),
  count: (live) => new CountView(live),
};
