// ---------------------------------------------------------------- scales

// Branches from the smallest kernel to the largest: white print is read on the first, dark print on the second.
const BRANCHES = { light: "b4500a96266d5b3aa80b4f8a", dark: "ffb15cff93c4c3a9ff7ac7ff" };

class Scales extends ChannelExplorer {
  constructor(model, root) {
    super(model, root, ["image", "variant", "block", "branch", "channel"]);
    const { spec } = this;
    this.sizes = spec.sizes;
    this.branches = spec.branchNames.length;
    this.means = spec.channels.map((_, block) => this.averageChannels(block));
    this.outlined = true;
    this.build();
    this.start();
  }

  get channels() {
    return this.spec.channels[this.get("block")];
  }

  file() {
    return this.get("image") * this.sizes.length + this.get("variant");
  }

  build() {
    const { spec } = this;
    const status = this.makeStatus();
    const stage = this.makeStage("variant", `Arrow keys change the size of the ${spec.thing}.`, (event) => this.sizeUnder(event), (event) => this.sizeKey(event));
    const branches = spec.branchNames.map((label, value) => ({ label, value, colour: `var(--ax-branch-${value})` }));
    const last = this.sizes.length - 1;
    const size = this.slider(`Side of the ${spec.thing}`, last, [this.sizes[0], this.sizes[last]].map(short), (v) => this.keep("variant", v), () => [this.get("variant"), this.pixels(this.get("variant"))]);
    this.arrange(
      [this.photographChooser()],
      [stage, size, this.makeHint(`Point at the photograph: the ${spec.thing} grows to reach you. A click keeps its size. Arrow keys work too.`)],
      [status, this.makeBlocks(), this.chooser("Branch", "branch", branches), this.makePlot()],
      [this.makeFieldSwitch(), this.makeChannels()],
      this.makeTable(() => this.sizeRows()),
    );
  }

  makeFieldSwitch() {
    if (!this.spec.fields) return null;
    return this.checkbox("Outline what each branch's kernel covers", (on) => (this.outlined = on));
  }

  // One bar a block, as long as the sum of its weights: one. Choosing a block is choosing its bar.
  makeBlocks() {
    const { spec } = this;
    const name = freshId();
    this.shares = spec.blockNames.map(() => spec.branchNames.map((_, m) => element("i", { style: `background:var(--ax-branch-${m})` })));
    const several = spec.blockNames.length > 1; // one alone is not chosen
    const inputs = several ? spec.blockNames.map((_, value) => element("input", { type: "radio", name, value, onchange: () => this.set("block", value) })) : [];
    const rows = spec.blockNames.map((label, block) => {
      const bar = element("span", { class: "ax-shares", "aria-hidden": "true" }, ...this.shares[block]);
      return element("label", { class: "ax-block" }, inputs[block], element("span", { class: "ax-face" }, element("span", {}, label), bar));
    });
    this.controls.push(() => inputs.forEach((input, block) => (input.checked = block === this.get("block"))));
    return element("fieldset", { class: "ax-choice" }, element("legend", {}, "Block: the weights of its branches, which sum to 1"), element("div", { class: "ax-segments ax-blocks" }, ...rows));
  }

  makePlot() {
    const { spec } = this;
    this.plotTitle = element("div", { class: "ax-title" });
    this.plot = element("canvas", { class: "ax-plot", "aria-hidden": "true" });
    this.pointable(this.plot, "variant", (event) => {
      const box = this.plot.getBoundingClientRect();
      const [left, right] = this.plotEnds(box.width);
      return this.nearestSize(this.sizes[0] + ((event.clientX - box.left - left) / (right - left)) * (this.sizes.at(-1) - this.sizes[0]));
    });
    const keys = [["dot", "this photograph"], ["even", "even share"], ["thin", "other branches"]];
    if (this.arrays.spread) keys.unshift(["band", spec.spreadName]);
    if (this.arrays.mean) keys.unshift(["line", spec.meanName]);
    return element("div", {}, this.plotTitle, this.plot, this.makeKey(keys));
  }

  makeChannels() {
    this.channelTitle = element("div", { class: "ax-title" });
    this.channelChart = this.makeChannelChart();
    const keys = [["line", "at this size"], ["band", "over all sizes"], ["even", "even share"]];
    return element("div", { class: "ax-charts" }, element("div", { class: "ax-row" }, this.channelTitle, this.makeAllButton()), this.channelChart, this.makeKey(keys));
  }

  makeKey(keys) {
    return element("div", { class: "ax-key" }, ...keys.map(([kind, text]) => element("span", {}, element("i", { class: kind }), text)));
  }

  // ------------------------------------------------------------ sizes

  pixels(variant) {
    return `${short(this.sizes[variant])} pixels`;
  }

  nearestSize(side) {
    return this.sizes.reduce((best, size, v) => (Math.abs(size - side) < Math.abs(this.sizes[best] - side) ? v : best), 0);
  }

  centre() {
    return this.spec.centres[this.get("image")];
  }

  // The size at which the edge of the object's square lies under the pointer.
  sizeUnder(event) {
    const box = this.stage.getBoundingClientRect();
    const [y, x] = this.centre();
    const pixel = box.width / this.spec.extent[1];
    const reach = Math.max(Math.abs(event.clientX - box.left - x * pixel), Math.abs(event.clientY - box.top - y * pixel));
    return this.nearestSize((2 * reach) / pixel);
  }

  sizeKey(event) {
    const [from, last] = [this.get("variant"), this.sizes.length - 1];
    const far = event.shiftKey ? 5 : 1;
    const [smaller, larger] = [from - far, from + far];
    const to = { ArrowLeft: smaller, ArrowDown: smaller, ArrowRight: larger, ArrowUp: larger, Home: 0, End: last }[event.key];
    if (to == null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.keep("variant", clamp(to, 0, last));
  }

  // ------------------------------------------------------------ numbers

  // Weights of one block lie as (photograph, size, branch, channel).
  averageChannels(block) {
    const count = this.spec.channels[block];
    const weights = this.arrays[`weights${block}`];
    return Float64Array.from(range(weights.length / count), (row) => weights.subarray(row * count, (row + 1) * count).reduce((a, b) => a + b, 0) / count);
  }

  rowOf(variant, branch) {
    return (this.get("image") * this.sizes.length + variant) * this.branches + branch;
  }

  weight(variant, branch = this.get("branch"), block = this.get("block")) {
    return this.means[block][this.rowOf(variant, branch)];
  }

  channelWeight(variant, channel) {
    return this.arrays[`weights${this.get("block")}`][this.rowOf(variant, this.get("branch")) * this.channels + channel];
  }

  // The mean over many scenes, and the ends of its spread, lie as (size, block, branch).
  scenes(name, variant, end = 0, branch = this.get("branch")) {
    const blocks = this.spec.blockNames.length;
    return this.arrays[name][((end * this.sizes.length + variant) * blocks + this.get("block")) * this.branches + branch];
  }

  // The channel chosen, if this block has it.
  chosenChannel() {
    return this.get("channel") < this.channels ? this.get("channel") : -1;
  }

  // ------------------------------------------------------------ drawing

  draw() {
    this.paintColours();
    this.drawObject(this.paintPhotograph("full")[0]);
    this.showShares();
    this.drawPlot();
    this.drawChannels();
    this.readOut();
    this.fillTable();
  }

  paintColours() {
    const { theme } = this.root.dataset;
    const state = `${theme} ${this.get("branch")}`;
    if (state === this.colourState) return;
    this.colourState = state;
    this.colours = this.ramp(BRANCHES[theme]);
    this.bright = this.ramp(BRANCHES.dark); // over photographs, where all lines have a dark edge
    this.colours.forEach((colour, m) => this.root.style.setProperty(`--ax-branch-${m}`, colour));
    this.root.style.setProperty("--ax-chosen", this.colours[this.get("branch")]);
  }

  ramp(hex) {
    const table = colourTable(hex);
    return range(this.branches).map((m) => {
      const at = 3 * Math.round((255 * m) / (this.branches - 1));
      return `rgb(${table.subarray(at, at + 3).join(" ")})`;
    });
  }

  // The object's square with the corners that a pointer seems to pull, and each branch's kernel around the same centre.
  drawObject(width) {
    const { spec } = this;
    this.labels = []; // the names that stand on the photograph
    if (this.outlined && spec.fields) {
      const chosen = this.get("branch");
      spec.fields[this.get("block")].forEach((side, m) => {
        const [left, top, s] = this.square(side, width, this.bright[m], m === chosen ? 4 : 1.5);
        const odd = m % 2; // names at two corners in turn: squares may be close to one another
        this.haloText(spec.branchNames[m], left + odd * s, Math.max(12, top - 5), odd ? "right" : "left");
      });
    }
    const [left, top, s] = this.square(this.sizes[this.get("variant")], width, "#fff", 1.5, [2, 3]);
    for (const [x, y] of [[left, top], [left + s, top], [left, top + s], [left + s, top + s]]) {
      this.stageContext.fillStyle = "#000b";
      this.stageContext.fillRect(x - 5, y - 5, 10, 10);
      this.stageContext.fillStyle = "#fff";
      this.stageContext.fillRect(x - 3.5, y - 3.5, 7, 7);
    }
  }

  square(side, width, colour, thickness, dashes = []) {
    const pixel = width / this.spec.extent[1];
    const [top, left] = this.centre().map((c) => (c - side / 2) * pixel);
    const context = this.stageContext;
    context.setLineDash(dashes);
    for (const [stroke, wide] of [["#000b", thickness + 2], [colour, thickness]]) {
      context.strokeStyle = stroke;
      context.lineWidth = wide;
      context.strokeRect(left, top, side * pixel, side * pixel);
    }
    context.setLineDash([]);
    return [left, top, side * pixel];
  }

  showShares() {
    this.shares.forEach((bar, block) => {
      bar.forEach((part, m) => {
        const weight = this.weight(this.get("variant"), m, block);
        part.style.width = `${100 * weight}%`;
        say(part, weight.toFixed(3));
      });
    });
  }

  // Left and right end of the sizes' axis, in pixels of the plot.
  plotEnds(width) {
    return [AXIS + 14, width - 14];
  }

  drawPlot() {
    const [low, high] = this.spec.limits;
    const axes = this.axes(this.plot, low, high, roundTicks(low, high), 34);
    const { context, y, width, height } = axes;
    const { sizes, ink } = this;
    const [branch, variant] = [this.get("branch"), this.get("variant")];
    const [left, right] = this.plotEnds(width);
    const x = (v) => left + ((sizes[v] - sizes[0]) / (sizes.at(-1) - sizes[0])) * (right - left);
    const all = range(sizes.length);
    const path = (values) => all.forEach((v) => (v ? context.lineTo(x(v), y(values(v))) : context.moveTo(x(v), y(values(v)))));
    const line = (values, colour, thickness, alpha) => {
      context.beginPath();
      path(values);
      Object.assign(context, { strokeStyle: colour, lineWidth: thickness, globalAlpha: alpha, lineJoin: "round" });
      context.stroke();
      context.globalAlpha = 1;
    };
    this.plotGround(axes, x, left);
    const colour = this.colours[branch];
    const { mean, spread } = this.arrays;
    if (spread) {
      context.beginPath();
      path((v) => this.scenes("spread", v, 0));
      [...all].reverse().forEach((v) => context.lineTo(x(v), y(this.scenes("spread", v, 1))));
      Object.assign(context, { fillStyle: colour, globalAlpha: 0.2 });
      context.fill();
      context.globalAlpha = 1;
    }
    range(this.branches).forEach((m) => {
      if (m !== branch) line((v) => (mean ? this.scenes("mean", v, 0, m) : this.weight(v, m)), this.colours[m], 1.5, 0.55);
    });
    if (mean) line((v) => this.scenes("mean", v), colour, 2.5, 1);
    else line((v) => this.weight(v), colour, 1.5, 1);
    for (const v of all) {
      context.beginPath();
      context.arc(x(v), y(this.weight(v)), v === variant ? 6 : 3.5, 0, 7);
      Object.assign(context, { fillStyle: colour, strokeStyle: v === variant ? ink.text : ink.surface, lineWidth: v === variant ? 2 : 1 });
      context.fill();
      context.stroke();
    }
    context.fillStyle = ink.muted;
    context.textAlign = "center";
    context.fillText(`side of the ${this.spec.thing}, pixels`, (left + right) / 2, height - 4);
    const { branchNames, blockNames } = this.spec;
    say(this.plotTitle, `Weight of ${branchNames[branch]} in ${blockNames[this.get("block")]} (the axis runs from ${short(low)} to ${short(high)}, whatever you choose)`);
  }

  // The sizes along the axis, the size chosen, and the even share.
  plotGround({ context, y, width, bottom }, x, left) {
    const { ink, sizes } = this;
    const chosen = Math.round(x(this.get("variant")));
    context.fillStyle = ink.text;
    context.globalAlpha = 0.1;
    context.fillRect(chosen - 7, 4, 14, bottom - 4);
    context.globalAlpha = 1;
    context.textAlign = "center";
    let free = left - 20;
    sizes.forEach((size, v) => {
      context.fillStyle = v === this.get("variant") ? ink.text : ink.muted;
      context.fillRect(x(v) - 0.5, bottom, 1, 4);
      const wide = context.measureText(short(size)).width + 6;
      if (x(v) - wide / 2 < free) return;
      context.fillText(short(size), x(v), bottom + 15);
      free = x(v) + wide / 2;
    });
    this.evenShare({ context, y, width });
  }

  evenShare({ context, y, width }) {
    const even = Math.round(y(1 / this.branches)) + 0.5;
    context.setLineDash([4, 3]);
    context.strokeStyle = this.ink.muted;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(AXIS, even);
    context.lineTo(width, even);
    context.stroke();
    context.setLineDash([]);
  }

  drawChannels() {
    const [low, high] = this.spec.channelLimits;
    const axes = this.axes(this.channelChart, low, high, roundTicks(low, high, 4));
    const { context, y, step, gap } = axes;
    const { spec } = this;
    const [variant, chosen] = [this.get("variant"), this.chosenChannel()];
    const colour = this.colours[this.get("branch")];
    for (let c = 0; c < this.channels; c++) {
      const weights = this.sizes.map((_, v) => this.channelWeight(v, c));
      const [top, foot] = [y(Math.max(...weights)), y(Math.min(...weights))];
      context.fillStyle = colour;
      context.globalAlpha = 0.3;
      context.fillRect(AXIS + c * step, top, step - gap, foot - top);
      context.globalAlpha = 1;
      context.fillRect(AXIS + c * step, y(weights[variant]) - 1.5, step - gap, 3);
    }
    this.evenShare(axes);
    if (chosen >= 0) this.pickMark(axes, chosen);
    say(this.channelTitle, `Weight of ${spec.branchNames[this.get("branch")]} in each channel of ${spec.blockNames[this.get("block")]}`);
    this.sayChannel(this.channelChart, chosen, chosen < 0 ? "all channels" : `channel ${chosen}, weight ${number(this.channelWeight(variant, chosen))}`);
  }

  // ------------------------------------------------------------ words

  answerWords(variant) {
    if (!this.arrays.answers) return "";
    const { classNames } = this.spec;
    const at = (this.get("image") * this.sizes.length + variant) * classNames.length;
    const p = this.arrays.answers.subarray(at, at + classNames.length);
    const reads = p.indexOf(Math.max(...p));
    const verdict = !this.arrays.truth ? "" : this.arrays.truth[this.get("image")] === reads ? ", right" : ", wrong";
    return `${classNames[reads]} (probability ${number(p[reads], 2)})${verdict}`;
  }

  readOut() {
    const { spec } = this;
    const [variant, block, branch] = ["variant", "block", "branch"].map((trait) => this.get(trait));
    const name = spec.branchNames[branch];
    const mean = this.arrays.mean ? `; ${spec.meanName} ${number(this.scenes("mean", variant))}` : "";
    const gives = `${spec.blockNames[block]} gives ${name} a weight of ${number(this.weight(variant))}${mean} (even share ${short(1 / this.branches)}).`;
    const answer = this.answerWords(variant);
    this.read(`${spec.thing[0].toUpperCase()}${spec.thing.slice(1)} ${this.pixels(variant)} wide:`, gives, this.detail() + (answer && ` The net reads ${answer}.`));
  }

  detail() {
    const { sizes } = this;
    const [variant, channel] = [this.get("variant"), this.chosenChannel()];
    const weigh = channel < 0 ? (v) => this.weight(v) : (v) => this.channelWeight(v, channel);
    const [first, last] = [weigh(0), weigh(sizes.length - 1)];
    const move = last - first;
    const signed = `${move < 0 ? "−" : "+"}${number(Math.abs(move), 2)}`;
    const change = `from ${number(first)} at ${short(sizes[0])} pixels to ${number(last)} at ${short(sizes.at(-1))} (${signed})`;
    if (channel < 0) return `In this photograph it goes ${change}.`;
    return `Channel ${channel} alone: ${number(weigh(variant))}; ${change}.`;
  }

  sizeRows() {
    const { spec, sizes } = this;
    const branch = spec.branchNames[this.get("branch")];
    const head = ["side, pixels", ...spec.branchNames];
    if (this.arrays.mean) head.push(`${branch}, ${spec.meanName}`);
    if (this.arrays.spread) head.push(`${branch}, ${spec.spreadName}`);
    if (this.arrays.answers) head.push("the net reads");
    const body = sizes.map((size, v) => {
      const cells = [short(size), ...spec.branchNames.map((_, m) => number(this.weight(v, m)))];
      if (this.arrays.mean) cells.push(number(this.scenes("mean", v)));
      if (this.arrays.spread) cells.push(`${number(this.scenes("spread", v, 0))} to ${number(this.scenes("spread", v, 1))}`);
      if (this.arrays.answers) cells.push(this.answerWords(v));
      return cells;
    });
    return { caption: `${spec.blockNames[this.get("block")]}: the weight of each branch at each size of the ${spec.thing}, in this photograph, mean over channels`, head, body };
  }
}

KINDS.scales = Scales;
