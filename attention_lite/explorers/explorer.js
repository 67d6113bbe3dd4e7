// ---------------------------------------------------------------- what all explorers share

class Explorer {
  constructor(model, root, traits) {
    this.model = model;
    this.root = root;
    this.spec = model.get("spec");
    const data = model.get("data");
    const buffer = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
    this.arrays = {};
    for (const [name, entry] of Object.entries(this.spec.arrays)) {
      this.arrays[name] = entry.files ? new Photographs(entry, buffer) : readArray(entry, buffer);
    }
    this.photographs = this.arrays.images;
    this.controls = [];
    this.kept = {};
    this.hovering = null;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.closers = [];
    this.canvasSizes = new WeakMap();
    this.sized = new ResizeObserver((entries) => {
      for (const { target } of entries) this.canvasSizes.set(target, [target.clientWidth, target.clientHeight]);
      this.touch();
    });
    this.closers.push(() => this.sized.disconnect());
    for (const trait of traits) this.listen(trait);
    this.watchTheme();
  }

  start() {
    const observer = new ResizeObserver(this.look); // also when the root first comes into the page
    observer.observe(this.root);
    this.closers.push(() => observer.disconnect());
    this.touch();
    this.address = new Address(this);
  }

  // What a state sets besides what it names.
  completed(state) {
    return state;
  }

  // Whether an address may set a trait to this value; a kind that knows more says so.
  allows(trait, value) {
    return typeof value === typeof this.get(trait);
  }

  close() {
    this.closers.forEach((closer) => closer());
    cancelAnimationFrame(this.frame);
  }

  get(trait) {
    return this.model.get(trait);
  }

  set(trait, value) {
    if (this.get(trait) === value) return;
    this.model.set(trait, value);
    if (this.saving) return;
    this.model.save_changes();
    this.saving = setTimeout(() => {
      this.saving = null;
      this.model.save_changes();
    }, SAVE_EVERY);
  }

  listen(trait) {
    const changed = () => {
      if (this.hovering !== trait) this.kept[trait] = this.get(trait);
      this.touch();
    };
    this.kept[trait] = this.get(trait);
    this.model.on(`change:${trait}`, changed);
    this.closers.push(() => this.model.off(`change:${trait}`, changed));
  }

  // What is fetched when it is asked for: from the kernel, or from a script beside the page.
  async bytesOf(name) {
    const held = this.model.get("maps")?.[name];
    if (held) return new Uint8Array(held.buffer, held.byteOffset, held.byteLength);
    await pageShown;
    return fetchScript(this.spec.scripts[name]);
  }

  touch() {
    this.frame ??= requestAnimationFrame((now) => this.drawAll(now));
  }

  drawAll(now) {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    if (this.root.isConnected) this.renew(now);
  }

  renew(now) {
    for (const sync of this.controls) sync();
    this.draw(now);
  }

  // The page's own text colour tells whether it is dark, whatever the site: book, JupyterLab, VS Code, Colab.
  watchTheme() {
    const look = () => {
      const [r, g, b] = getComputedStyle(this.root.parentElement).color.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0];
      this.root.dataset.theme = 0.2126 * r + 0.7152 * g + 0.0722 * b > 127 ? "dark" : "light";
      const style = getComputedStyle(this.root);
      this.ink = {};
      for (const name of ["text", "muted", "line", "accent", "before", "after", "surface"]) {
        this.ink[name] = style.getPropertyValue(`--ax-${name}`).trim();
      }
      this.touch();
    };
    const observer = new MutationObserver(look);
    for (const node of [document.documentElement, document.body]) observer.observe(node, { attributes: true });
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", look);
    this.closers.push(() => observer.disconnect(), () => system.removeEventListener("change", look));
    this.look = look;
    look();
  }

  // What to choose above; the photograph beside what it says; how to paint it below; on a phone one after another.
  arrange(top, photograph, reading, painting, table) {
    const part = (name, nodes) => element("div", { class: name }, ...nodes);
    const body = part("ax-body", [part("ax-photograph", photograph), part("ax-reading", reading), part("ax-painting", painting)]);
    this.root.replaceChildren(part("ax-top", top), body, table);
  }

  makeHint(text) {
    return element("p", { class: "ax-hint" }, text);
  }

  // ------------------------------------------------------------ controls

  chooser(label, trait, options) {
    if (options.length < 2) return null;
    if (options.length > MOST_SEGMENTS && options.every((option) => option.file == null)) return this.menu(label, trait, options);
    const name = freshId();
    const inputs = options.map((option, i) =>
      element("input", { type: "radio", name, value: i, onchange: () => this.set(trait, option.value) }),
    );
    const segments = options.map((option, i) => {
      const picture = option.file == null ? null : element("img", { src: this.thumbnail(option.file), alt: "", class: "dark-light" });
      const swatch = option.colour && option.colour !== "currentColor" ? element("i", { class: "ax-dot", style: `background:${option.colour}` }) : null;
      const words = element("span", { class: picture ? "ax-caption" : false }, option.label);
      return element("label", { class: picture ? "ax-thumb" : "ax-segment" }, inputs[i], element("span", { class: "ax-face" }, picture, swatch, words));
    });
    this.controls.push(() => inputs.forEach((input, i) => (input.checked = options[i].value === this.get(trait))));
    return element("fieldset", { class: "ax-choice" }, element("legend", {}, label), element("div", { class: "ax-segments" }, ...segments));
  }

  // `none` is what the menu says while the trait is at none of the options.
  menu(label, trait, options, none) {
    const id = freshId();
    const items = options.map((option, i) => element("option", { value: i }, option.label));
    if (none) items.unshift(element("option", { value: -1, disabled: true }, none));
    const select = element("select", { id, onchange: () => this.set(trait, options[select.value].value) }, ...items);
    this.controls.push(() => (select.value = options.findIndex((option) => option.value === this.get(trait))));
    return element("div", { class: "ax-choice" }, element("label", { for: id }, label), select);
  }

  // A slider of whole steps; `read` tells the step it stands at, and in words what that step means.
  slider(label, steps, ends, slide, read, ...more) {
    const id = freshId();
    const moved = () => {
      slide(Number(input.value));
      this.drawAll(performance.now());
    };
    const input = element("input", { type: "range", id, min: 0, max: steps, oninput: moved });
    const value = element("b");
    this.controls.push(() => {
      const [step, words] = read();
      if (step !== Number(input.value)) input.value = step;
      input.setAttribute("aria-valuetext", words);
      say(value, words);
    });
    const [low, high] = ends.map((end) => element("span", { class: "ax-end" }, end));
    return element("div", { class: "ax-choice ax-slider" }, element("label", { for: id }, `${label} `, value), element("div", { class: "ax-row" }, low, input, high, ...more));
  }

  // A mark that the reader can set or take away; what it says is no state of the model.
  checkbox(label, changed, checked = true) {
    const box = element("input", { type: "checkbox", checked, onchange: () => { changed(box.checked); this.touch(); } });
    return element("label", { class: "ax-check" }, box, label);
  }

  keep(trait, value) {
    this.hovering = null;
    this.kept[trait] = value;
    this.set(trait, value);
  }

  // A mouse that hovers looks, a press keeps; a finger or a drag keeps as it goes. Browsers send pointer moves once a
  // frame, just before it is painted: drawn here, the answer stands in that very frame.
  pointable(node, trait, at) {
    node.addEventListener("pointerdown", (event) => {
      if (event.isTrusted) node.setPointerCapture(event.pointerId);
      this.keep(trait, at(event));
      this.drawAll(performance.now());
    });
    node.addEventListener("pointermove", (event) => {
      if (event.buttons) this.keep(trait, at(event));
      else if (event.pointerType !== "touch") {
        this.hovering = trait;
        this.set(trait, at(event));
      }
      this.drawAll(performance.now());
    });
    node.addEventListener("pointerleave", () => {
      if (this.hovering === trait) this.keep(trait, this.kept[trait]);
    });
  }

  // ------------------------------------------------------------ canvases, read-out, table

  // Sizes are kept: to ask for one while a frame is drawn would have the browser lay the page out once more.
  sizeCanvas(canvas, given) {
    const ratio = Math.max(1, window.devicePixelRatio);
    if (!this.canvasSizes.has(canvas)) {
      this.canvasSizes.set(canvas, [canvas.clientWidth, canvas.clientHeight]);
      this.sized.observe(canvas);
    }
    const [width, own] = this.canvasSizes.get(canvas);
    const height = given ?? own;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    return [width, height];
  }

  makeStatus() {
    this.lines = [element("b"), element("span"), element("span")];
    const [lead, rest, more] = this.lines;
    this.status = element("div", { class: "ax-status", role: "status", id: freshId(), "aria-live": "polite" });
    this.status.append(element("p", {}, lead, " ", rest), element("p", {}, more));
    return this.status;
  }

  // Seen at once, announced when it has settled: a moving pointer must not flood a screen reader.
  read(...texts) {
    if (texts.every((text, i) => this.lines[i].textContent === text)) return;
    this.status.setAttribute("aria-busy", "true");
    texts.forEach((text, i) => say(this.lines[i], text));
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.status.removeAttribute("aria-busy"), SETTLED);
  }

  makeTable(rows) {
    this.table = element("table");
    this.details = element("details", { class: "ax-values", ontoggle: () => this.touch() });
    this.details.append(element("summary", {}, "Values as a table"), element("div", { class: "ax-scroll", tabindex: 0, role: "group", "aria-label": "Values as a table" }, this.table));
    this.tableRows = rows;
    return this.details;
  }

  fillTable() {
    if (!this.details.open || this.filling) return;
    this.filling = setTimeout(() => {
      this.filling = null;
      const { caption, head, body } = this.tableRows();
      const cells = (row, tag, scope) => element("tr", {}, ...row.map((cell) => element(tag, { scope }, cell)));
      this.table.replaceChildren(
        element("caption", {}, caption),
        element("thead", {}, cells(head, "th", "col")),
        element("tbody", {}, ...body.map((row) => cells(row, "td"))),
      );
    }, 150);
  }
}
