// ---------------------------------------------------------------- table

const SHAPES = ["M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z", "M-4.6-4.6h9.2v9.2h-9.2z", "M0-5.8 5.6 4.4H-5.6z", "M0-6.2 6.2 0 0 6.2-6.2 0z"];
const PLOT = { left: 58, right: 14, top: 12, bottom: 44 }; // px around the plot's ground
const MANY = 5; // columns that a table shows at once on a desktop, about

class Table extends Explorer {
  constructor(model, root) {
    super(model, root, ["x", "y", "sort", "descending", "row", "hidden", "filter", "bound"]);
    this.columns = this.spec.columns;
    const columns = this.columns.map((column, value) => ({ label: column.name, value }));
    const status = this.makeStatus();
    const plot = this.makePlot();
    const axes = element("div", { class: "ax-axes" }, this.menu("Across", "x", columns), this.menu("Up", "y", columns));
    this.arrange([this.makeGroups(), this.makeFilter(columns)], [axes, plot], [status, this.makeHint(`Press a heading to sort${columns.length > MANY ? "; scroll the table sideways for its other columns" : ""}. Choose a row or a mark with a finger, the pointer, or Tab and the arrow keys.`)], [], this.makeRows());
    this.start();
    const observer = new ResizeObserver(() => this.touch()); // the plot's own width changes when the columns do
    observer.observe(this.plot.parentElement);
    this.closers.push(() => observer.disconnect());
  }

  // ------------------------------------------------------------ which rows

  makeGroups() {
    if (this.spec.kinds.length < 2) return "";
    const boxes = this.spec.kinds.map((kind, i) => {
      const box = element("input", { type: "checkbox", onchange: () => {
        const hidden = this.get("hidden").filter((name) => name !== kind);
        this.set("hidden", box.checked ? hidden : [...hidden, kind]);
      } });
      this.controls.push(() => (box.checked = !this.get("hidden").includes(kind)));
      return element("label", { class: "ax-check" }, box, this.mark(i), kind);
    });
    return element("fieldset", { class: "ax-choice" }, element("legend", {}, "Show"), element("div", { class: "ax-row" }, ...boxes));
  }

  makeFilter(columns) {
    const id = freshId();
    const steps = 100;
    const choice = this.menu("Keep only rows by", "filter", [{ label: "nothing", value: -1 }, ...columns]);
    const select = choice.querySelector("select");
    select.addEventListener("change", () => this.set("bound", this.keepAll(Number(this.get("filter")))));
    const input = element("input", { type: "range", id, min: 0, max: steps, oninput: () => this.set("bound", this.along(this.get("filter"), input.value / steps)) });
    const words = element("b");
    const slider = element("div", { class: "ax-choice ax-slider" }, element("label", { for: id }, words), element("div", { class: "ax-row" }, input));
    this.controls.push(() => {
      const column = this.get("filter");
      slider.hidden = column < 0;
      if (column < 0) return;
      input.value = Math.round(steps * this.fraction(column, this.get("bound")));
      const text = `at ${this.columns[column].better === "lower" ? "most" : "least"} ${number(this.get("bound"))}`;
      say(words, text);
      input.setAttribute("aria-valuetext", text);
    });
    return element("div", { class: "ax-filter" }, choice, slider);
  }

  // The bound that keeps every row.
  keepAll(column) {
    if (column < 0) return 0;
    const [low, high] = this.ends(column);
    return this.columns[column].better === "lower" ? high : low;
  }

  // Fixed ends of a column's axis: its values and the ends of their intervals, with a little room.
  ends(column) {
    const cells = this.spec.cells.map((row) => row[column]).filter((cell) => cell.value !== undefined);
    const all = cells.flatMap((cell) => [cell.value, ...(cell.points ?? [])]);
    let [low, high] = [Math.min(...all), Math.max(...all)];
    if (this.columns[column].log) return [low / 1.15, high * 1.15];
    if (low >= 0 && high <= 1.0001) [low, high] = [0, 1];
    else if (low > 0 && low < high / 2) low = 0;
    return low === high ? [low - 1, high + 1] : [low, low === 0 && high === 1 ? 1 : high + (high - low) * 0.06];
  }

  fraction(column, value) {
    const f = this.columns[column].log ? Math.log : (x) => x;
    const [low, high] = this.ends(column).map(f);
    return clamp((f(value) - low) / (high - low), 0, 1);
  }

  along(column, u) {
    const [low, high] = this.ends(column);
    return this.columns[column].log ? low * (high / low) ** u : low + u * (high - low);
  }

  isKept(row) {
    if (this.get("hidden").includes(this.spec.groups[row])) return false;
    const column = this.get("filter");
    if (column < 0) return true;
    const { value } = this.spec.cells[row][column];
    const slack = 1e-9 * Math.abs(this.get("bound"));
    if (value === undefined) return false;
    return this.columns[column].better === "lower" ? value <= this.get("bound") + slack : value >= this.get("bound") - slack;
  }

  order() {
    const column = this.get("sort");
    const rows = range(this.spec.rows.length);
    if (column < 0) return rows;
    const sign = this.get("descending") ? -1 : 1;
    const value = (row) => this.spec.cells[row][column].value;
    return rows.sort((a, b) => {
      if (value(a) === undefined || value(b) === undefined) return (value(a) === undefined) - (value(b) === undefined);
      return sign * (value(a) - value(b)) || a - b;
    });
  }

  // ------------------------------------------------------------ the table

  makeRows() {
    const heads = this.columns.map((column, k) => {
      const arrow = element("span", { class: "ax-arrow", "aria-hidden": "true" });
      const button = element("button", { type: "button", title: column.unit, onclick: () => {
        if (this.get("sort") === k) this.set("descending", !this.get("descending"));
        else {
          this.set("descending", column.better !== "lower");
          this.set("sort", k);
        }
      } }, column.name, arrow);
      const head = element("th", { scope: "col" }, button);
      this.controls.push(() => {
        const sorted = this.get("sort") === k;
        head.setAttribute("aria-sort", sorted ? (this.get("descending") ? "descending" : "ascending") : "none");
        say(arrow, sorted ? (this.get("descending") ? " ↓" : " ↑") : "");
      });
      return head;
    });
    this.lineOf = this.spec.rows.map((name, r) => this.makeRow(name, r));
    this.body = element("tbody", {}, ...this.lineOf);
    const table = element("table", { class: "ax-grid", "aria-label": this.spec.caption || "Table" }, element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "row"), ...heads)), this.body);
    // Outside of what scrolls: on a phone a caption as wide as its table is cut.
    return element("div", {}, element("div", { class: "ax-title" }, this.spec.caption), element("div", { class: "ax-scroll", tabindex: 0, role: "region", "aria-label": this.spec.caption || "Table" }, table));
  }

  makeRow(name, r) {
    const link = this.spec.links[r];
    const title = link ? element("a", { href: link }, name) : name;
    const cells = this.spec.cells[r].map((cell, k) => this.makeCell(cell, k));
    const line = element("tr", { tabindex: 0 }, element("th", { scope: "row" }, this.mark(this.spec.kinds.indexOf(this.spec.groups[r])), title), ...cells);
    line.addEventListener("focus", () => this.keep("row", r));
    line.addEventListener("click", () => this.keep("row", r));
    line.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && this.hover(r));
    line.addEventListener("pointerleave", () => this.unhover());
    line.addEventListener("keydown", (event) => {
      const shown = [...this.body.children].filter((node) => !node.hidden);
      const to = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const next = to && shown[shown.indexOf(line) + to];
      if (!next || event.target !== line) return;
      event.preventDefault();
      next.focus();
    });
    return line;
  }

  makeCell(cell, k) {
    if (cell.value === undefined) return element("td", { class: "ax-missing" }, element("span", { title: cell.why }, "–"));
    const half = !cell.ends || cell.ends[0] === cell.ends[1] ? null : element("small", {}, ` ${cell.ends[0]}–${cell.ends[1]}`);
    const bar = element("i", { class: "ax-level", style: `width:${(100 * this.fraction(k, cell.value)).toFixed(1)}%`, "aria-hidden": "true" });
    return element("td", {}, cell.text, half, bar);
  }

  hover(row) {
    this.hovering = "row";
    this.set("row", row);
    this.drawAll(performance.now());
  }

  unhover() {
    if (this.hovering === "row") this.keep("row", this.kept.row);
  }

  // ------------------------------------------------------------ the plot

  mark(kind) {
    const icon = this.svg("svg", { viewBox: "-8 -8 16 16", width: 16, height: 16, class: `ax-mark ax-kind${kind}`, "aria-hidden": "true" });
    icon.append(this.svg("path", { d: SHAPES[kind] }));
    return icon;
  }

  svg(tag, attributes) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  }

  makePlot() {
    this.plot = this.svg("svg", { class: "ax-plot", role: "group", "aria-label": "Two columns against each other, one mark a row" });
    this.ground = this.svg("g", {});
    this.plot.append(this.ground);
    this.marks = this.spec.rows.map((name, r) => {
      const kind = this.spec.kinds.indexOf(this.spec.groups[r]);
      const group = this.svg("g", { class: `ax-point ax-kind${kind}`, tabindex: 0, role: "button" });
      const [across, up] = [0, 1].map(() => this.svg("line", { class: "ax-whisker" }));
      const singles = this.svg("g", { class: "ax-singles" });
      const shape = this.svg("path", { d: SHAPES[kind], class: "ax-shape" });
      const target = this.svg("circle", { r: 16, class: "ax-target" });
      const label = this.svg("text", { class: "ax-label" });
      label.textContent = name;
      group.append(across, up, singles, shape, label, target);
      group.addEventListener("focus", () => this.keep("row", r));
      group.addEventListener("click", () => this.keep("row", r));
      group.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && this.hover(r));
      group.addEventListener("pointerleave", () => this.unhover());
      this.plot.append(group);
      return { group, across, up, singles, shape, label, target };
    });
    return this.plot;
  }

  drawPlot() {
    const width = Math.max(260, this.plot.parentElement.clientWidth);
    const height = Math.round(clamp(width * 0.72, 260, 420));
    const [x, y] = [this.get("x"), this.get("y")];
    const at = {
      x: (v) => PLOT.left + this.fraction(x, v) * (width - PLOT.left - PLOT.right),
      y: (v) => height - PLOT.bottom - this.fraction(y, v) * (height - PLOT.top - PLOT.bottom),
    };
    const ground = [width, height, x, y].join();
    if (this.laid !== ground) {
      this.laid = ground;
      this.plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.plot.style.height = `${height}px`;
      this.layAxes(width, height, x, y, at);
      this.marks.forEach((mark, r) => this.placeMark(mark, r, x, y, at));
    }
    const chosen = this.get("row");
    this.marks.forEach((mark, r) => {
      const [a, b] = [this.spec.cells[r][x], this.spec.cells[r][y]];
      const seen = this.isKept(r) && a.value !== undefined && b.value !== undefined;
      mark.group.style.display = seen ? "" : "none";
      mark.seen = seen;
      mark.group.classList.toggle("ax-chosen", r === chosen);
      if (seen) mark.group.setAttribute("aria-label", `${this.spec.rows[r]}: ${this.columns[x].name} ${a.text}, ${this.columns[y].name} ${b.text}`);
    });
    this.placeLabels(width, height);
  }

  ticks(column) {
    const [low, high] = this.ends(column);
    if (!this.columns[column].log) return roundTicks(low, high, 5).filter((v) => v >= low - 1e-9 && v <= high + 1e-9);
    const decades = range(20).flatMap((i) => [1, 2, 5].map((m) => m * 10 ** (i - 6))).filter((v) => v >= low && v <= high);
    return decades.length > 6 ? decades.filter((v) => Math.abs(Math.log10(v) % 1) < 1e-9) : decades;
  }

  layAxes(width, height, x, y, at) {
    const nodes = [];
    const text = (words, attributes) => {
      const node = this.svg("text", attributes);
      node.textContent = words;
      nodes.push(node);
    };
    const bottom = height - PLOT.bottom;
    for (const v of this.ticks(x)) {
      nodes.push(this.svg("line", { x1: at.x(v), x2: at.x(v), y1: PLOT.top, y2: bottom, class: "ax-gridline" }));
      text(short(v), { x: at.x(v), y: bottom + 16, "text-anchor": "middle", class: "ax-tick" });
    }
    for (const v of this.ticks(y)) {
      nodes.push(this.svg("line", { x1: PLOT.left, x2: width - PLOT.right, y1: at.y(v), y2: at.y(v), class: "ax-gridline" }));
      text(short(v), { x: PLOT.left - 6, y: at.y(v) + 4, "text-anchor": "end", class: "ax-tick" });
    }
    text(this.columns[x].unit, { x: (PLOT.left + width - PLOT.right) / 2, y: height - 6, "text-anchor": "middle", class: "ax-axis" });
    text(this.columns[y].unit, { transform: `translate(13 ${(PLOT.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle", class: "ax-axis" });
    this.ground.replaceChildren(...nodes);
  }

  placeMark(mark, r, x, y, at) {
    const [a, b] = [this.spec.cells[r][x], this.spec.cells[r][y]];
    if (a.value === undefined || b.value === undefined) return;
    [mark.px, mark.py] = [at.x(a.value), at.y(b.value)];
    mark.shape.setAttribute("transform", `translate(${mark.px} ${mark.py})`);
    mark.target.setAttribute("cx", mark.px);
    mark.target.setAttribute("cy", mark.py);
    const line = (node, from) => Object.entries(from).forEach(([name, value]) => node.setAttribute(name, value));
    const none = { x1: mark.px, x2: mark.px, y1: mark.py, y2: mark.py };
    line(mark.across, a.low === undefined ? none : { x1: at.x(a.low), x2: at.x(a.high), y1: mark.py, y2: mark.py });
    line(mark.up, b.low === undefined ? none : { x1: mark.px, x2: mark.px, y1: at.y(b.low), y2: at.y(b.high) });
    const count = Math.max(a.points?.length ?? 0, b.points?.length ?? 0);
    mark.singles.replaceChildren(...range(count).map((s) => this.svg("circle", { r: 2, cx: at.x(a.points?.[s] ?? a.value), cy: at.y(b.points?.[s] ?? b.value) })));
  }

  // Beside its mark, on the first side where it covers no other name and no mark. Where there is none, the name is
  // seen only while its mark is chosen.
  placeLabels(width, height) {
    const seen = this.marks.filter((mark) => mark.seen);
    const taken = seen.map(({ px, py }) => [px - 6, py - 6, px + 6, py + 6]);
    for (const mark of seen) {
      const w = mark.label.getComputedTextLength();
      const sides = [[9, 4, "start"], [-9, 4, "end"], [0, -11, "middle"], [0, 19, "middle"], [9, -9, "start"], [9, 16, "start"], [-9, -9, "end"], [-9, 16, "end"], ...[-22, 29, -35, 42].flatMap((dy) => [[9, dy, "start"], [-9, dy, "end"]])];
      const box = ([dx, dy, anchor]) => {
        const left = mark.px + dx - (anchor === "end" ? w : anchor === "middle" ? w / 2 : 0);
        return [left, mark.py + dy - 10, left + w, mark.py + dy + 3];
      };
      const free = (b) => b[0] >= PLOT.left && b[2] <= width && b[1] >= 0 && b[3] <= height - PLOT.bottom + 4 && taken.every((t) => b[2] < t[0] || b[0] > t[2] || b[3] < t[1] || b[1] > t[3]);
      const found = sides.find((s) => free(box(s)));
      const side = found ?? sides[mark.px > width / 2 ? 1 : 0];
      if (found) taken.push(box(found));
      mark.group.classList.toggle("ax-crowded", !found);
      mark.label.setAttribute("x", mark.px + side[0]);
      mark.label.setAttribute("y", mark.py + side[1]);
      mark.label.setAttribute("text-anchor", side[2]);
    }
  }

  // ------------------------------------------------------------ a frame

  draw() {
    const order = this.order();
    if (order.some((r, i) => this.body.children[i] !== this.lineOf[r])) {
      const focused = this.root.contains(document.activeElement) ? document.activeElement : null;
      this.body.append(...order.map((r) => this.lineOf[r]));
      if (focused && document.activeElement !== focused) focused.focus();
    }
    const chosen = this.get("row");
    const kept = order.filter((r) => this.isKept(r));
    this.lineOf.forEach((line, r) => {
      line.hidden = !kept.includes(r);
      line.classList.toggle("ax-chosen", r === chosen);
    });
    this.drawPlot();
    this.readOut(kept);
  }

  readOut(kept) {
    const all = this.spec.rows.length;
    const count = kept.length === all ? `All ${all} rows are shown.` : `${kept.length} of ${all} rows are shown.`;
    const row = this.get("row");
    if (row < 0) return this.read(count, "", "Choose a row or a mark to read its numbers.");
    const said = [this.get("x"), this.get("y")].filter((k, i, both) => both.indexOf(k) === i).map((k) => this.words(row, k));
    this.read(`${this.spec.rows[row]}, ${this.spec.groups[row]}.`, said.join(" "), count);
  }

  words(row, k) {
    const [cell, column] = [this.spec.cells[row][k], this.columns[k]];
    if (cell.value === undefined) return `${column.name}: none, ${cell.why}.`;
    const spread = cell.ends && cell.ends[0] !== cell.ends[1];
    const ends = !spread ? "" : `, ${this.spec.intervalName} ${cell.ends.join(" to ")}`;
    const each = cell.each && spread ? `, ${this.spec.pointsName} ${cell.each.join(", ")}` : "";
    return `${column.unit}: ${cell.text}${ends}${each}.`;
  }
}

KINDS.table = Table;
