// ---------------------------------------------------------------- branches: how each channel divides itself among kernels

const BRANCH_INKS = ["#2a78c2", "#d9730d", "#2a8f2a", "#b93aa2"];

// A column a channel, its weights one upon another; below it a slider a branch, which forces one division on all channels.
class SharesView {
  constructor(live) {
    this.live = live;
    this.title = element("div", { class: "ax-title" });
    this.chart = element("canvas", { class: "ax-chart", "aria-hidden": "true" });
    const names = live.spec.branches;
    const sliders = names.map((name, m) => {
      const slider = live.slider(`Weight of ${name}`, 100, ["0", "1"], (v) => this.give(m, v / 100), () => {
        const share = this.means()[m];
        return [Math.round(100 * share), share.toFixed(2)];
      });
      slider.querySelector("label").prepend(element("i", { class: "ax-dot", style: `background:${BRANCH_INKS[m]}` }), " ");
      return slider;
    });
    const force = (words, shares) => element("button", { type: "button", onclick: () => live.set("shares", shares) }, words);
    const only = names.map((name, m) => force(`only ${name}`, names.map((_, k) => Number(k === m))));
    const own = force("their own", []);
    live.controls.push(() => (own.disabled = !live.get("shares").length));
    const buttons = element("div", { class: "ax-row ax-wrap" }, own, force("even", names.map(() => 1 / names.length)), ...only);
    this.node = element("div", { class: "ax-branches" }, this.title, this.chart, buttons, ...sliders);
  }

  // The weights (branches, channels) of the block that is looked at.
  weights(run) {
    const { kernel, split } = this.live.blockWith(run, "maps", "kernel", "split")?.maps ?? {};
    return kernel ?? split;
  }

  means(run = this.live.run) {
    const { live } = this;
    const map = run && this.weights(run);
    if (!map) return live.spec.branches.map(() => 0);
    const [branches, C] = map.shape;
    return range(branches).map((m) => map.data.subarray(m * C, (m + 1) * C).reduce((a, b) => a + b, 0) / C);
  }

  // One branch gets a share; the others divide the rest as they did before.
  give(m, share) {
    const now = this.means();
    const rest = 1 - now[m];
    const others = now.map((value, k) => (k === m ? share : rest > 1e-6 ? ((1 - share) * value) / rest : (1 - share) / (now.length - 1)));
    this.live.set("shares", others.map((value) => Number(value.toFixed(4))));
  }

  draw() {
    const { live } = this;
    const map = this.weights(live.run);
    this.node.hidden = !map;
    if (!map) return;
    const [branches, C] = map.shape;
    const { context, y, step, gap } = live.axes(this.chart, 0, 1, [0, 0.5, 1], 9, C);
    range(C).forEach((c) => {
      let from = 0;
      range(branches).forEach((m) => {
        const to = from + map.data[m * C + c];
        context.fillStyle = BRANCH_INKS[m];
        context.fillRect(AXIS + c * step, y(to), Math.max(1, step - gap), y(from) - y(to));
        from = to;
      });
    });
  }

  write() {
    say(this.title, `Weights of the kernels, a column a channel, each sums to one${this.live.get("shares").length ? ": forced" : ""}`);
  }

  words() {
    const { live } = this;
    if (!this.weights(live.run)) return "";
    const said = (run) => this.means(run).map((share, m) => `${share.toFixed(2)} for ${live.spec.branches[m]}`).join(", ");
    return `Mean weights: ${said(live.run)}${live.get("shares").length ? `; its own: ${said(live.own)}` : ""}.`;
  }
}
