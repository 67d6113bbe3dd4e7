// ---------------------------------------------------------------- causes: what a state of the live explorer changes
//
// A state is a table of the explorer's traits. Two things are made of it: the scene as it is drawn, and what the engine
// is told to force. The page and the worker that counts both use this, so that they count what the reader sees.
// All in one function, without anything from outside: the worker is made of its text.

function Causes() {

// Which maps, by the engine's names, a trait exchanges for others.
const EXCHANGED = { gates: ["channel", "channel_logits"], map: ["spatial", "spatial_logits", "context"], rows: ["rows"], columns: ["columns"], sums: ["sums"], position: ["position"], channel_to_channel: ["channel_to_channel"] };
const BRANCHES = ["kernel", "split"]; // of one map a branch, whose weights sum to one

// The scene with what the state moves, recolours or draws anew. A palette has colours by name, [r, g, b]; inks are the
// stored digits, of each class the letters of one; glyph makes of letters what is drawn (Drawing().glyph).
function changed(scene, state, { palette, inks, glyph }) {
  const now = { ...scene, y: [...scene.y], x: [...scene.x], side: [...scene.side], opacity: [...scene.opacity], colour: [...scene.colour] };
  if (state.frame) now.frame = palette[state.frame];
  if (state.disc) now.disc_colour = palette[state.disc];
  for (const [thing, [y, x]] of Object.entries(state.places ?? {})) {
    if (thing === "disc") now.disc_yx = [y, x];
    else [now.y[thing], now.x[thing]] = [y, x];
  }
  for (const [k, side] of Object.entries(state.sides ?? {})) {
    const inside = (v) => Math.min(Math.max(v, side / 2), scene.size - side / 2); // as lab's enlarge: moved inwards
    now.side[k] = side;
    if (!(k in (state.places ?? {}))) [now.y[k], now.x[k]] = [inside(now.y[k]), inside(now.x[k])];
  }
  for (const [k, share] of Object.entries(state.opacities ?? {})) now.opacity[k] = share;
  for (const [k, letters] of Object.entries(state.inks ?? {})) {
    now.glyphs = now.glyphs.map((own, i) => (i === Number(k) ? glyph(letters) : own));
    now.labels = now.labels.map((own, i) => (i === Number(k) ? labelOf(letters, inks) : own));
  }
  if (state.ground) now.crop = state.ground;
  if (scene.flags) Object.assign(now, passedOn(scene, state.company ?? 0));
  return now;
}

// The dotted flags, which are the first half, take the right halves of the flags `by` further on; and which of them has
// a twin among the black ones then: the one whose halves are most alike.
function passedOn({ flags }, by) {
  const pairs = flags.length / 2;
  const now = flags.map((parts, k) => (k < pairs ? [parts[0], ...flags[(k + by) % pairs].slice(1)] : parts));
  return { flags: now, target: now.slice(0, pairs).map((one) => Math.min(...now.slice(pairs).map((other) => unlike(one, other)))).reduce((best, gap, k, all) => (gap < all[best] ? k : best), 0) };
}

// How much two flags differ, over all parts.
const unlike = (one, other) => one.flat().reduce((sum, v, i) => sum + Math.abs(v - other.flat()[i]), 0);

// The class of a stored digit; null of one that the reader has drawn.
const labelOf = (letters, inks) => (inks.includes(letters) ? inks.indexOf(letters) : null);

// What the engine is told; {} where the network is left alone. own: the run of this picture with nothing forced.
// known: {means, switches, kernel, order, scene, on, runOf}: the mean maps of each block; the parts that can be switched
// off; the name of ECA's kernel; a shuffled order; the scene as drawn and where its things lie (Drawing().on);
// runOf(kind, which): the run of another picture: "frame" or "disc" red, "scene" 2, or "start", the scene as it was.
function told(state, own, known) {
  const causes = {};
  const put = (kind, value) => (causes[kind] = { ...causes[kind], ...value });
  for (const [name, values] of Object.entries(exchanged(state, own, known))) put("set", { [name]: values });
  for (const name of state.off ?? []) {
    const { off, weights } = known.switches[name] ?? {}; // this network may be without the part
    if (off) causes.off = [...(causes.off ?? []), ...off];
    if (weights) put("weights", weights);
  }
  if (state.kernel?.length && known.kernel) put("weights", { [known.kernel]: state.kernel });
  if (state.shuffled) causes.order = known.order;
  const keys = forbidden(state, own, known);
  if (keys.length) causes.forbid = keys;
  if (keys.length && state.forbid_head >= 0) causes.heads = [state.forbid_head];
  return causes;
}

// {map: block => the weights in place of its own}; undefined leaves a block alone.
function exchanged(state, own, known) {
  const found = {};
  const blocksWith = (name) => Object.keys(own.blocks).filter((block) => own.blocks[block].maps[name]);
  const scope = (block) => !state.block || state.block === block;
  const add = (name, value) => {
    const blocks = blocksWith(name).filter(scope);
    if (blocks.length) found[name] = (block) => (blocks.includes(block) ? value(block, name) : undefined);
  };
  for (const [trait, names] of Object.entries(EXCHANGED)) {
    const choice = state[trait] ?? "own";
    const single = { gates: state.pulled, map: state.painted, sums: state.pulled_sums }[trait] ?? {};
    if (choice === "own" && !Object.keys(single).length) continue;
    for (const name of names) add(name, (block) => withSingle(chosen(choice, block, name, known), single, own.blocks[block].computed[name]));
  }
  if (state.shares?.length) {
    for (const name of BRANCHES) add(name, (block) => own.blocks[block].maps[name].data.map((_, i, { length }) => state.shares[Math.floor((i * state.shares.length) / length)]));
  }
  return found;
}

// The weights that a choice puts in place; undefined for the block's own.
function chosen(choice, block, name, { means, runOf }) {
  const [kind, which] = choice.split(":");
  if (kind === "own") return undefined;
  if (kind === "shut") return 0;
  if (kind === "half") return 0.5;
  if (kind === "open") return 1;
  if (kind === "even") return "even";
  if (kind === "mean") return means[block][name];
  return runOf(kind, which).blocks[block].maps[name];
}

// Weights, some of them set singly, by their number.
function withSingle(weights, singles, own) {
  const single = Object.fromEntries(Object.entries(singles).filter(([i]) => i < own.data.length));
  if (!Object.keys(single).length) return weights;
  if (weights === undefined) return single;
  const mean = own.data.reduce((a, b) => a + b, 0) / own.data.length;
  const all = typeof weights === "number" ? own.data.map(() => weights) : weights === "even" ? own.data.map(() => mean) : Float32Array.from(weights.data ?? weights);
  for (const [i, value] of Object.entries(single)) all[i] = value;
  return all;
}

// The keys that no query may read: single places by their number; a thing with the places that touch it.
function forbidden(state, own, { scene, on }) {
  const scores = state.forbid?.length && Object.values(own.blocks).map((block) => block.steps.scores).find(Boolean);
  if (!scores) return [];
  const n = scores.shape.at(-1), side = Math.sqrt(n);
  const around = (thing) => widened(on(scene, thing, side), side);
  const digits = () => scene.y.map((_, k) => around(String(k)));
  const things = () => [...digits(), ...(scene.disc_yx ? [around("disc")] : [])];
  const within = (layers) => (i) => layers.some((layer) => layer[i]);
  const gone = new Set();
  for (const item of state.forbid) {
    const is = item === "disc" ? within([around("disc")]) : item === "digits" ? within(digits()) : item === "ground" ? (i) => !within(all)(i) : (i) => i === item;
    const all = item === "ground" ? things() : [];
    for (let i = 0; i < n; i++) if (is(i)) gone.add(i);
  }
  return gone.size < n ? [...gone] : []; // a query that may read nothing has no softmax
}

function widened(where, side) {
  return where.map((_, i) => [-1, 0, 1].some((dy) => [-1, 0, 1].some((dx) => {
    const [y, x] = [Math.floor(i / side) + dy, (i % side) + dx];
    return y >= 0 && x >= 0 && y < side && x < side && where[y * side + x];
  })) ? 1 : 0);
}

return { changed, told, unlike };
}
