// ---------------------------------------------------------------- slots of a shared memory

class Slots extends ChannelExplorer {
  constructor(model, root) {
    super(model, root, ["image", "memory", "query", "slot", "show"]);
    this.channels = this.spec.slots;
    this.values = new Float64Array(this.places);
    const magma = linearScale(0, 1);
    this.scales = { map: magma, both: { ...magma, table: colourTable("000000ffffff") } };
    this.outlined = false;
    this.build();
    this.start();
  }

  get chosen() {
    return "slot";
  }

  get noun() {
    return "Slot";
  }

  file() {
    return this.get("image");
  }

  allows(trait, value) {
    const { spec } = this;
    const whole = (low, high) => Number.isInteger(value) && value >= low && value < high;
    const known = {
      image: whole(0, spec.imageNames.length), memory: whole(0, spec.memoryNames.length), query: whole(0, this.places),
      slot: whole(-1, spec.slots), show: ["photograph", "both", "map", "slots"].includes(value),
    };
    return known[trait];
  }

  // Who presses on a place asks for its slot, whichever was chosen before.
  keep(trait, value) {
    if (trait === "query") super.keep("slot", -1);
    super.keep(trait, value);
  }

  build() {
    const { spec } = this;
    const status = this.makeStatus();
    const stage = this.makeGridStage("query", "Arrow keys move the place; with Shift five at a time.");
    this.chartTitle = element("div", { class: "ax-title" }, "What the place takes from each slot");
    this.chart = this.makeChannelChart();
    const shows = ["photograph", "both", "map", "slots"].map((value) => ({ value, label: value === "slots" ? "all slots" : value }));
    this.arrange(
      [],
      [stage, this.makeHint("Point at the photograph or at a bar; a press keeps it. Arrow keys work too."), this.makeBar()],
      [status, element("div", { class: "ax-charts" }, this.chartTitle, this.chart)],
      [
        this.photographChooser(),
        this.chooser("Memory", "memory", spec.memoryNames.map((label, value) => ({ label, value }))),
        this.chooser("Show", "show", shows),
        this.checkbox(`Outline the ${spec.regionName}`, (on) => (this.outlined = on), false),
      ],
      this.makeTable(() => this.slotRows()),
    );
  }

  // ------------------------------------------------------------ numbers

  shareAt(place, slot) {
    const block = this.get("image") * this.spec.memoryNames.length + this.get("memory");
    return this.arrays.weights[(block * this.places + place) * this.channels + slot] / 255;
  }

  slotOf(place) {
    return range(this.channels).reduce((a, b) => (this.shareAt(place, b) > this.shareAt(place, a) ? b : a));
  }

  shownSlot() {
    const slot = this.get("slot");
    return slot < 0 ? this.slotOf(this.get("query")) : slot;
  }

  covered(place) {
    return this.arrays.covers[this.get("image") * this.places + place] / 255;
  }

  // The places that take most from a slot, and their intersection over union with the region.
  group(slot) {
    let [count, both, either] = [0, 0, 0];
    range(this.places).forEach((place) => {
      const [inside, share] = [Number(this.slotOf(place) === slot), this.covered(place)];
      count += inside;
      both += Math.min(inside, share);
      either += Math.max(inside, share);
    });
    return { count, overlap: both / either };
  }

  // ------------------------------------------------------------ drawing

  draw() {
    const [show, slot] = [this.get("show"), this.shownSlot()];
    for (let place = 0; place < this.places; place++) this.values[place] = this.shareAt(place, slot);
    const [width, height] = this.paint(this.values, this.scales.map, show === "map" ? show : "photograph");
    if (show === "both") this.cover(width, height, (place) => `rgb(0 0 0 / ${0.88 * (1 - this.values[place])})`);
    if (show === "slots") this.cover(width, height, (place) => this.colour(this.slotOf(place), 0.72));
    if (this.outlined) this.outlineRegion(width, height);
    this.markPlace(this.get("query"), width, height);
    this.showBar(this.scales[show] ?? this.scales.map, `What each place takes from slot ${slot}`, this.scales[show] ? "map" : "photograph", [false, false]);
    this.drawChart(slot);
    this.readOut(slot);
    this.fillTable();
  }

  colour(slot, opacity = 1) {
    return `hsl(${(360 * slot) / this.channels} 62% ${slot % 2 ? 68 : 48}% / ${opacity})`;
  }

  // Places end at whole pixels: where two that are half clear met in one, a seam would be seen.
  cover(width, height, colour) {
    const edge = (i, n, size) => Math.round((i * size) / n);
    for (let row = 0; row < this.rows; row++) {
      for (let column = 0; column < this.columns; column++) {
        const [x, y] = [edge(column, this.columns, width), edge(row, this.rows, height)];
        this.stageContext.fillStyle = colour(row * this.columns + column);
        this.stageContext.fillRect(x, y, edge(column + 1, this.columns, width) - x, edge(row + 1, this.rows, height) - y);
      }
    }
  }

  outlineRegion(width, height) {
    const onGrid = (row, column) => row >= 0 && column >= 0 && row < this.rows && column < this.columns;
    const inside = (row, column) => onGrid(row, column) && this.covered(row * this.columns + column) > 0.5;
    const [w, h] = [width / this.columns, height / this.rows];
    const path = new Path2D();
    const line = (x0, y0, x1, y1) => {
      path.moveTo(x0 * w, y0 * h);
      path.lineTo(x1 * w, y1 * h);
    };
    for (let row = 0; row <= this.rows; row++) {
      for (let column = 0; column <= this.columns; column++) {
        if (inside(row, column) !== inside(row - 1, column)) line(column, row, column + 1, row);
        if (inside(row, column) !== inside(row, column - 1)) line(column, row, column, row + 1);
      }
    }
    for (const [colour, thickness] of [["#000a", 4], ["#fff", 1.5]]) {
      Object.assign(this.stageContext, { strokeStyle: colour, lineWidth: thickness, lineCap: "round" });
      this.stageContext.stroke(path);
    }
  }

  drawChart(slot) {
    const axes = this.axes(this.chart, 0, 1, [0, 0.5, 1], 22);
    const { context, y, step, gap } = axes;
    const query = this.get("query");
    context.textAlign = "center";
    range(this.channels).forEach((s) => {
      const share = this.shareAt(query, s);
      context.fillStyle = this.colour(s);
      context.fillRect(AXIS + s * step, y(share), step - 2 * gap, y(0) - y(share));
      context.fillStyle = s === slot ? this.ink.text : this.ink.muted;
      context.fillText(String(s), AXIS + (s + 0.5) * step, y(0) + 12);
    });
    this.pickMark(axes, slot);
    this.sayChannel(this.chart, slot, `slot ${slot}: ${number(this.shareAt(query, slot), 2)} of what the place takes`);
  }

  readOut(slot) {
    const query = this.get("query");
    const own = this.slotOf(query);
    const { count, overlap } = this.group(slot);
    const takes = `the place at ${this.where(query)} takes ${number(this.shareAt(query, slot), 2)} from it`;
    const most = own === slot ? "." : `, most (${number(this.shareAt(query, own), 2)}) from slot ${own}.`;
    this.read(`Slot ${slot}:`, takes + most, `${count} of ${this.places} places take most from it. Overlap (IoU) with the ${this.spec.regionName}: ${overlap.toFixed(2)}.`);
  }

  slotRows() {
    const query = this.get("query");
    const rows = range(this.channels).map((slot) => ({ slot, ...this.group(slot) }));
    return {
      caption: `Each slot: what the place at ${this.where(query)} takes from it; how many places take most from it, and their overlap with the ${this.spec.regionName}`,
      head: ["slot", "taken", "places", "overlap"],
      body: rows.map(({ slot, count, overlap }) => [slot, number(this.shareAt(query, slot), 2), count, overlap.toFixed(2)].map(String)),
    };
  }
}

KINDS.slots = Slots;
