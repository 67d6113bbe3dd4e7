// ---------------------------------------------------------------- bars that can be pulled: gates, and sums
//
// Below the bars one of them in words, with a slider, for fingers and keys. A kind of bars says which numbers they are:
// bars(), {values, own, from, low, high}, where `own` are those that nothing forces and each bar begins at its `from`;
// chosen() and choose(i), one of them; put(i, value) and letGo(i); pulled(i), to what, or undefined; words(i).

class BarsView {
  constructor(live, { trait, name, slider, one, ends }) {
    Object.assign(this, { live });
    this.title = element("div", { class: "ax-title" });
    this.chart = element("canvas", { class: "ax-chart ax-pull", tabindex: 0, role: "slider", "aria-label": name, "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 1 });
    this.back = element("button", { type: "button", onclick: () => live.set(trait, {}) }, "let all go");
    this.listen();
    this.node = element("div", {}, element("div", { class: "ax-row" }, this.title, this.back), this.chart, this.makeRow(slider, one, ends));
    live.controls.push(() => (this.back.disabled = !Object.keys(live.get(trait)).length));
  }

  makeRow(label, one, ends) {
    const step = (by) => () => this.choose(clamp(this.chosen() + by, 0, this.bars().values.length - 1));
    const [before, after] = [["‹", -1, `${one} before`], ["›", 1, `Next ${one.toLowerCase()}`]].map(([sign, by, name]) => element("button", { type: "button", "aria-label": name, onclick: step(by) }, sign));
    const read = () => {
      const bars = this.live.run && this.bars();
      const i = bars ? this.chosen() : -1;
      if (i < 0) return [0, `choose a ${one.toLowerCase()}`];
      return [Math.round((100 * (bars.values[i] - bars.low)) / (bars.high - bars.low)), `${i}: ${bars.values[i].toFixed(2)}`];
    };
    const slide = (v) => {
      const { low, high } = this.bars();
      this.put(Math.max(0, this.chosen()), Number((low + (v / 100) * (high - low)).toFixed(4)));
    };
    return this.live.slider(label, 100, ends, slide, read, before, after);
  }

  // A press chooses a bar; a pull up or down sets it.
  listen() {
    const { live, chart } = this;
    const at = (event) => {
      const { values, low, high } = this.bars();
      const box = chart.getBoundingClientRect();
      const i = clamp(Math.floor(((event.clientX - box.left - AXIS) / (box.width - AXIS)) * values.length), 0, values.length - 1);
      return [i, low + clamp(1 - (event.clientY - box.top - 8) / (box.height - 17), 0, 1) * (high - low)];
    };
    let from = null;
    chart.addEventListener("pointerdown", (event) => {
      if (event.isTrusted) chart.setPointerCapture(event.pointerId);
      from = event.clientY;
      this.choose(at(event)[0]);
      live.drawAll(performance.now());
    });
    chart.addEventListener("pointermove", (event) => {
      if (!event.buttons || from === null || (Math.abs(event.clientY - from) < 3 && from !== "pulling")) return;
      from = "pulling";
      this.put(this.chosen(), Number(at(event)[1].toFixed(2)));
      live.drawAll(performance.now());
    });
    chart.addEventListener("pointerup", () => (from = null));
    chart.addEventListener("pointercancel", () => (from = null));
    chart.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { values, low, high } = this.bars();
    const far = event.shiftKey ? 5 : 1;
    const [from, last] = [this.chosen(), values.length - 1];
    const side = { ArrowLeft: from - far, ArrowRight: from + far, Home: 0, End: last }[event.key];
    const up = { ArrowUp: 0.1, ArrowDown: -0.1, PageUp: 1, PageDown: -1 }[event.key];
    if (side !== undefined) this.choose(clamp(side, 0, last));
    // Further from where it was pulled to: the network may not have run since the last key.
    else if (up && from >= 0) this.put(from, clamp(Number(((this.pulled(from) ?? values[from]) + up * (event.shiftKey ? 0.1 : 1) * (high - low)).toFixed(2)), low, high));
    else if (event.key === "Delete" || event.key === "Backspace") this.letGo(from);
    else return;
    event.preventDefault();
  }

  draw() {
    const { live, chart } = this;
    const bars = this.bars();
    this.node.hidden = !bars;
    if (!bars) return;
    const { values, own, from, low, high } = bars;
    const axes = live.axes(chart, low, high, [low, (low + high) / 2, high], 9, values.length);
    const { context, y, step, gap, bottom } = axes;
    const wide = Math.max(1, step - gap);
    values.forEach((value, i) => {
      const [x, top, base] = [AXIS + i * step, Math.min(y(value), y(from(i))), Math.max(y(value), y(from(i)))];
      context.fillStyle = this.pulled(i) === undefined ? live.ink.accent : PULLED;
      context.fillRect(x, Math.min(top, bottom - 1), wide, Math.max(1, base - top));
      if (!live.isForced()) return;
      context.fillStyle = live.ink.text;
      context.fillRect(x, y(own[i]) - 1, wide, 2);
    });
    const chosen = this.chosen();
    if (chosen >= 0) live.pickMark(axes, chosen);
  }

  write() {
    const { live, chart } = this;
    const bars = this.bars();
    if (!bars) return;
    const { values, low, high } = bars;
    const chosen = this.chosen();
    say(this.title, `${this.heading(values.length)}${live.isForced() ? " (lines: its own)" : ""}`);
    chart.setAttribute("aria-valuemin", low);
    chart.setAttribute("aria-valuemax", high);
    chart.setAttribute("aria-valuenow", chosen < 0 ? low : values[chosen].toFixed(2));
    chart.setAttribute("aria-valuetext", this.words() || "nothing chosen");
  }
}

class GatesView extends BarsView {
  constructor(live) {
    super(live, { trait: "pulled", name: "Gates: left and right choose a channel, up and down pull its gate, Delete gives it back", slider: "Gate of channel", one: "Channel", ends: ["0", "1"] });
  }

  bars() {
    const values = this.live.gates();
    return values && { values, own: this.live.ownGates(), from: () => 0, low: 0, high: 1 };
  }

  heading(n) {
    return `${n} gates, one a channel: pull one up or down`;
  }

  chosen() {
    return this.live.get("channel");
  }

  choose(channel) {
    this.live.set("channel", channel);
  }

  put(channel, value) {
    this.live.pull(channel, value);
  }

  letGo(channel) {
    this.live.letGo(channel);
  }

  pulled(channel) {
    return this.live.get("pulled")[channel];
  }

  words() {
    const { live } = this;
    return live.get("channel") >= 0 && live.gates() ? live.channelWords(live.get("channel")) : "";
  }
}

// The sums of one head: each bar leads from the sum of the picture as it was to the sum of the picture as it is now.
class SumsView extends BarsView {
  constructor(live) {
    super(live, { trait: "pulled_sums", name: "Sums: left and right choose a slot, up and down pull its sum, Delete gives it back", slider: "Log-sum of slot", one: "Slot", ends: ["low", "high"] });
    this.limits = [Infinity, -Infinity];
  }

  bars() {
    const { live } = this;
    const now = live.sums();
    if (!now) return undefined;
    const old = live.sums(live.otherRun(live.partShown, "start")).values;
    const own = live.sums(live.own).values;
    // The axis only grows: a pulled bar must not move under the finger.
    this.limits = [Math.min(this.limits[0], Math.floor(Math.min(...old, ...own))), Math.max(this.limits[1], Math.ceil(Math.max(...old, ...own)))];
    const [low, high] = this.limits;
    return { values: now.values, own, old, from: (slot) => old[slot], low, high, first: now.from };
  }

  heading(n) {
    return `${n} sums of head ${this.live.get("head")}, a slot each, as logarithms: from the picture as it was to now; pull one`;
  }

  chosen() {
    return this.live.slot(this.bars().values.length);
  }

  choose(slot) {
    this.live.set("slot", slot);
  }

  number(slot) {
    return String(this.live.sums().from + slot);
  }

  put(slot, value) {
    this.choose(slot);
    this.live.set("pulled_sums", { ...this.live.get("pulled_sums"), [this.number(slot)]: value });
  }

  letGo(slot) {
    const { [this.number(slot)]: _, ...others } = this.live.get("pulled_sums");
    this.live.set("pulled_sums", others);
  }

  pulled(slot) {
    return this.live.get("pulled_sums")[this.number(slot)];
  }

  words() {
    const bars = this.bars();
    if (!bars) return "";
    const slot = this.chosen();
    return `Slot ${slot}: log-sum ${bars.values[slot].toFixed(2)}; ${bars.old[slot].toFixed(2)} in the picture as it was.`;
  }
}
