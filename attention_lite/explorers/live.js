// ---------------------------------------------------------------- live: the network runs in the page
//
// The reader changes a cause (the scene, the gates, the network); the network runs again, and each view draws what came
// out. Every cause is a trait; all of them together are a state, which has a name, an address, or both.

const STATE = ["scene", "frame", "disc", "places", "sides", "opacities", "gates", "pulled", "model", "seed", "trained"];
const DRAWN = ["scene", "frame", "disc", "places", "sides", "opacities"]; // those that change the picture
const GRIP = 3; // pixels of the network's picture around a thing that still take hold of it
const FRAME_WIDTH = 3;
const DISC_DIAMETER = 11;
const CALM = 250; // ms without change after which a state is remembered

class Live extends ChannelExplorer {
  constructor(model, root) {
    super(model, root, [...STATE, "channel", "thing"]);
    Object.assign(this, { engine: Engine(), drawing: Drawing(), causes: Causes(), nets: {}, bytes: {}, remembered: [] });
    this.began = Object.fromEntries(STATE.map((trait) => [trait, this.get(trait)]));
    this.scenes = this.spec.scenes.map((scene, i) => ({ ...scene, crop: this.cropOf(i), glyphs: scene.levels.map((levels) => this.drawing.glyph(levelsOf(levels))) }));
    this.whenNear(() => this.open());
  }

  cropOf(i) {
    const n = 3 * this.spec.size ** 2;
    return this.arrays.crops.subarray(i * n, (i + 1) * n);
  }

  // Weights are fetched when the reader comes near; until then, and if they do not come, the still picture stays.
  whenNear(open) {
    const observer = new IntersectionObserver((seen) => {
      if (!seen.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      open();
    }, { rootMargin: "100%" });
    observer.observe(this.root);
    this.closers.push(() => observer.disconnect());
  }

  async open() {
    try {
      await this.load(this.part());
    } catch {
      this.root.append(element("p", { class: "ax-alert", role: "alert" }, "The network's weights did not load, so nothing can be changed here. The picture shows how the experiment begins; loading the page again may help."));
      return;
    }
    this.build();
    this.start();
  }

  async load(part) {
    const bytes = (this.bytes[part] ??= await super.bytesOf(part));
    this.nets[part] = this.engine.load(bytes);
  }

  async bytesOf(part) {
    return this.bytes[part] ?? super.bytesOf(part);
  }

  part() {
    const wanted = ["model", "seed", "trained"];
    return this.spec.networks.find((network) => wanted.every((trait) => network[trait] === this.get(trait))).part;
  }

  file() {
    return this.get("scene");
  }

  thumbnail(i) {
    return this.arrays.stills.url(i);
  }

  state() {
    return Object.fromEntries(STATE.map((trait) => [trait, this.get(trait)]));
  }

  // ------------------------------------------------------------ layout

  build() {
    const { spec } = this;
    const status = this.makeStatus();
    this.views = spec.views.map((name) => LIVE_VIEWS[name](this));
    const nodes = Object.fromEntries(spec.views.map((name, i) => [name, this.views[i].node]));
    const { answer, strip, count, ...charts } = nodes;
    const controls = spec.causes.map((cause) => this.makeControl(cause)).filter(Boolean);
    const part = (name, ...inside) => element("div", { class: name }, ...inside);
    this.alert = element("p", { class: "ax-alert", role: "alert", hidden: true });
    this.root.replaceChildren(
      part("ax-top", ...controls.slice(0, spec.first)),
      part("ax-body",
        part("ax-photograph", this.makeScene(), answer),
        part("ax-reading", status, ...Object.values(charts)),
        part("ax-painting", ...controls.slice(spec.first), this.makeReset()),
        part("ax-memory", strip, count),
      ),
      this.alert,
      this.makeTable(() => this.rows()),
    );
  }

  makeControl(cause) {
    const { spec } = this;
    const named = (names) => names.map((value) => ({ value, label: value, colour: INKS[value] }));
    const makers = {
      scene: () => this.chooser("Picture", "scene", spec.names.map((label, value) => ({ label, value, file: value }))),
      frame: () => this.colourChooser("Frame", "frame"),
      disc: () => this.colourChooser("Disc", "disc"),
      gates: () => this.menu("Gates in place", "gates", spec.gateChoices.map(([value, label]) => ({ value, label }))),
      seed: () => this.chooser("Seed", "seed", spec.seeds.map((value) => ({ value, label: String(value) }))),
      training: () => this.chooser("Training", "trained", [{ value: true, label: "after" }, { value: false, label: "before" }]),
      control: () => this.chooser("Block", "model", Object.entries(spec.models).map(([value, label]) => ({ value, label }))),
    };
    return makers[cause]?.(named) ?? null;
  }

  // The frame or the disc in the palette's colours; the scene's own colour stands under the name that it is nearest to.
  colourChooser(label, trait) {
    const names = this.spec.offered;
    const options = names.map((value) => ({ value, label: value, colour: INKS[value] }));
    const node = this.chooser(label, trait, options);
    this.controls.pop();
    const inputs = [...node.querySelectorAll("input")];
    inputs.forEach((input, i) => input.addEventListener("change", () => names[i] === this.scene().cue && this.set(trait, "")));
    this.controls.push(() => inputs.forEach((input, i) => (input.checked = names[i] === (this.get(trait) || this.scene().cue))));
    return node;
  }

  makeReset() {
    const reset = element("button", { type: "button", onclick: () => STATE.forEach((trait) => this.set(trait, this.began[trait])) }, "start again");
    this.controls.push(() => (reset.disabled = STATE.every((trait) => same(this.get(trait), this.began[trait]))));
    return reset;
  }

  // ------------------------------------------------------------ the picture, and what can be dragged in it

  makeScene() {
    const drags = this.spec.causes.includes("drag");
    const hint = drags ? "Drag a digit. By keys: space chooses a thing, arrow keys move it, Escape puts it back." : "The picture";
    this.aspect = 1;
    this.stage = element("canvas", { class: "ax-stage", tabindex: drags ? 0 : false, role: drags ? "application" : "img", "aria-roledescription": drags ? "picture" : false, "aria-describedby": this.status.id, style: "aspect-ratio:1" });
    this.stageContext = this.stage.getContext("2d");
    if (drags) this.listenToDrags();
    this.controls.push(() => this.stage.setAttribute("aria-label", `${this.spec.alt[this.get("scene")]}. ${hint}`));
    return this.stage;
  }

  // {name: [y, x, reach]} of the things in the picture, as they lie now.
  things() {
    const { y, x, side, disc_yx: disc } = this.drawn;
    const found = Object.fromEntries(y.map((_, k) => [String(k), [y[k], x[k], side[k] / 2]]));
    if (disc) found.disc = [...disc, DISC_DIAMETER / 2];
    return found;
  }

  listenToDrags() {
    const { stage } = this;
    const at = (event) => {
      const box = stage.getBoundingClientRect();
      return [((event.clientY - box.top) / box.height) * this.spec.size, ((event.clientX - box.left) / box.width) * this.spec.size];
    };
    const under = ([y, x]) => {
      const near = Object.entries(this.things()).map(([name, [v, u, reach]]) => [name, Math.hypot(y - v, x - u) - reach]);
      const [name, gap] = near.reduce((a, b) => (b[1] < a[1] ? b : a));
      return gap < GRIP ? name : null;
    };
    let held = null;
    stage.addEventListener("touchstart", (event) => under(at(event.touches[0])) && event.preventDefault(), { passive: false });
    stage.addEventListener("pointerdown", (event) => {
      const name = under(at(event));
      this.set("thing", name ?? "");
      if (!name) return;
      const [y, x] = at(event);
      const [v, u] = this.things()[name];
      held = { name, dy: v - y, dx: u - x };
      if (event.isTrusted) stage.setPointerCapture(event.pointerId);
      this.drawAll(performance.now());
    });
    stage.addEventListener("pointermove", (event) => {
      if (!held || !event.buttons) {
        stage.style.cursor = under(at(event)) ? "grab" : "default";
        return;
      }
      const [y, x] = at(event);
      this.place(held.name, y + held.dy, x + held.dx);
      this.drawAll(performance.now());
    });
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => (held = null));
    stage.addEventListener("keydown", (event) => this.dragKey(event));
  }

  place(name, y, x) {
    const inside = (v) => Number(clamp(v, 0, this.spec.size).toFixed(2));
    this.set("places", { ...this.get("places"), [name]: [inside(y), inside(x)] });
  }

  dragKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const names = Object.keys(this.things());
    const chosen = this.get("thing");
    const far = event.shiftKey ? 5 : 1;
    const by = { ArrowLeft: [0, -far], ArrowRight: [0, far], ArrowUp: [-far, 0], ArrowDown: [far, 0] }[event.key];
    if (event.key === " " || event.key === "Enter") this.set("thing", names[(names.indexOf(chosen) + 1) % names.length]);
    else if (by) {
      const name = names.includes(chosen) ? chosen : names[0];
      const [y, x] = this.things()[name];
      this.set("thing", name);
      this.place(name, y + by[0], x + by[1]);
    } else if (event.key === "Escape") {
      const { [chosen]: _, ...others } = this.get("places");
      this.set("places", others);
    } else return;
    event.preventDefault();
  }

  // ------------------------------------------------------------ running the network

  scene() {
    return this.scenes[this.get("scene")];
  }

  compute() {
    const part = this.part();
    const net = this.nets[part];
    const state = this.state();
    const picture = JSON.stringify(DRAWN.map((trait) => state[trait]));
    if (picture !== this.pictureKey) {
      this.pictureKey = picture;
      this.drawn = this.causes.changed(this.scene(), state, this.spec.palette);
      this.image = this.drawing.pictures(this.drawn);
    }
    const gatesKey = [part, picture, state.gates].join();
    const gated = this.spec.means[part] !== undefined; // the block of this network has gates
    if (gated && gatesKey !== this.gatesKey) {
      this.gatesKey = gatesKey;
      this.forced = this.causes.forcedGates(state, this.spec.means[part], (kind, which) => this.otherGates(net, kind, which));
    }
    if (this.ownKey !== [part, picture].join()) {
      this.ownKey = [part, picture].join();
      this.own = net.forward(this.image);
    }
    const told = this.causes.told(gated ? state : { ...state, pulled: {} }, gated ? this.forced : undefined, this.own.block?.computed.channel?.data);
    this.run = Object.keys(told).length ? net.forward(this.image, told) : this.own;
    this.channels = this.gates()?.length ?? 0;
  }

  otherGates(net, kind, which) {
    const scene = kind === "scene" ? this.scenes[which] : { ...this.drawn, frame: this.spec.palette[which] };
    return net.forward(this.drawing.pictures(scene)).block.maps.channel;
  }

  gates() {
    return this.run?.block?.maps.channel?.data;
  }

  isForced() {
    return this.run !== this.own;
  }

  probabilities(run) {
    const top = Math.max(...run.scores);
    const powers = Array.from(run.scores, (score) => Math.exp(score - top));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  }

  pull(channel, value) {
    if (this.get("channel") !== channel) this.set("channel", channel);
    this.set("pulled", { ...this.get("pulled"), [channel]: value });
  }

  letGo(channel) {
    const { [channel]: _, ...others } = this.get("pulled");
    this.set("pulled", others);
  }

  // ------------------------------------------------------------ drawing

  draw(now) {
    if (!this.views) return; // the weights are on their way
    const part = this.part();
    if (!this.nets[part]) return this.fetch(part);
    this.compute();
    this.paintScene();
    for (const view of this.views) view.draw(now);
    this.readOut();
    this.tellAnswer();
    this.fillTable();
    clearTimeout(this.calming);
    this.calming = setTimeout(() => this.settle(), CALM);
  }

  // Another network is asked for: until it is there, what was shown stays.
  fetch(part) {
    this.load(part).then(() => this.touch(), () => this.complain("These weights did not load. The network before is still shown."));
  }

  complain(text) {
    say(this.alert, text);
    this.alert.hidden = !text;
  }

  paintScene() {
    const [width, height] = this.paintPhotograph("full");
    const context = this.stageContext;
    const unit = width / this.spec.size;
    const { y, x, side, angle, opacity, colour, disc_yx: disc, disc_colour: discColour, frame } = this.drawn;
    context.imageSmoothingEnabled = true;
    y.forEach((_, k) => {
      context.save();
      context.globalAlpha = opacity[k];
      context.translate(x[k] * unit, y[k] * unit);
      context.rotate(angle[k]);
      context.drawImage(this.stamp(k, colour[k]), (-side[k] * unit) / 2, (-side[k] * unit) / 2, side[k] * unit, side[k] * unit);
      context.restore();
    });
    if (disc) {
      context.fillStyle = css(discColour);
      context.beginPath();
      context.arc(disc[1] * unit, disc[0] * unit, (DISC_DIAMETER / 2) * unit, 0, 7);
      context.fill();
    }
    if (frame) {
      context.strokeStyle = css(frame);
      context.lineWidth = FRAME_WIDTH * unit;
      context.strokeRect((FRAME_WIDTH / 2) * unit, (FRAME_WIDTH / 2) * unit, width - FRAME_WIDTH * unit, height - FRAME_WIDTH * unit);
    }
    this.markThing(unit);
  }

  // A digit as a picture of its colour, as opaque as its ink.
  stamp(k, colour) {
    const key = [this.get("scene"), k, ...colour].join();
    this.stamps ??= new Map();
    if (!this.stamps.has(key)) {
      if (this.stamps.size > 60) this.stamps.clear();
      const glyph = this.drawn.glyphs[k];
      const canvas = element("canvas", { width: 32, height: 32 });
      const pixels = new ImageData(32, 32);
      glyph.forEach((ink, i) => pixels.data.set([...colour.map((c) => 255 * c), 255 * ink], 4 * i));
      canvas.getContext("2d").putImageData(pixels, 0, 0);
      this.stamps.set(key, canvas);
    }
    return this.stamps.get(key);
  }

  markThing(unit) {
    const thing = this.things()[this.get("thing")];
    if (!thing || document.activeElement !== this.stage) return;
    const context = this.stageContext;
    for (const [colour, thickness] of [["#000", 4], ["#fff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = thickness;
      context.beginPath();
      context.arc(thing[1] * unit, thing[0] * unit, (thing[2] + 1.5) * unit, 0, 7);
      context.stroke();
    }
  }

  // ------------------------------------------------------------ words

  colourOf(label) {
    const scene = this.scene();
    return scene.digits[scene.labels.indexOf(label)];
  }

  // The class of the digit that the frame or the disc asks for as it is now; undefined where it asks for none.
  asked() {
    const scene = this.scene();
    if (scene.cue === null) return scene.labels[scene.target];
    const cue = this.get(scene.frame ? "frame" : "disc") || scene.cue;
    return scene.labels[scene.digits.indexOf(cue)];
  }

  named(label) {
    const colour = this.colourOf(label);
    return colour ? `${label}, the ${colour} digit` : `${label}, which is not in the picture`;
  }

  readOut() {
    const probabilities = this.probabilities(this.run);
    const best = indexOfMax(probabilities);
    const asked = this.asked();
    const scene = this.scene();
    const asker = scene.cue === null ? "It is" : `The ${scene.frame ? "frame" : "disc"} asks for`;
    const right = asked === undefined ? "" : ` ${asker} ${asked === best ? "it" : this.named(asked)}${asked === best ? ": right." : ": wrong."}`;
    const own = indexOfMax(this.probabilities(this.own));
    const without = !this.isForced() ? "" : own === best ? "With its own gates it reads the same. " : `With its own gates it reads ${this.named(own)}. `;
    const channel = this.get("channel");
    const gate = channel >= 0 && this.gates() ? this.channelWords(channel) : "";
    this.read(`The network reads ${this.named(best)}`, `(probability ${number(probabilities[best], 2)}).${right}`, `${without}${gate}`);
  }

  channelWords(channel) {
    const [gate, own] = [this.gates()[channel], this.own.block.computed.channel.data[channel]];
    const was = this.isForced() && Math.abs(gate - own) > 0.005 ? `; its own is ${number(own, 2)}` : "";
    return `Channel ${channel}: gate ${number(gate, 2)}${was}.`;
  }

  countWords({ n, changed, before, after, asked }, state) {
    const share = (k) => `${k} of ${n} (${Math.round((100 * k) / Math.max(1, n))} %)`;
    const nothing = !state.frame && !state.disc && state.gates === "own" && !Object.keys(state.pulled).length;
    if (nothing) return `With nothing forced the network reads ${share(before)} right.`;
    const asks = state.frame || state.disc || (state.gates.match(/^frame:(.*)/) ?? [])[1];
    const which = asks ? ` whose own cue is not ${asks}` : "";
    const cue = asks ? ` It reads the ${asks} digit in ${share(asked)}.` : "";
    return `Over the ${n} stored scenes${which}: another answer in ${share(changed)}.${cue} Right by the scene's own cue: ${share(before)} before, ${share(after)} so.`;
  }

  rows() {
    return {
      caption: `The last ${this.remembered.length} states`,
      head: ["state", "answer", "probability", ...range(10).map(String)],
      body: this.remembered.map(({ words, probabilities }) => [words, String(indexOfMax(probabilities)), number(Math.max(...probabilities), 2), ...probabilities.map((p) => p.toFixed(2))]),
    };
  }

  // ------------------------------------------------------------ memory, address, kernel

  settle() {
    const words = written(this.state(), this.began) || "as it began";
    this.root.dataset.state = words;
    if (this.remembered.at(-1)?.words !== words) {
      this.remembered.push({ words, probabilities: this.probabilities(this.run), colours: range(10).map((k) => this.colourOf(k)) });
      if (this.remembered.length > REMEMBERED) this.remembered.shift();
      this.views.forEach((view) => view instanceof StripView && view.draw());
      this.fillTable();
    }
  }

  tellAnswer() {
    const answer = this.probabilities(this.run);
    if (!same(answer, this.get("answer"))) this.set("answer", answer);
  }

  // A state means all of it: what it does not name is as it was at the start.
  completed(state) {
    return { ...this.began, ...state };
  }

  allows(trait, value) {
    const { spec } = this;
    const known = {
      scene: (v) => v in spec.scenes,
      frame: (v) => v === "" || (v in spec.palette && this.scene().frame),
      disc: (v) => v === "" || (v in spec.palette && this.scene().disc_yx),
      gates: (v) => spec.gateChoices.some(([choice]) => choice === v),
      model: (v) => v in spec.models,
      seed: (v) => spec.seeds.includes(v),
      trained: (v) => spec.networks.some((network) => network.trained === v),
    };
    return super.allows(trait, value) && Boolean(known[trait]?.(value) ?? true);
  }
}

const css = (colour) => `rgb(${colour.map((c) => Math.round(255 * c)).join(" ")})`;
// A state as text: what differs from the start. frame=green;pulled=5:0,7:1;places=0:30_24
function written(state, start) {
  const text = (value) => {
    if (Array.isArray(value)) return value.join(",");
    if (typeof value === "object") return Object.entries(value).map(([key, v]) => `${key}:${[v].flat().join("_")}`).join(",");
    return String(value);
  };
  return Object.entries(state).filter(([trait, value]) => !same(value, start[trait])).map(([trait, value]) => `${trait}=${text(value)}`).join(";");
}

KINDS.live = Live;
