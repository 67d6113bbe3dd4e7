// ---------------------------------------------------------------- engine: the lab's small networks, run in the page
//
// The blocks of attention_lite/*.py and the networks of attention_lite/networks/*.py, in that order and under the same
// names: lay the two side by side. A layer finds its weights by their names in the state_dict.
//
//   const engine = Engine();                      // needs Tensors of tensors.js, nothing else; a worker is made of
//                                                 // `${Tensors} ${Engine}`
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
//                               channel, spatial, kernel, split, position, …
//     .computed.channel         the same as the block computed them from this picture, before any cause
//     .steps                    what was made on the way: before and after, its features; the hidden units; Q, K, V
//                               (h, N, d) and scores (h, N, N'), what the softmax gets; see each mechanism's note(…)
//   run.block                   the first or only one of them (undefined for the controls without any)
//
// Causes, all optional, alone or together:
//
//   set: {channel: 0.5}         all weights of a map are this number: {channel: 1} gate off, {position: 0} nothing is read
//        {channel: {7: 1}}      some of them are, by their number in the flattened map
//        {channel: other}       they are those of a tensor or array: run.block.maps.channel of another scene, a mean …
//        {channel: "even"}      they are all the mean of their own; where they sum to one, that sum in equal shares
//   forbid: [17, 18]            no query may read these keys: their scores become −∞
//   off: ["W_O"]                parts that give zeros, by their Python names: "branches.1" (sk), "convs.3" (psa),
//                               "channel_branch" (bam), "after_position" (danet) …; "block": the features pass unchanged
//   weights: {"head.bias": 0}   other weights, by their names in the state_dict; as in `set`: "block.position.alpha",
//                               "block.conv.weight" …
//   order: [3, 0, …]            the block sees the channels in this order; what it gives is put back into the old one
//   only: "blocks.1.gate"       set, forbid, off and order reach this block alone; otherwise all
//
// A map, part, weight or key that the network does not have is an Error that says which it has.

function Engine({
  EPS, add, amax, conv2d, count, even, inverse, map, matmul, mean, meanOf, relu, reshape, scale, sigmoid, softmax,
  standardised, swapFirst, take, tensor, transpose,
} = Tensors()) {
const HEADS = 4; // networks/slot.py: of self-attention and EMSA, whose weights do not tell

// ---- a place in the network: its weights by name, its causes, its record

class At {
  constructor(run, name) { this.run = run; this.name = name; }
  to(part) { return new At(this.run, this.name ? `${this.name}.${part}` : part); }
  get(part) { return this.run.weights[this.to(part).name]; }
  note(step, t) { return (this.record.steps[step] = t); }
  get record() { return (this.run.blocks[this.name] ??= { maps: {}, computed: {}, steps: {} }); }

  cause(kind) {
    const { only, [kind]: wanted } = this.run.causes;
    return only === undefined || `${this.name}.`.startsWith(`${only}.`) ? wanted : undefined;
  }

  // The weights with which a block works: noted as computed, and as `set` wants them. axis: the one that sums to one.
  map(name, computed, axis) {
    const order = name === "channel" ? this.cause("order") : undefined, wanted = this.cause("set")?.[name];
    const own = (this.record.computed[name] = order ? take(computed, inverse(order)) : computed);
    const used = (this.record.maps[name] = wanted === undefined ? own : replaced(name, own, wanted, axis));
    if (wanted !== undefined) this.run.met.add(name);
    return order ? take(used, order) : used;
  }

  // Scores before the softmax; those of forbidden keys are −∞.
  allowed(scores) {
    const n = scores.shape.at(-1), gone = this.cause("forbid");
    this.note("scores", scores);
    if (!gone) return scores;
    const wrong = gone.find((key) => !(key >= 0 && key < n));
    if (wrong !== undefined) throw new Error(`forbid must hold keys from 0 to ${n - 1}, got ${wrong}`);
    this.run.met.add("forbid");
    return map(scores, (v, i) => (gone.includes(i % n) ? -Infinity : v));
  }

  // What a part of the network gives: zeros if it is off.
  out(y) {
    this.run.parts.add(this.name);
    return this.isOff() ? tensor(y.shape) : y;
  }
  isOff() {
    const off = (this.cause("off") ?? []).filter((part) => `.${this.name}`.endsWith(`.${part}`));
    off.forEach((part) => this.run.met.add(part));
    return off.length > 0;
  }
}

function replaced(name, own, wanted, axis) {
  const n = own.data.length;
  if (wanted === "even") return axis === undefined ? map(own, () => meanOf(own.data, 0, n, 1)) : even(own, axis);
  if (typeof wanted === "number") return map(own, () => wanted);
  const data = wanted.data ?? wanted;
  if (data.length === undefined) return map(own, (v, i) => wanted[i] ?? v);
  if (data.length !== n) throw new Error(`set.${name} must have ${n} numbers, got ${data.length}`);
  return tensor(own.shape, Float32Array.from(data));
}

// ---- layers

// nn.Linear on a vector (C) or on tokens (…, N, C).
function linear(at, x) {
  const W = at.get("weight"), b = at.get("bias"), [C_out, C] = W.shape;
  const y = matmul(reshape(x, count(x.shape) / C, C), transpose(W));
  return at.out(reshape(b ? map(y, (v, i) => v + b.data[i % C_out]) : y, ...x.shape.slice(0, -1), C_out));
}

// nn.Conv2d with the padding that keeps the size at stride 1.
function conv(at, x, options = {}) {
  const b = at.get("bias"), y = conv2d(x, at.get("weight"), options), n = y.shape[1] * y.shape[2];
  return at.out(b ? map(y, (v, i) => v + b.data[(i / n) | 0]) : y);
}

// nn.BatchNorm as it works after training: each channel of (C, …) times a number, plus a number.
function batchNorm(at, x) {
  const [weight, bias, m, v] = ["weight", "bias", "running_mean", "running_var"].map((part) => at.get(part).data);
  const n = x.data.length / x.shape[0], g = weight.map((w, c) => w / Math.sqrt(v[c] + EPS));
  return map(x, (value, i) => (value - m[(i / n) | 0]) * g[(i / n) | 0] + bias[(i / n) | 0]);
}

function layerNorm(at, tokens) {
  const weight = at.get("weight").data, bias = at.get("bias").data, C = weight.length;
  return map(standardised(tokens), (v, i) => v * weight[i % C] + bias[i % C]);
}

const convBnRelu = (at, x, options) => at.out(relu(batchNorm(at.to(1), conv(at.to(0), x, options))));

// ---- se.py

function SEAttention(at, x) {
  const z = at.note("z", mean(x));                                       // squeeze: (C, H, W) -> (C)
  const hidden = at.note("hidden", relu(linear(at.to("W1"), z)));        // excite:  (C) -> (C/r) -> (C)
  const s = at.map("channel", sigmoid(linear(at.to("W2"), hidden)));
  return scale(x, s);
}

// ---- self_attention.py

// The last axis split into heads, (N, h·d) -> (h, N, d), and joined again: two transposes of the axes (N, h, d).
const heads = (x, h) => swapFirst(reshape(x, x.shape[0], h, x.shape[1] / h));
const joined = (x) => reshape(swapFirst(x), x.shape[1], x.shape[0] * x.shape[2]);

function ScaledDotProductAttention(at, tokens) {
  const [Q, K, V] = ["Q", "K", "V"].map((name) => at.note(name, heads(linear(at.to(`W_${name}`), tokens), HEADS)));
  const scores = matmul(map(Q, (v) => v / Math.sqrt(Q.shape[2])), transpose(K));              // (h, N, N)
  const A = at.map("position", softmax(at.allowed(scores)), -1);
  return linear(at.to("W_O"), joined(matmul(A, V)));                     // (N, h·d) -> (N, C)
}

// ---- networks/slot.py

// Features before and after a block.
function noted(at, block, x) {
  at.note("before", x);
  return at.note("after", block(at, x));
}

// (C, H, W) -> (N, C): place number row · W + column.
const tokensOf = (x) => transpose(reshape(x, x.shape[0], count(x.shape.slice(1))));

const TokenMixer = (block) => (at, x) => {
  const tokens = layerNorm(at.to("norm"), tokensOf(x));
  return add(x, reshape(transpose(noted(at.to("block"), block, tokens)), ...x.shape));
};

const slotBlocks = {
  se: (at, x) => noted(at, SEAttention, x),
  "self-attention": TokenMixer(ScaledDotProductAttention),
};

// What stands in a slot; in another order of the channels, or nothing, if a cause says so.
function slot(at, block, x) {
  const order = at.cause("order");
  at.run.parts.add("block");
  if ((at.cause("off") ?? []).includes("block")) { at.run.met.add("block"); return x; }
  return order ? take(block(at, take(x, order)), inverse(order)) : block(at, x);
}

// ---- networks/context.py

const ContextNet = {
  blocks: slotBlocks,
  stem: (at, x) => convBnRelu(at.to("stem.1"), convBnRelu(at.to("stem.0"), x, { stride: 2 }), { stride: 2 }),
  rest(at, x, block) {
    const y = convBnRelu(at.to("tail.1"), convBnRelu(at.to("tail.0"), slot(at.to("block"), block, x)));
    return linear(at.to("head"), amax(y));
  },
};

// ---- networks/search.py

const SearchNet = {
  blocks: slotBlocks,
  stem: (at, x) => [[0, 2], [1, 2], [2, 1]].reduce((y, [i, stride]) => convBnRelu(at.to(`stem.${i}`), y, { stride }), x),
  rest(at, x, block) {
    const y = convBnRelu(at.to("tail"), slot(at.to("block"), block, x));
    return linear(at.to("head.2"), relu(linear(at.to("head.0"), amax(y))));
  },
};

// ---- lab/recipes.py: the network of each task

const NETWORKS = { "context-gating": ContextNet, "cued-search": SearchNet, "one-digit": SearchNet };

// A safetensors file: the length of a JSON, the JSON with name, shape and place of each tensor, the tensors.
function load(bytes) {
  const start = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const { __metadata__: about, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const weights = {};
  for (const [name, { shape, data_offsets: [from, to] }] of Object.entries(entries)) {
    weights[name] = tensor(shape, halves(bytes.subarray(start + from, start + to)));
  }
  return new Network(about, weights);
}

// IEEE half precision, two bytes a number, the lower first.
function halves(bytes) {
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const code = bytes[2 * i] | (bytes[2 * i + 1] << 8), exponent = (code >> 10) & 31, fraction = (code & 1023) / 1024;
    return (code & 0x8000 ? -1 : 1) * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
  });
}

class Network {
  constructor(about, weights) {
    Object.assign(this, about, { weights });
    this.network = NETWORKS[this.task];
    this.block = this.network?.blocks[this.model];
    if (!this.block) throw new Error(`task and model must be ones of the lab's, got ${this.task}, ${this.model}`);
  }

  forward(image, causes = {}) {
    const weights = { ...this.weights, ...this.changed(causes.weights ?? {}) };
    const run = { causes, weights, blocks: {}, met: new Set(), parts: new Set() }, at = new At(run, "");
    const stem = Object.keys(causes.weights ?? {}).some((name) => name.startsWith("stem")) || image !== this.seen?.image
      ? this.network.stem(at, image) : this.seen.stem;
    if (!causes.weights) this.seen = { image, stem };
    const output = this.network.rest(at, stem, this.block, image);
    this.check(run);
    return { scores: output.data, blocks: run.blocks, block: Object.values(run.blocks)[0] };
  }

  changed(weights) {
    return Object.fromEntries(Object.entries(weights).map(([name, value]) => {
      const own = this.weights[name];
      if (!own) throw new Error(`weights must name weights of the network (${Object.keys(this.weights).join(", ")}), got ${name}`);
      return [name, replaced(name, own, value)];
    }));
  }

  check({ causes, blocks, met, parts }) {
    const maps = new Set(Object.values(blocks).flatMap((block) => Object.keys(block.maps)));
    for (const name of Object.keys(causes.set ?? {})) {
      if (!met.has(name)) throw new Error(`set must name a map that the network has (${[...maps].join(", ")}), got ${name}`);
    }
    for (const part of causes.off ?? []) {
      if (!met.has(part)) throw new Error(`off must name a part that the network has (${[...parts].join(", ")}), got ${part}`);
    }
    if (causes.forbid && !met.has("forbid")) throw new Error("forbid needs a map of positions: this network has none");
  }
}

return { load };
}
