// ---------------------------------------------------------------- live: the network runs in the page
//
// The reader changes a cause (the scene, the weights of a block, the network); the network runs again, and each view draws
// what came out. Every cause is a trait; all of them together are a state, which has a name, an address, or both.

const DRAWN = ["scene", "frame", "disc", "places", "sides", "opacities", "inks", "ground", "company"]; // traits that change the picture
const CARRIED = ["frame", "disc", "sides", "opacities", "inks", "ground", "company"]; // those of them that can be done to any other scene
const FORCES = ["gates", "pulled", "map", "rows", "columns", "painted", "sums", "pulled_sums", "position", "channel_to_channel", "shares", "forbid", "forbid_head", "off", "kernel", "shuffled"]; // that change the network
const CHOICE = ["model", "seed", "trained"]; // of a network
const CAUSES = [...DRAWN, ...FORCES, "block", ...CHOICE];
const LOOKS = ["query", "key", "head", "slot", "over", "channel"]; // what is looked at; they change no answer
const STATE = [...CAUSES, ...LOOKS];
const NOTHING = { frame: "", disc: "", sides: {}, opacities: {}, inks: {}, ground: null, company: 0, gates: "own", pulled: {}, map: "own", rows: "own", columns: "own", painted: {}, sums: "own", pulled_sums: {}, position: "own", channel_to_channel: "own", shares: [], forbid: [], forbid_head: -1, off: [], kernel: [], shuffled: false };
const CALM = 250; // ms without change after which a state is remembered

class Live extends LiveWords {
  constructor(model, root) {
    super(model, root, [...STATE, "thing"]);
    Object.assign(this, { engine: Engine(), drawing: Drawing(), causes: Causes(), answers: Answers(), nets: {}, bytes: {}, storedRuns: {}, remembered: [] });
    this.photograph = new OwnGround(this);
    this.began = Object.fromEntries(STATE.map((trait) => [trait, this.get(trait)]));
    this.scenes = this.spec.scenes.map((scene, i) => this.opened(scene, i));
    this.whenNear(() => this.open());
  }

  // A stored scene as it is drawn; its digits are made smooth when they are first asked for.
  opened(scene, i) {
    const glyph = this.drawing.glyph;
    return {
      ...scene, crop: this.cropOf(i),
      get glyphs() {
        delete this.glyphs;
        return (this.glyphs = scene.levels.map(glyph));
      },
    };
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
    await breath();
    this.build();
    this.start();
  }

  async load(part) {
    const bytes = await this.bytesOf(part);
    await breath();
    const net = this.engine.load(bytes);
    await breath();
    this.drawScene();
    await breath();
    net.begin(this.image);
    await breath();
    this.drawScene(); // anew if the reader has changed it meanwhile
    const run = net.forward(this.image);
    if (!run.scores.every(Number.isFinite)) throw new Error(`${part} gives no numbers`);
    this.runs[part] = run;
    this.bytes[part] = bytes;
    this.nets[part] = net;
  }

  async bytesOf(part) {
    return this.bytes[part] ?? super.bytesOf(part);
  }

  // The chosen network; a block that comes in another training than the first block comes in that one.
  part() {
    const fits = this.fitting();
    return (fits.find(({ seed }) => seed === this.get("seed")) ?? fits[0])?.part;
  }

  // The same in the training of a seed; undefined where it has none.
  partOf(seed) {
    return this.fitting().find((network) => network.seed === seed)?.part;
  }

  fitting() {
    return this.spec.networks.filter(({ model, trained }) => model === this.get("model") && trained === this.get("trained"));
  }

  file() {
    return this.get("scene");
  }

  thumbnail(i) {
    return this.arrays.stills.url(i);
  }

  state() {
    return { ...Object.fromEntries(CAUSES.map((trait) => [trait, this.get(trait)])), ground: this.photograph.pixels() };
  }

  // A state in words; one of the reader's own photographs is another than the next.
  written() {
    return written({ ...this.state(), ground: this.photograph.name() }, { ...this.began, ground: "" });
  }

  // ------------------------------------------------------------ layout

  build() {
    const { spec } = this;
    const status = this.makeStatus();
    this.views = spec.views.map((name) => LIVE_VIEWS[name](this));
    const nodes = Object.fromEntries(spec.views.map((name, i) => [name, this.views[i].node]));
    const { answer, strip, count, ...charts } = nodes;
    const controls = spec.causes.map((cause) => CONTROLS[cause]?.(this)).filter(Boolean);
    const part = (name, ...inside) => element("div", { class: name }, ...inside);
    this.alert = element("p", { class: "ax-alert", role: "alert", hidden: true });
    this.root.replaceChildren(
      part("ax-top", ...controls.slice(0, spec.first)),
      part("ax-body",
        part("ax-column", part("ax-photograph", this.makeScene(), answer), part("ax-painting", ...controls.slice(spec.first), this.makeReset())),
        part("ax-column", part("ax-reading", status, ...Object.values(charts)), part("ax-memory", strip, count)),
      ),
      this.alert,
      this.makeTable(() => this.rows()),
    );
  }

  makeReset() {
    const reset = element("button", { type: "button", onclick: () => STATE.forEach((trait) => this.set(trait, this.began[trait])) }, "start again");
    this.controls.push(() => (reset.disabled = STATE.every((trait) => same(this.get(trait), this.began[trait]))));
    return reset;
  }

  // ------------------------------------------------------------ running the network

  scene() {
    return this.scenes[this.get("scene")];
  }

  // What the network sees, anew where a cause has changed it; then nothing that was computed holds.
  drawScene() {
    const state = this.state();
    const picture = JSON.stringify([...DRAWN.map((trait) => trait !== "ground" && state[trait]), this.photograph.name()]);
    if (picture === this.pictureKey) return;
    this.pictureKey = picture;
    this.drawn = this.causes.changed(this.scene(), state, { ...this.spec, glyph: this.drawing.glyph });
    this.image = this.drawing.pictures(this.drawn);
    this.runs = {};
  }

  compute() {
    this.drawScene();
    this.partShown = this.part(); // while another is on its way, the controls are of this one
    Object.assign(this, this.runOf(this.partShown));
    this.paints = this.answers.paints(this.run.scores);
    this.ownAnswer = this.isForced() ? this.valuesOf(this.own) : this.answer;
    this.paired = undefined;
    this.channels = this.gates()?.length ?? 0;
    this.side = Math.sqrt(this.asking()?.steps.scores.shape[1] ?? this.shownMap()?.values.length ?? 0);
  }

  // A network's run of the picture, by itself and as the causes force it, and its answer.
  runOf(part) {
    const net = this.nets[part];
    const own = (this.runs[part] ??= net.forward(this.image));
    const told = this.causes.told(this.state(), own, { ...this.known(net, part), scene: this.drawn, on: this.drawing.on, runOf: (kind, which) => this.otherRun(part, kind, which) });
    const run = Object.keys(told).length ? net.forward(this.image, told) : own;
    return { own, run, answer: this.valuesOf(run), keysForbidden: told.forbid ?? [] };
  }

  valuesOf(run) {
    return this.answers.values(run.scores, () => this.drawn.glyphs.map((_, k) => this.drawing.coverOf(this.drawn, k)));
  }

  // What the causes need to know of a network, besides its run; the worker that counts is sent the same.
  known(net, part) {
    const { spec } = this;
    const names = Object.keys(net.weights);
    const has = ({ off = [], weights = {} }) => off.every((name) => names.some((weight) => `.${weight}`.includes(`.${name}.`))) && Object.keys(weights).every((name) => names.includes(name));
    return {
      means: spec.means[part] ?? {}, order: spec.order,
      kernel: names.includes(spec.kernel) ? spec.kernel : null,
      switches: Object.fromEntries(Object.entries(spec.switches).filter(([, one]) => has(one))),
    };
  }

  // The run of another picture: this one with a frame or a disc of another colour, a stored one, or this one as it was.
  otherRun(part, kind, which) {
    if (kind === "start") return this.otherRun(part, "scene", this.get("scene"));
    const run = (scene) => this.nets[part].forward(this.drawing.pictures(scene));
    if (kind === "scene") return (this.storedRuns[`${part} ${which}`] ??= run(this.scenes[which]));
    return (this.runs[`${part} ${kind}:${which}`] ??= run({ ...this.drawn, [kind === "frame" ? "frame" : "disc_colour"]: this.spec.palette[which] }));
  }

  isForced() {
    return this.run !== this.own;
  }

  forbidden() {
    return this.keysForbidden;
  }

  // ------------------------------------------------------------ what a run holds

  gates() {
    return this.run && this.blockWith(this.run, "maps", "channel")?.maps.channel.data;
  }

  ownGates() {
    return this.blockWith(this.own, "computed", "channel").computed.channel.data;
  }

  // Which channel's gates of places lie over the picture; −1 for the mean of all.
  channelShown() {
    return this.get("channel");
  }

  shownMap() {
    return MAPS[this.get("over")]?.(this);
  }

  pull(channel, value) {
    if (this.get("channel") !== channel) this.set("channel", channel);
    this.set("pulled", { ...this.get("pulled"), [channel]: value });
  }

  letGo(channel) {
    const { [channel]: _, ...others } = this.get("pulled");
    this.set("pulled", others);
  }

  // The logarithms of external attention's sums, head by head: those of the looked at head, and where they begin.
  sums(run = this.run) {
    const sums = this.blockWith(run, "maps", "sums")?.maps.sums;
    if (!sums) return undefined;
    const [, , S] = sums.shape;
    const from = this.head(sums) * S;
    return { from, values: sums.data.subarray(from, from + S) };
  }

  // ------------------------------------------------------------ drawing

  // Controls come last: some of them tell what the run holds.
  renew(now) {
    this.draw(now);
    for (const sync of this.controls) sync();
  }

  // Canvases come before words: for its font, a canvas would have the browser work out the page that the words have changed.
  draw(now) {
    if (!this.views) return; // the weights are on their way
    const part = this.part();
    if (!this.nets[part]) return this.fetch(part);
    if (this.missing) this.complain(this.missing = "");
    this.compute();
    for (const view of this.views) view.draw?.(now);
    this.paintScene();
    for (const view of this.views) view.write?.();
    this.readOut();
    this.tellAnswer();
    this.fillTable();
    clearTimeout(this.calming);
    this.calming = setTimeout(() => this.settle(), CALM);
  }

  // Another network is asked for: until it is there, what was shown stays.
  fetch(part) {
    this.missing = "These weights did not load. What is shown is still the network before; choose another, or load the page again.";
    this.load(part).then(() => this.touch(), () => this.complain(this.missing));
  }

  complain(text) {
    say(this.alert, text);
    this.alert.hidden = !text;
  }

  // ------------------------------------------------------------ memory, address, kernel

  settle() {
    const words = this.written() || "as it began";
    this.root.dataset.state = words;
    if (this.remembered.at(-1)?.words !== words) {
      this.remembered.push({ words, answer: this.answer, colours: this.answer.map((_, k) => this.colourOf(k)) });
      if (this.remembered.length > REMEMBERED) this.remembered.shift();
      this.fillTable();
    }
    this.views.forEach((view) => view.settle?.());
  }

  tellAnswer() {
    if (!same(this.answer, this.get("answer"))) this.set("answer", this.answer);
  }

  // A state means all of it: what it does not name is as it was at the start. No address holds a photograph.
  completed(state) {
    const { ground, ...others } = this.began;
    this.set("ground", ground);
    return { ...others, ...state };
  }

  allows(trait, value) {
    const { spec } = this;
    const isDigit = (name) => name in this.scene().y;
    const channels = Math.max(0, ...Object.values(spec.means).flatMap(Object.values).map((maps) => maps.channel?.length ?? 0));
    const known = {
      scene: (v) => v in spec.scenes,
      frame: (v) => v === "" || (v in spec.palette && this.scene().frame),
      disc: (v) => v === "" || (v in spec.palette && this.scene().disc_yx),
      off: (v) => v.every((name) => name in spec.switches),
      block: (v) => v === "" || v in spec.blocks,
      over: (v) => v === "" || spec.maps.includes(v),
      places: (v) => Object.entries(v).every(([thing, at]) => (isDigit(thing) || (thing === "disc" && this.scene().disc_yx)) && at.length === 2 && at.every((x) => x >= 0 && x <= spec.size)),
      sides: (v) => Object.entries(v).every(([digit, side]) => isDigit(digit) && side >= 0 && side <= spec.size),
      inks: (v) => Object.entries(v).every(([digit, letters]) => isDigit(digit) && /^[a-q]{64}$/.test(letters)),
      pulled_sums: (v) => Object.entries(v).every(([sum, value]) => sum < spec.heads * spec.slots && Number.isFinite(value)),
      channel: (v) => v >= -1 && v < Math.max(channels, spec.lines),
      forbid_head: (v) => v >= -1 && v < spec.heads,
      opacities: (v) => Object.entries(v).every(([digit, share]) => isDigit(digit) && share >= 0 && share <= 1),
      pulled: (v) => Object.entries(v).every(([channel, gate]) => channel < channels && gate >= 0 && gate <= 1),
      model: (v) => v in spec.models,
      seed: (v) => spec.seeds.includes(v),
      trained: (v) => spec.networks.some((network) => network.trained === v),
    };
    const listed = !(trait in spec.choices) || spec.choices[trait].some(([choice]) => choice === value);
    return super.allows(trait, value) && listed && Boolean(known[trait]?.(value) ?? true);
  }
}

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
