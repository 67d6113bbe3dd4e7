// ---------------------------------------------------------------- engine: the lab's small networks, run in the page
//
//   const engine = Engine();                      // needs tensors.js and mechanisms.js, nothing else; a worker is made
//                                                 // of the text `${Tensors} ${Mechanisms} ${Engine}`
//   const net = engine.load(bytes);               // Uint8Array: a safetensors file of attention_lite.lab.page_weights
//   net.task, net.model, net.seed, net.trained    // "context-gating", "se", "0", "true"
//   const run = net.forward(image, causes);       // image: what Drawing().pictures(scene) gives; it is never changed
//
// The stem's features are kept while `image` is the very same object: a pulled gate costs the layers after it alone.
// A tensor is {shape, data: Float32Array}, the last axis side by side, without the batch. A run holds
//
//   run.scores                  Float32Array(10); for cued segmentation the logits of the 48 × 48 pixels
//   run.blocks["block"]         each attention block, by the name that record_attention gives it, and in it
//     .maps.channel             the weights that were used, under the names and in the shapes of its attention():
//                               channel, spatial, rows, columns, kernel, split, position, …
//     .computed.channel         the same as the block computed them from this picture, before any cause
//     .steps                    what was made on the way: before and after, its features; the hidden units; Q, K, V
//                               (h, N, d) and scores (h, N, N'), what the softmax gets; see each mechanism's note(…)
//   run.block                   the first or only one of them (undefined for the controls without any)
//   run.slot                    {before, after}: the features that come into the slot, the last of several, and go out
//
// Causes, all optional, alone or together:
//
//   set: {channel: 0.5}         all weights of a map are this number: {channel: 1} gate off, {position: 0} nothing is read
//        {channel: {7: 1}}      some of them are, by their number in the flattened map
//        {channel: other}       they are those of a tensor or array: run.block.maps.channel of another scene, a mean …
//        {channel: "even"}      they are all the mean of their own; where they sum to one, that sum in equal shares;
//                               of rows or columns, for each channel its mean
//        {channel: (block) => …}  one of these for each block, by its name; undefined for its own
//   forbid: [17, 18]            no query may read these keys: their scores become −∞
//   heads: [1]                  forbid reaches these heads alone; otherwise all
//   off: ["W_O"]                parts that give zeros, by their Python names: "branches.1" (sk), "convs.3" (psa),
//                               "channel_branch" (bam), "after_position" (danet) …; "block": the features pass unchanged
//   weights: {"head.bias": 0}   other weights, by their names in the state_dict; as in `set`: "block.position.alpha",
//                               "block.conv.weight" …
//   order: [3, 0, …]            the block sees the channels in this order; what it gives is put back into the old one
//   only: "blocks.1.gate"       set, forbid, heads, off and order reach this block alone; otherwise all
//
// A map, part, weight or key that the network does not have is an Error that says which it has.

function Engine(tensors = Tensors(), mechanisms = Mechanisms(tensors)) {
const {
  add, amax, cat, even, inverse, map, mean, meanOf, pixelShuffle, relu, reshape, scale, sigmoid, take, tensor,
  tokensOf, transpose,
} = tensors;
const {
  linear, conv, batchNorm, layerNorm, convBnRelu, noted, SEAttention, lineGates, ECAAttention, CBAMBlock, BAMBlock,
  CoordinateAttention, SKAttention, PSA, ScaledDotProductAttention, PositionAttentionModule, ChannelAttentionModule,
  DAModule, EMSA, GlobalContextBlock, ExternalAttention,
} = mechanisms;

// ---- a place in the network: its weights by name, its causes, its record

class At {
  constructor(run, name) { this.run = run; this.name = name; }
  to(part) { return new At(this.run, this.name ? `${this.name}.${part}` : part); }
  get(part) { return this.run.weights[this.to(part).name]; }
  note(step, t) { return (this.record.steps[step] = t); }
  get record() { return (this.run.blocks[this.name] ??= { maps: {}, computed: {}, steps: {} }); }

  // Its numbered parts: "branches.0", "branches.1" …
  all(part) {
    const found = [], begins = (i) => (name) => name.startsWith(`${this.to(part).name}.${i}.`);
    while (Object.keys(this.run.weights).some(begins(found.length))) found.push(this.to(`${part}.${found.length}`));
    return found;
  }

  cause(kind) {
    const { only, [kind]: wanted } = this.run.causes;
    return only === undefined || `${this.name}.`.startsWith(`${only}.`) ? wanted : undefined;
  }

  // The weights with which a block works: noted as computed, and as `set` wants them. axis: the one over which "even" takes
  // the mean, as that which sums to one; without it, over all.
  map(name, computed, axis) {
    const order = name === "channel" ? this.cause("order") : undefined, set = this.cause("set")?.[name];
    const wanted = typeof set === "function" ? set(this.name) : set;
    const own = (this.record.computed[name] = order ? take(computed, inverse(order)) : computed);
    const used = (this.record.maps[name] = wanted === undefined ? own : replaced(name, own, wanted, axis));
    if (set !== undefined) this.run.met.add(name);
    return order ? take(used, order) : used;
  }

  // Scores (h, N, n) before the softmax; those of forbidden keys are −∞.
  allowed(scores) {
    const [h, N, n] = scores.shape, gone = this.cause("forbid"), heads = this.cause("heads") ?? [];
    this.note("scores", scores);
    if (!gone) return scores;
    const wrong = gone.find((key) => !(key >= 0 && key < n));
    if (wrong !== undefined) throw new Error(`forbid must hold keys from 0 to ${n - 1}, got ${wrong}`);
    const none = heads.find((head) => !(head >= 0 && head < h));
    if (none !== undefined) throw new Error(`heads must hold heads from 0 to ${h - 1}, got ${none}`);
    this.run.met.add("forbid");
    const out = map(scores, (v) => v);
    for (let line = 0; line < h * N; line++) {
      if (heads.length && !heads.includes((line / N) | 0)) continue;
      for (const key of gone) out.data[line * n + key] = -Infinity;
    }
    return out;
  }

  // What a part of the network gives: zeros if it is off.
  out(y) { return this.isOff(this.name) ? tensor(y.shape) : y; }
  isOff(name) {
    this.run.parts.add(name);
    const off = (this.cause("off") ?? []).filter((part) => `.${name}`.endsWith(`.${part}`));
    off.forEach((part) => this.run.met.add(part));
    return off.length > 0;
  }
}

function replaced(name, own, wanted, axis) {
  const n = own.data.length;
  if (wanted === "even") return axis === undefined ? map(own, () => meanOf(own.data, 0, n, 1)) : even(own, axis);
  if (typeof wanted === "number") return map(own, () => wanted);
  const data = wanted.data ?? wanted;
  if (data.length === undefined) {
    const wrong = Object.keys(wanted).find((i) => !(i < n));
    if (wrong !== undefined) throw new Error(`${name} has the numbers 0 to ${n - 1}, got ${wrong}`);
    return map(own, (v, i) => wanted[i] ?? v);
  }
  if (data.length !== n) throw new Error(`${name} must have ${n} numbers, got ${data.length}`);
  return tensor(own.shape, Float32Array.from(data));
}

// ---- networks/slot.py

const TokenMixer = (block) => (at, x) => {
  const tokens = layerNorm(at.to("norm"), tokensOf(x));
  return add(x, reshape(transpose(noted(block)(at.to("block"), tokens)), ...x.shape));
};

const Skip = (layer) => (at, x) => add(x, layer(at.to("layer"), x));

const LocalMixer = (at, x) => {
  const y = convBnRelu(at.to("mix.1"), convBnRelu(at.to("mix.0"), x));
  return relu(add(x, batchNorm(at.to("mix.3"), conv(at.to("mix.2"), y))));
};

// nn.Sequential(PSA, batch norm, ReLU).
const normedPSA = (options) => (at, x) => relu(batchNorm(at.to(1), noted(PSA(options))(at.to(0), x)));

const slotBlocks = {
  none: (at, x) => x,
  conv: LocalMixer,
  se: noted(SEAttention),
  eca: noted(ECAAttention),
  cbam: noted(CBAMBlock()),
  bam: noted(BAMBlock()),
  sk: Skip(noted(SKAttention())),
  psa: Skip(normedPSA()),
  "self-attention": TokenMixer(ScaledDotProductAttention),
  danet: noted(DAModule),
  emsa: TokenMixer(EMSA),
  external: TokenMixer(ExternalAttention),
};

// What stands in a slot: its block; the channels in another order, or no block, where a cause says so.
function slot(at, block, x) {
  return (at.run.slot = { before: x, after: filled(at, block, x) }).after;
}

function filled(at, block, x) {
  if (at.isOff("block")) return x;
  const order = at.cause("order"), C = x.shape[0];
  if (order && (order.length !== C || new Set(order).size !== C || order.some((c) => !(c >= 0 && c < C))))
    throw new Error(`order must hold each of the ${C} channels once, got ${order}`);
  return order ? take(block(at, take(x, order)), inverse(order)) : block(at, x);
}

// ---- networks/context.py

function LocalGate(at, x) {
  const gates = at.map("channel_and_place", sigmoid(conv(at.to("W2"), relu(conv(at.to("W1"), x)))));
  return map(x, (v, i) => v * gates.data[i]);
}

function AddedContext(at, x) {
  const context = linear(at.to("W2"), relu(linear(at.to("W1"), mean(x)))), n = x.shape[1] * x.shape[2];
  return map(x, (v, i) => Math.max(0, v + context.data[(i / n) | 0]));
}

function Shuffled(at, x) {
  const order = Array.from(at.get("order").data), z = at.note("z", mean(x));
  const gates = lineGates(take(z, order), at.get("block.conv.weight"));
  return scale(x, at.map("channel", take(gates, inverse(order))));
}

const ContextNet = {
  blocks: { ...slotBlocks, "local-gate": noted(LocalGate), "added-context": AddedContext, "eca-shuffled": noted(Shuffled),
    "global-context": noted(GlobalContextBlock) },
  stem: (at, x) => convBnRelu(at.to("stem.1"), convBnRelu(at.to("stem.0"), x, { stride: 2 }), { stride: 2 }),
  rest(at, x, block) {
    const y = convBnRelu(at.to("tail.1"), convBnRelu(at.to("tail.0"), slot(at.to("block"), block, x)));
    return linear(at.to("head"), amax(y));
  },
};

// ---- networks/residual.py

const ResidualNet = {
  blocks: {
    none: {},
    cbam: { gate: CBAMBlock() },
    "cbam-average": { gate: CBAMBlock({ pools: { mean } }) },
    "cbam-max": { gate: CBAMBlock({ pools: { amax } }) },
    "cbam-3x3": { gate: CBAMBlock() },
    "cbam-spatial-first": { gate: CBAMBlock({ order: "spatial first" }) },
    "cbam-parallel": { gate: CBAMBlock({ order: "parallel" }) },
    "cbam-plain": { gate: CBAMBlock(), residual: false },
    bam: { bottleneck: BAMBlock(), after: [0, 1] },
    "bam-product": { bottleneck: BAMBlock({ combine: (c, s) => c * s }), after: [0, 1] },
    "bam-first": { bottleneck: BAMBlock(), after: [0] },
    "bam-last": { bottleneck: BAMBlock(), after: [2] },
    "coordinate-plain": { gate: CoordinateAttention, residual: false },
  },
  stem: (at, x) => convBnRelu(at.to("stem"), x, { stride: 2 }),
  rest(at, x, { gate, bottleneck, after = [], residual = true }) {
    for (const i of [0, 1, 2]) {
      const block = at.to(`blocks.${i}`), stride = i === 1 ? 2 : 1;
      const F = convBnRelu(block.to("convs.0"), x, { stride });
      let y = batchNorm(block.to("convs.2"), conv(block.to("convs.1"), F));
      if (gate) y = slot(block.to("gate"), noted(gate), y);
      x = relu(residual ? add(skipped(block.to("skip"), x, stride), y) : y);
      if (after.includes(i)) x = slot(at.to(`bottlenecks.${i}`), noted(bottleneck), x);
    }
    return linear(at.to("head"), amax(x));
  },
};

// nn.Identity, or a 1 × 1 convolution with batch norm where the sizes differ.
const skipped = (at, x, stride) => (at.get("0.weight") ? batchNorm(at.to(1), conv(at.to(0), x, { stride })) : x);

// ---- networks/scale.py

const ScaleNet = {
  blocks: {
    sk: noted(SKAttention()),
    "sk-even": noted(SKAttention({ same: true })),
    psa: normedPSA(),
    "psa-open": normedPSA({ gate: (t) => t }),
    "psa-even": normedPSA({ same: true }),
  },
  stem: (at, x) => convBnRelu(at.to("stem.1"), convBnRelu(at.to("stem.0"), x, { stride: 2 }), { stride: 2 }),
  rest(at, x, middle) {
    for (const bottleneck of at.all("blocks")) {
      const y = slot(bottleneck.to("middle"), middle, convBnRelu(bottleneck.to("reduce"), x));
      const expanded = batchNorm(bottleneck.to("expand.1"), conv(bottleneck.to("expand.0"), y));
      x = relu(add(skipped(bottleneck.to("skip"), x, 1), expanded));
    }
    return linear(at.to("head"), amax(x));
  },
};

// ---- networks/search.py

const threeConvs = (at, x) => [2, 2, 1].reduce((y, stride, i) => convBnRelu(at.to(`stem.${i}`), y, { stride }), x);

const SearchNet = {
  blocks: { ...slotBlocks, "emsa-1": TokenMixer(EMSA), "emsa-4": TokenMixer(EMSA), "emsa-plain": TokenMixer(EMSA) },
  stem: threeConvs,
  rest(at, x, block) {
    const y = convBnRelu(at.to("tail"), slot(at.to("block"), block, x));
    return linear(at.to("head.2"), relu(linear(at.to("head.0"), amax(y))));
  },
};

// ---- networks/segment.py

const branch = (middle) => (at, x) => convBnRelu(at.to(2), middle(at.to(1), convBnRelu(at.to(0), x)));

const SegmentNet = {
  blocks: {
    danet: noted(DAModule),
    "danet-position": branch(noted(PositionAttentionModule)),
    "danet-channel": branch(noted(ChannelAttentionModule())),
    "danet-channel-published": branch(noted(ChannelAttentionModule({ sign: -1 }))),
    none: branch((at, x) => x),
    conv: branch(LocalMixer),
  },
  stem: threeConvs,
  rest(at, x, block, image) {
    const y = convBnRelu(at.to("tail"), slot(at.to("block"), block, x));
    const coarse = pixelShuffle(conv(at.to("enlarge.0"), y), 4);                               // (8, 48, 48)
    return conv(at.to("head.1"), convBnRelu(at.to("head.0"), cat([coarse, image])));
  },
};

// ---- lab/recipes.py

const NETWORKS = {
  "context-gating": ContextNet, "cued-search": SearchNet, "cued-segmentation": SegmentNet, "one-digit": SearchNet,
  "one-digit-residual": ResidualNet, "any-size": ScaleNet, "binding-2": SearchNet,
};

// ---- running one

const entrance = (causes, weights) => new At({ causes, weights, blocks: {}, met: new Set(), parts: new Set() }, "");

class Network {
  constructor(about, weights) {
    Object.assign(this, about, { weights });
    this.network = NETWORKS[this.task];
    this.block = this.network?.blocks[this.model];
    if (!this.block) throw new Error(`the engine has no network ${this.model} of the task ${this.task}`);
  }

  forward(image, causes = {}) {
    const weights = { ...this.weights, ...this.changed(causes.weights ?? {}) };
    const at = entrance(causes, weights), { run } = at;
    const output = this.network.rest(at, this.stem(at, image), this.block, image);
    check(run);
    return { scores: output.data, blocks: run.blocks, block: Object.values(run.blocks)[0], slot: run.slot };
  }

  // The first half of a forward pass of this image, for a page that takes a breath between the two.
  begin(image) {
    this.stem(entrance({}, this.weights), image);
  }

  // Kept for the next forward pass, unless a cause has reached into it.
  stem(at, image) {
    const { off = [], weights = {} } = at.run.causes;
    if ([...off, ...Object.keys(weights)].some((name) => name.startsWith("stem"))) return this.network.stem(at, image);
    if (this.kept?.image !== image) this.kept = { image, features: this.network.stem(at, image) };
    return this.kept.features;
  }

  changed(weights) {
    const known = Object.keys(this.weights);
    return Object.fromEntries(Object.entries(weights).map(([name, value]) => {
      if (!known.includes(name)) throw new Error(`weights must name some of ${known.join(", ")}; got ${name}`);
      return [name, replaced(name, this.weights[name], value)];
    }));
  }
}

// Raise an Error if a cause names what the network has not met.
function check({ causes: { set = {}, off = [], forbid, only }, blocks, met, parts }) {
  const maps = Object.values(blocks).flatMap((block) => Object.keys(block.maps));
  const unknown = (names) => names.find((name) => !met.has(name));
  const refuse = (cause, known, got) => {
    if (got !== undefined) throw new Error(`${cause} must name some of ${[...new Set(known)].join(", ")}; got ${got}`);
  };
  refuse("only", Object.keys(blocks), only === undefined || blocks[only] || off.includes("block") ? undefined : only);
  refuse("set", maps, unknown(Object.keys(set)));
  refuse("off", parts, unknown(off));
  refuse("forbid", ["the places of a map of positions, which this network has not"], forbid && unknown(["forbid"]));
}

// A safetensors file: the length of a JSON, the JSON with name, shape and place of each tensor, the tensors.
function load(bytes) {
  const start = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const { __metadata__: about, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const weights = {};
  for (const [name, { shape, data_offsets: [from, to] }] of Object.entries(entries)) {
    if (start + to > bytes.length) throw new Error(`the weights end before ${name}`);
    weights[name] = tensor(shape, halves(bytes.subarray(start + from, start + to)));
  }
  return new Network(JSON.parse(about.network), weights);
}

// IEEE half precision, two bytes a number, the lower first.
function halves(bytes) {
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const code = bytes[2 * i] | (bytes[2 * i + 1] << 8), exponent = (code >> 10) & 31, fraction = (code & 1023) / 1024;
    return (code & 0x8000 ? -1 : 1) * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
  });
}

return { load };
}
