// ---------------------------------------------------------------- gates

const MOVE = 240; // ms in which bars move to a new height

class Gates extends ChannelExplorer {
  constructor(model, root) {
    super(model, root, ["image", "variant", "force", "channel", "place", "order", "stage", "compare", "show"]);
    const { spec } = this;
    this.channels = spec.channels;
    this.variants = spec.variantNames.length;
    this.count = spec.imageNames.length;
    this.groups = this.groupByVariant();
    this.values = new Float64Array(this.places);
    this.build();
    this.start();
  }

  file() {
    return this.get("image") * this.variants + this.get("variant");
  }

  build() {
    const { spec } = this;
    const status = this.makeStatus();
    const stage = this.makeGridStage("place", "Arrow keys choose a place, Escape lets it go.", (event) => {
      if (event.key === "Escape") this.keep("place", -1);
    });
    const options = (names) => names.map((label, value) => ({ label, value }));
    const colours = spec.variantNames.map((label, value) => ({ label, value, colour: spec.variantColours[value] }));
    const stages = [{ value: "before", label: "before the gate" }, { value: "after", label: "after the gate" }];
    const orders = [{ value: "channel", label: "channel number" }, { value: "gate", label: "gate" }];
    if (this.variants > 1) orders.push({ value: "variant", label: spec.variantLabel.toLowerCase() });
    this.arrange(
      [
        this.photographChooser(),
        this.chooser(spec.variantLabel, "variant", colours),
        this.chooser("Gates in place", "force", [{ value: -1, label: "the net's own" }, ...options(spec.forcedNames)]),
      ],
      [stage, this.makeHint("Point at the photograph or at a bar; a click keeps it. Arrow keys work too."), this.makeBar()],
      [status, this.makeAnswers(), this.makeCharts()],
      [
        this.chooser("Order of the bars", "order", orders),
        this.chooser("Features", "stage", stages),
        this.chooser("Show", "show", ["photograph", "both", "map"].map((value) => ({ value, label: value }))),
        this.menu("Compare the gates with", "compare", this.references()),
      ],
      this.makeTable(() => this.channelRows()),
    );
  }

  references() {
    const { spec } = this;
    const list = [{ value: "none", label: "nothing" }];
    if (this.count * this.variants > 1) list.push({ value: "mean", label: "the mean over all photographs" });
    if (this.variants > 1) spec.variantNames.forEach((name, i) => list.push({ value: `variant:${i}`, label: `this photograph, ${spec.variantLabel.toLowerCase()} ${name}` }));
    if (this.count > 1) spec.imageNames.forEach((name, i) => list.push({ value: `image:${i}`, label: `photograph ${name}` }));
    spec.forcedNames.forEach((name, i) => list.push({ value: `forced:${i}`, label: name }));
    return list;
  }

  makeAnswers() {
    if (!this.arrays.answers) return null;
    this.fills = this.spec.classNames.map(() => element("i"));
    const bars = this.spec.classNames.map((name, k) => element("div", { class: "ax-answer" }, element("div", { class: "ax-track" }, this.fills[k]), element("span", {}, name)));
    return element("div", { "aria-hidden": "true" }, element("div", { class: "ax-title" }, "Probability of each answer (0 to 1)"), element("div", { class: "ax-answers" }, ...bars));
  }

  makeCharts() {
    this.gateTitle = element("div", { class: "ax-title" });
    this.featureTitle = element("div", { class: "ax-title" });
    this.gateChart = this.makeChannelChart();
    this.featureChart = element("canvas", { class: "ax-chart", "aria-hidden": "true" });
    this.pointChannels(this.featureChart);
    const legend = element("span", { class: "ax-legend" }, element("i", { class: "before" }), "before", element("i", { class: "after" }), "after");
    this.legend = legend;
    return element(
      "div",
      { class: "ax-charts" },
      element("div", { class: "ax-row" }, this.gateTitle, this.makeAllButton()),
      this.gateChart,
      element("div", { class: "ax-row" }, this.featureTitle, legend),
      this.featureChart,
    );
  }

  // ------------------------------------------------------------ numbers

  gatesAt(image, variant) {
    const at = (image * this.variants + variant) * this.channels;
    return this.arrays.gates.subarray(at, at + this.channels);
  }

  gatesInPlace() {
    const force = this.get("force");
    return force < 0 ? this.gatesAt(this.get("image"), this.get("variant")) : this.forcedGates(force);
  }

  forcedGates(i) {
    return this.arrays.forced.subarray(i * this.channels, (i + 1) * this.channels);
  }

  reference() {
    const [kind, i] = this.get("compare").split(":");
    if (kind === "none") return null;
    if (kind === "mean") return (this.meanGates ??= Float32Array.from(range(this.channels), (c) => this.meanGate(c)));
    if (kind === "variant") return this.gatesAt(this.get("image"), Number(i));
    if (kind === "image") return this.gatesAt(Number(i), this.get("variant"));
    return this.forcedGates(Number(i));
  }

  meanGate(c, variant = null) {
    let [sum, n] = [0, 0];
    for (let p = 0; p < this.count; p++) {
      for (let v = 0; v < this.variants; v++) if (variant == null || v === variant) [sum, n] = [sum + this.gatesAt(p, v)[c], n + 1];
    }
    return sum / n;
  }

  // Channels grouped by the variant whose gates are highest on average, the most decided first in each group.
  groupByVariant() {
    const means = range(this.channels).map((c) => range(this.variants).map((v) => this.meanGate(c, v)));
    const group = means.map((m) => m.indexOf(Math.max(...m)));
    const margin = means.map((m, c) => m[group[c]] - Math.max(...m.filter((_, v) => v !== group[c]), 0));
    const order = range(this.channels).sort((a, b) => group[a] - group[b] || margin[b] - margin[a]);
    return { group, order };
  }

  order() {
    const kind = this.get("order");
    if (kind === "variant") return this.groups.order;
    if (kind === "channel") return range(this.channels);
    const shown = this.shownGates();
    return range(this.channels).sort((a, b) => shown[b] - shown[a]);
  }

  shownGates() {
    const [gates, reference] = [this.gatesInPlace(), this.reference()];
    return reference ? gates.map((g, c) => g - reference[c]) : gates;
  }

  featureScale(c) {
    return this.spec.arrays.features.scale[c];
  }

  featureAt(c, place) {
    return this.arrays.features[(this.file() * this.channels + c) * this.places + place] * this.featureScale(c);
  }

  featureMean(c) {
    const at = (this.file() * this.channels + c) * this.places;
    let sum = 0;
    for (let j = 0; j < this.places; j++) sum += this.arrays.features[at + j];
    return (sum / this.places) * this.featureScale(c);
  }

  // What is painted: one channel, or the mean over channels, times the factor that the gate, or a difference, gives.
  fillMap(channel, factors) {
    const { values, places } = this;
    values.fill(0);
    for (let c = 0; c < this.channels; c++) {
      if (channel >= 0 && c !== channel) continue;
      const factor = (factors ? factors[c] : 1) * this.featureScale(c) * (channel < 0 ? 1 / this.channels : 1);
      const at = (this.file() * this.channels + c) * places;
      for (let j = 0; j < places; j++) values[j] += factor * this.arrays.features[at + j];
    }
  }

  mapScale(channel, comparing) {
    const { limit, meanLimit, meanDifferenceLimit, signed } = this.spec;
    const high = channel >= 0 ? limit : comparing ? meanDifferenceLimit : meanLimit;
    return linearScale(comparing || signed ? -high : 0, high);
  }

  // ------------------------------------------------------------ drawing

  draw(now) {
    const [channel, place, show, stage] = ["channel", "place", "show", "stage"].map((trait) => this.get(trait));
    const reference = this.reference();
    const shown = this.shownGates();
    const factors = reference ? shown : stage === "after" ? this.gatesInPlace() : null;
    this.fillMap(channel, factors);
    const scale = this.mapScale(channel, Boolean(reference));
    const painted = show === "both" && channel < 0 && !reference ? "photograph" : show; // nothing chosen, nothing hidden
    const [width, height] = this.paint(this.values, scale, painted);
    if (place >= 0) this.markPlace(place, width, height);
    const what = channel < 0 ? "Mean of all channels" : `Channel ${channel}`;
    const how = reference ? "features × difference of the gates" : `features ${stage} the gate`;
    this.showBar(scale, `${what}: ${how}`, painted, [reference || this.spec.signed, true]);
    this.moveBars(shown, now);
    this.drawGates(Boolean(reference));
    this.drawFeatures();
    if (this.fills) this.showAnswers();
    this.readOut();
    this.fillTable();
  }

  // The heights drawn follow the heights asked for; a change of order or of comparison is a new picture, not a move.
  moveBars(target, now) {
    const key = [this.get("order") === "gate", this.get("compare") === "none"].join();
    const changed = !this.goal || target.some((g, c) => g !== this.goal[c]);
    if (changed) {
      const jump = !this.goal || key !== this.barKey || this.calm.matches || this.get("order") === "gate";
      this.from = jump ? Float64Array.from(target) : Float64Array.from(this.heights);
      [this.goal, this.began, this.barKey] = [Float64Array.from(target), now, key];
    }
    const u = clamp((now - this.began) / MOVE, 0, 1);
    const eased = 1 - (1 - u) ** 3;
    this.heights = this.goal.map((g, c) => this.from[c] + eased * (g - this.from[c]));
    if (u < 1 && this.from.some((f, c) => f !== this.goal[c])) this.touch();
  }

  drawBar({ context, y, step, gap }, slot, from, to, colour, share = 1) {
    const w = (step - gap) * share;
    context.fillStyle = colour;
    const [a, b] = [y(from), y(to)];
    context.fillRect(AXIS + slot * step + (step - gap - w) / 2, Math.min(a, b), w, Math.max(Math.abs(a - b), to === from ? 0 : 0.5));
  }

  drawGates(comparing) {
    const axes = this.axes(this.gateChart, comparing ? -1 : 0, 1);
    const order = this.order();
    const channel = this.get("channel");
    const own = this.get("force") >= 0 && !comparing ? this.gatesAt(this.get("image"), this.get("variant")) : null;
    const colours = this.spec.variantColours;
    const grouped = this.get("order") === "variant" && colours[0] !== "currentColor";
    order.forEach((c, slot) => {
      const g = this.heights[c];
      const colour = comparing ? (g < 0 ? "#4393c3" : "#d6604d") : grouped ? colours[this.groups.group[c]] : this.ink.accent;
      this.drawBar(axes, slot, 0, g, colour);
      if (grouped) {
        axes.context.fillStyle = colours[this.groups.group[c]];
        axes.context.fillRect(AXIS + slot * axes.step, 0, axes.step + 0.5, 4);
      }
      if (own) {
        axes.context.fillStyle = this.ink.text;
        axes.context.fillRect(AXIS + slot * axes.step, axes.y(own[c]) - 1, axes.step - axes.gap, 2);
      }
    });
    if (channel >= 0) this.pickMark(axes, order.indexOf(channel));
    const { spec } = this;
    const force = this.get("force");
    const title = force < 0 ? "Gate of each channel" : `Gate of each channel: ${spec.forcedNames[force]}`;
    const notes = [own && "lines: the net's own", grouped && !comparing && `colour: the ${spec.variantLabel.toLowerCase()} that opens it most`];
    const note = notes.filter(Boolean).join("; ");
    say(this.gateTitle, title + (comparing ? ", less the other" : "") + (note && ` (${note})`));
    const words = channel < 0 ? "all channels" : `channel ${channel}, gate ${number(this.gatesInPlace()[channel], 2)}`;
    this.sayChannel(this.gateChart, order.indexOf(channel), words);
  }

  drawFeatures() {
    const { signed } = this.spec;
    const limit = this.get("place") < 0 ? this.spec.squeezeLimit : this.spec.limit;
    const axes = this.axes(this.featureChart, signed ? -limit : 0, limit);
    const [place, channel, gates, order] = [this.get("place"), this.get("channel"), this.gatesInPlace(), this.order()];
    order.forEach((c, slot) => {
      const before = place < 0 ? this.featureMean(c) : this.featureAt(c, place);
      this.drawBar(axes, slot, 0, before, this.ink.before);
      this.drawBar(axes, slot, 0, before * gates[c], this.ink.after, axes.step > 5 ? 0.6 : 1);
    });
    if (channel >= 0) this.pickMark(axes, order.indexOf(channel));
    say(this.featureTitle, place < 0 ? "Features, mean over all places" : `Features at ${this.where(place)}`);
  }

  probabilities(force) {
    const [forcings, classes] = this.spec.arrays.answers.shape.slice(2);
    const at = (this.file() * forcings + force + 1) * classes;
    return this.arrays.answers.subarray(at, at + classes);
  }

  picked(force) {
    const p = this.probabilities(force);
    return p.indexOf(Math.max(...p));
  }

  showAnswers() {
    const p = this.probabilities(this.get("force"));
    const best = this.picked(this.get("force"));
    const things = this.candidatesOf(this.get("image"));
    const colours = this.spec.variantColours;
    this.fills.forEach((fill, k) => {
      const thing = things.indexOf(k);
      fill.style.height = `${100 * p[k]}%`;
      fill.style.background = thing >= 0 && things.length === this.variants && colours[0] !== "currentColor" ? colours[thing] : "";
      fill.parentElement.parentElement.classList.toggle("picked", k === best);
    });
  }

  candidatesOf(image) {
    if (!this.arrays.candidates) return [];
    const n = this.spec.candidateNames.length;
    return [...this.arrays.candidates.subarray(image * n, (image + 1) * n)];
  }

  named(k) {
    const things = this.candidatesOf(this.get("image")).flatMap((c, i) => (c === k ? [`the ${this.spec.candidateNames[i]}`] : []));
    return this.spec.classNames[k] + (things.length ? `, ${things.join(" and ")}` : "");
  }

  answerWords() {
    if (!this.arrays.answers) return ["", ""];
    const { spec } = this;
    const force = this.get("force");
    const reads = this.picked(force);
    const sure = number(this.probabilities(force)[reads], 2);
    if (force >= 0) {
      const own = this.picked(-1);
      const after = own === reads ? "So it does with its own gates." : `With its own gates it reads ${this.named(own)}.`;
      return [`The net reads ${this.named(reads)}`, `(probability ${sure}). Gates in place: ${spec.forcedNames[force]}. ${after}`];
    }
    const says = [`The net reads ${this.named(reads)}`, `(probability ${sure}).`];
    if (!this.arrays.truth) return says;
    const asked = this.arrays.truth[this.file()];
    const asker = this.variants > 1 ? `The ${spec.variantLabel.toLowerCase()} (${spec.variantNames[this.get("variant")]}) asks` : "Asked";
    return [says[0], `${says[1]} ${asker} for ${this.named(asked)}: ${asked === reads ? "right" : "wrong"}.`];
  }

  detail() {
    const [channel, place, gates] = [this.get("channel"), this.get("place"), this.gatesInPlace()];
    const reference = this.reference();
    if (channel < 0 && place < 0) return reference ? "The map shows where the difference of the gates acts." : "";
    if (channel < 0) {
      const strongest = (factors) => range(this.channels).reduce((a, b) => (this.featureAt(b, place) * factors[b] > this.featureAt(a, place) * factors[a] ? b : a));
      const [before, after] = [strongest(gates.map(() => 1)), strongest(gates)];
      const [x, y] = [this.featureAt(before, place), this.featureAt(after, place) * gates[after]];
      return `At ${this.where(place)} channel ${before} is strongest before the gate, ${number(x)}; channel ${after} after it, ${number(y)}.`;
    }
    const gate = `Channel ${channel}: gate ${number(gates[channel])}`;
    const own = this.get("force") < 0 ? "" : ` (the net's own ${number(this.gatesAt(this.get("image"), this.get("variant"))[channel])})`;
    const change = reference ? gates[channel] - reference[channel] : 0;
    const against = reference ? `, ${number(Math.abs(change))} ${change < 0 ? "below" : "above"} the other` : "";
    if (place < 0) return `${gate}${own}${against}.`;
    const x = this.featureAt(channel, place);
    return `${gate}${own}${against}. At ${this.where(place)}: ${number(x)} before, ${number(x * gates[channel])} after.`;
  }

  readOut() {
    this.read(...this.answerWords(), this.detail() || "Point at a place or at a channel's bar to read its numbers.");
  }

  channelRows() {
    const [place, gates, reference] = [this.get("place"), this.gatesInPlace(), this.reference()];
    const value = (c) => (place < 0 ? this.featureMean(c) : this.featureAt(c, place));
    const head = ["channel", "gate", ...(reference ? ["difference"] : []), "before", "after"];
    const body = this.order().map((c) => {
      const cells = [gates[c], ...(reference ? [gates[c] - reference[c]] : []), value(c), value(c) * gates[c]];
      return [String(c), ...cells.map((x) => number(x))];
    });
    return { caption: `Every channel: its gate, and its feature ${place < 0 ? "(mean over all places)" : `at ${this.where(place)}`} before and after the gate`, head, body };
  }
}

KINDS.gates = Gates;
