// ---------------------------------------------------------------- the live explorer's controls: one a cause
//
// "drag", "gate" and "query" have none: they are done in the picture or in a view.

const CONTROLS = {
  scene: (live) => live.chooser("Picture", "scene", live.spec.names.map((label, value) => ({ label, value, file: value }))),
  frame: (live) => colourChooser(live, "Frame", "frame"),
  disc: (live) => colourChooser(live, "Disc", "disc"),
  company: (live) => live.chooser("Right halves of the dotted flags", "company", ["their own", "passed on", "passed on twice"].map((label, value) => ({ value, label }))),
  size: (live) => digitSlider(live, "Size of the digit", "sides", "side", live.spec.sides, (v) => `${v.toFixed(0)} pixels`, 1),
  opacity: (live) => digitSlider(live, "Opacity of the digit", "opacities", "opacity", [0, 1], (v) => v.toFixed(2), 0.02),
  gates: (live) => exchange(live, "Gates in place", "gates"),
  map: (live) => exchange(live, "Map in place", "map"),
  rows: (live) => exchange(live, "Gates of rows in place", "rows"),
  columns: (live) => exchange(live, "Gates of columns in place", "columns"),
  position: (live) => exchange(live, "A in place: places from places", "position"),
  channel_to_channel: (live) => exchange(live, "R in place: channels from channels", "channel_to_channel"),
  ink: (live) => digitPad(live),
  ground: (live) => live.photograph.makeControl(),
  paint: (live) => brush(live),
  sums: (live) => exchange(live, "Sums in place", "sums"),
  block: (live) => live.chooser("Forced in", "block", [...Object.entries(live.spec.blocks).map(([value, label]) => ({ value, label })), { value: "", label: "all" }]),
  forbid: (live) => forbidding(live),
  off: (live) => switches(live),
  kernel: (live) => kernelSliders(live),
  shuffle: (live) => live.chooser("Channels", "shuffled", [{ value: false, label: "in order" }, { value: true, label: "shuffled" }]),
  seed: (live) => live.chooser("Training", "seed", live.spec.seeds.map((value) => ({ value, label: String(value) }))),
  training: (live) => live.chooser("Its weights", "trained", [{ value: true, label: "trained" }, { value: false, label: "before training" }]),
  // In the order of the networks: a notebook sorts the keys of a table.
  control: (live) => live.chooser("Block", "model", [...new Set(live.spec.networks.map(({ model }) => model))].map((value) => ({ value, label: live.spec.models[value] }))),
};

const exchange = (live, label, trait) => live.menu(label, trait, live.spec.choices[trait].map(([value, words]) => ({ value, label: words })));

// The frame or the disc in the palette's colours; the scene's own colour stands under the name that it is nearest to.
function colourChooser(live, label, trait) {
  const names = live.spec.offered;
  const node = element("fieldset", { class: "ax-choice" }, element("legend", {}, label));
  const name = freshId();
  const inputs = names.map((colour) => element("input", { type: "radio", name, onchange: () => live.set(trait, colour === live.scene().cue ? "" : colour) }));
  const face = (colour) => element("span", { class: "ax-face" }, element("i", { class: "ax-dot", style: `background:${INKS[colour]}` }), element("span", {}, colour));
  node.append(element("div", { class: "ax-segments" }, ...names.map((colour, i) => element("label", { class: "ax-segment" }, inputs[i], face(colour)))));
  live.controls.push(() => inputs.forEach((input, i) => (input.checked = names[i] === (live.get(trait) || live.scene().cue))));
  return node;
}

// A slider for what a scene's one digit has.
function digitSlider(live, label, trait, field, [low, high], words, step) {
  const steps = Math.round((high - low) / step);
  const value = () => live.get(trait)[0] ?? live.scene()[field][0];
  return live.slider(label, steps, [String(low), String(high)], (i) => live.set(trait, { 0: Number((low + i * step).toFixed(2)) }), () => [Math.round((value() - low) / step), words(value())]);
}

// Things whose places no query may read, and single places: the one that asks.
function forbidding(live) {
  const things = [...(live.spec.scenes[0].disc_yx ? ["disc"] : []), "digits", "ground"];
  const boxes = things.map((thing) => element("input", { type: "checkbox", onchange: () => toggle(live, "forbid", thing) }));
  const place = element("button", { type: "button", onclick: () => toggle(live, "forbid", live.query()) });
  live.controls.push(() => {
    boxes.forEach((box, i) => (box.checked = live.get("forbid").includes(things[i])));
    if (live.run) say(place, live.get("forbid").includes(live.query()) ? "allow the asking place" : "forbid the asking place");
  });
  const heads = live.spec.heads < 2 ? null : live.menu("Forbidden to", "forbid_head", [{ value: -1, label: "all heads" }, ...range(live.spec.heads).map((value) => ({ value, label: `head ${value} alone` }))]);
  return element("fieldset", { class: "ax-choice" }, element("legend", {}, "Nobody may read"), element("div", { class: "ax-checks" }, ...boxes.map((box, i) => element("label", { class: "ax-check" }, box, `the ${things[i]}`)), place, heads));
}

// What a press on a place does to its gate.
function brush(live) {
  const name = freshId();
  const strokes = [["", "looks"], [0, "shuts the place"], [1, "opens it"]];
  const inputs = strokes.map(([value]) => element("input", { type: "radio", name, checked: value === "", onchange: () => (live.brush = value) }));
  live.brush = "";
  const wipe = element("button", { type: "button", onclick: () => live.set("painted", {}) }, "wipe the paint away");
  live.controls.push(() => (wipe.disabled = !Object.keys(live.get("painted")).length));
  return element("fieldset", { class: "ax-choice" }, element("legend", {}, "A press on the picture, or Enter,"), element("div", { class: "ax-segments" }, ...strokes.map(([, words], i) => element("label", { class: "ax-segment" }, inputs[i], element("span", { class: "ax-face" }, words)))), wipe);
}

function switches(live) {
  const names = Object.keys(live.spec.switches);
  const boxes = names.map((name) => element("input", { type: "checkbox", onchange: () => toggle(live, "off", name) }));
  live.controls.push(() => boxes.forEach((box, i) => (box.checked = live.get("off").includes(names[i]))));
  return element("fieldset", { class: "ax-choice" }, element("legend", {}, "Switched off"), element("div", { class: "ax-checks" }, ...boxes.map((box, i) => element("label", { class: "ax-check" }, box, live.spec.switches[names[i]].label))));
}

function toggle(live, trait, item) {
  const now = live.get(trait);
  live.set(trait, now.includes(item) ? now.filter((other) => other !== item) : [...now, item]);
}

// The weights of ECA's kernel, each by a slider.
function kernelSliders(live) {
  const own = () => Array.from(live.nets[live.part()]?.weights[live.spec.kernel]?.data ?? []);
  const now = () => (live.get("kernel").length ? live.get("kernel") : own());
  const reach = 4;
  const slide = (j) => (i) => live.set("kernel", now().map((w, k) => (k === j ? i / 20 - reach : Number(w.toFixed(4)))));
  const sliders = ["before", "itself", "after"].map((name, j) =>
    live.slider(`Weight of ${name === "itself" ? "the channel itself" : `the channel ${name}`}`, 40 * reach, [String(-reach).replace("-", "−"), String(reach)], slide(j), () => {
      const w = now()[j] ?? 0;
      return [Math.round((w + reach) * 20), number(w, 2)];
    }));
  const back = element("button", { type: "button", onclick: () => live.set("kernel", []) }, "as trained");
  live.controls.push(() => (back.disabled = !live.get("kernel").length));
  return element("div", { class: "ax-choice ax-kernel" }, ...sliders, back);
}
