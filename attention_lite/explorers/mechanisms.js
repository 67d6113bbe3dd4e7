// ---------------------------------------------------------------- mechanisms: the blocks of attention_lite/*.py
//
// In the same order and under the same names as the Python files: lay the two side by side. Each is a function of `at`, its
// place in a network (see At in engine.js), and of x, features (C, H, W) or tokens (N, C):
//
//   at.get("weight")          a weight, by its name in the state_dict     at.to("W1")   the place of a part
//   at.map("channel", s)      the attention weights s, or what a cause puts in their place
//   at.allowed(scores)        scores, −∞ where a cause forbids a key
//   at.note("hidden", t)      keeps t for the reader
//
// All in one function, which needs Tensors of tensors.js and nothing else: a worker is made of its text.

function Mechanisms({
  EPS, add, amax, conv2d, count, filled, line, logSumExp, map, matmul, mean, relu, reshape, scale, scalePlaces,
  sigmoid, softmax, stack, standardised, swapFirst, tensor, tokensOf, transpose,
} = Tensors()) {
const HEADS = 4; // networks/slot.py: of self-attention and EMSA, whose weights do not tell

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
  for (let c = 0, i = 0; b && c < y.shape[0]; c++) for (; i < (c + 1) * n; i++) y.data[i] += b.data[c];
  return at.out(y);
}

// nn.BatchNorm as it works after training: each channel of (C, …) times a number, plus a number.
function batchNorm(at, x) {
  const [weight, bias, m, v] = ["weight", "bias", "running_mean", "running_var"].map((part) => at.get(part).data);
  const n = x.data.length / x.shape[0], y = tensor(x.shape);
  for (let c = 0; c < x.shape[0]; c++) {
    const g = weight[c] / Math.sqrt(v[c] + EPS), shift = bias[c] - m[c] * g;
    for (let i = c * n; i < (c + 1) * n; i++) y.data[i] = x.data[i] * g + shift;
  }
  return y;
}

function layerNorm(at, tokens) {
  const weight = at.get("weight").data, bias = at.get("bias").data, C = weight.length;
  return map(standardised(tokens), (v, i) => v * weight[i % C] + bias[i % C]);
}

const convBnRelu = (at, x, options) => at.out(relu(batchNorm(at.to(1), conv(at.to(0), x, options))));

// A block whose features before and after are kept.
const noted = (block) => (at, x) => at.note("after", block(at, at.note("before", x)));

// ---- se.py

function SEAttention(at, x) {
  const z = at.note("z", mean(x));                                       // squeeze: (C, H, W) -> (C)
  const hidden = at.note("hidden", relu(linear(at.to("W1"), z)));        // excite:  (C) -> (C/r) -> (C)
  const s = at.map("channel", sigmoid(linear(at.to("W2"), hidden)));
  return scale(x, s);
}

// ---- eca.py

// One kernel along the line of C numbers, zeros beyond its ends.
const lineGates = (z, { data: kernel }) => sigmoid(map(z, (_, c) =>
  kernel.reduce((sum, w, j) => sum + w * (z.data[c + j - (kernel.length >> 1)] ?? 0), 0)));

function ECAAttention(at, x) {
  const z = at.note("z", mean(x));                                       // squeeze: (C, H, W) -> (C)
  const s = at.map("channel", lineGates(z, at.get("conv.weight")));
  return scale(x, s);
}

// ---- cbam.py, with the ablations of networks/residual.py: another order, or one pool alone

const CBAMBlock = ({ order = "channel first", pools = { mean, amax } } = {}) => (at, x) => {
  const [, H, W] = x.shape;
  const mlp = (name, pooled) => linear(at.to("W1"), at.note(`hidden_${name}`, relu(linear(at.to("W0"), pooled))));
  const channel = (F) => at.map("channel", sigmoid(
    Object.entries(pools).map(([name, pool]) => mlp(name, pool(F))).reduce(add)));             // one MLP for both
  const spatial = (F) => at.map("spatial", reshape(sigmoid(
    conv(at.to("conv"), stack(Object.values(pools).map((pool) => reshape(pool(tokensOf(F)), H, W))))), H, W));
  if (order === "spatial first") {
    const refined = scalePlaces(x, spatial(x));
    return scale(refined, channel(refined));
  }
  const refined = scale(x, channel(x));
  return scalePlaces(refined, spatial(order === "parallel" ? x : refined));
};

// ---- bam.py

const BAMBlock = ({ combine = (c, s) => c + s } = {}) => (at, x) => {
  const channels = at.to("channel_branch"), places = at.to("spatial_branch"), [, H, W] = x.shape, n = H * W;
  const hidden = at.note("hidden", relu(linear(channels.to(0), mean(x))));
  const M_c = at.map("channel_logits", channels.out(batchNorm(channels.to(4), linear(channels.to(3), hidden))));
  let y = relu(conv(places.to(0), x));
  for (const layer of [3, 6]) y = relu(conv(places.to(layer), y, { dilation: 4 }));
  const M_s = at.map("spatial_logits", reshape(places.out(batchNorm(places.to(10), conv(places.to(9), y))), H, W));
  const M = at.map("channel_and_place", sigmoid(map(x, (_, i) => combine(M_c.data[(i / n) | 0], M_s.data[i % n]))));
  return map(x, (v, i) => v + v * M.data[i]);
};

// ---- coordinate.py

// nn.Conv1d with a kernel of 1, on (C, n).
function pointwise(at, x) {
  const W = at.get("weight"), b = at.get("bias").data, n = x.shape[1];
  return at.out(map(matmul(reshape(W, W.shape[0], W.shape[1]), x), (v, i) => v + b[(i / n) | 0]));
}

const hardSwish = (t) => map(t, (v) => (v * Math.min(Math.max(v + 3, 0), 6)) / 6);
const meansOfRows = ([C, H, W], x) => reshape(mean(reshape(x, C * H, W)), C, H);

function CoordinateAttention(at, x) {
  const [C, H, W] = x.shape;
  const hidden = (means) => hardSwish(batchNorm(at.to("norm"), pointwise(at.to("F1"), means)));          // (C/r, n)
  const gates = (part, means) => sigmoid(pointwise(at.to(part), hidden(means)));
  const g_h = at.map("rows", gates("F_h", meansOfRows([C, H, W], x)), -1);                               // (C, H)
  const g_w = at.map("columns", gates("F_w", meansOfRows([C, W, H], transpose(x))), -1);                 // (C, W)
  return map(x, (v, i) => v * g_h.data[(i / W) | 0] * g_w.data[((i / (H * W)) | 0) * W + (i % W)]);
}

// ---- sk.py, with the control of networks/scale.py: all branches weigh the same

const SKAttention = ({ same = false } = {}) => (at, x) => {
  const U = at.all("branches").map((branch, m) => at.note(`U${m}`, convBnRelu(branch, x, { dilation: m + 1 })));
  const s = at.note("s", U.map(mean).reduce(add));                       // GAP of the sum is the sum of the GAPs: (C)
  const weigh = () => {
    const z = at.note("z", relu(batchNorm(at.to("compact.1"), linear(at.to("compact.0"), s))));
    return softmax(reshape(linear(at.to("select"), z), U.length, x.shape[0]), 0);
  };
  const a = at.map("kernel", same ? filled([U.length, x.shape[0]], 1 / U.length) : weigh(), 0);          // (M, C)
  return U.map((u, m) => scale(u, line(a, m))).reduce(add);
};

// ---- psa.py, with the controls of networks/scale.py

const PSA = ({ gate = sigmoid, same = false } = {}) => (at, x) => {
  const F = at.all("convs").map((layer, i) => at.note(`F${i}`, conv(layer, x)));               // S maps (C/S, H, W)
  const Z = (w, f) => gate(linear(w.to("W1"), relu(linear(w.to("W0"), mean(f)))));             // SEWeight: (C/S)
  const weigh = () => softmax(stack(at.all("weights").map((w, i) => Z(w, F[i]))), 0);
  const att = at.map("split", same ? filled([F.length, F[0].shape[0]], 1 / F.length) : weigh(), 0);      // (S, C/S)
  return reshape(stack(F.map((f, i) => scale(f, line(att, i)))), ...x.shape);
};

// ---- self_attention.py

// The last axis split into heads, (N, h·d) -> (h, N, d), and joined again: two transposes of the axes (N, h, d).
const heads = (x, h) => swapFirst(reshape(x, x.shape[0], h, x.shape[1] / h));
const joined = (x) => reshape(swapFirst(x), x.shape[1], x.shape[0] * x.shape[2]);
const divided = (Q) => map(Q, (v) => v / Math.sqrt(Q.shape.at(-1)));

function ScaledDotProductAttention(at, x) {
  const [Q, K, V] = ["Q", "K", "V"].map((name) => at.note(name, heads(linear(at.to(`W_${name}`), x), HEADS)));
  const scores = at.allowed(matmul(divided(Q), transpose(K)));           // (h, N, N)
  const A = at.map("position", softmax(scores), -1);
  return linear(at.to("W_O"), joined(matmul(A, V)));                     // (N, h·d) -> (N, C)
}

// ---- danet.py

function PositionAttentionModule(at, x) {
  const tokens = stack([tokensOf(x)]);                                   // one head: (1, N, C)
  const [Q, K, V] = [["Q", "C"], ["K", "B"], ["V", "D"]].map(([name, part]) =>       // the paper's letters are C, B, D
    at.note(name, linear(at.to(part), tokens)));
  const S = at.map("position", softmax(at.allowed(matmul(Q, transpose(K)))), -1);              // (1, N, N)
  const alpha = at.get("alpha").data[0], read = transpose(matmul(S, V));                       // (1, C, N)
  return map(x, (v, i) => v + alpha * read.data[i]);
}

const ChannelAttentionModule = ({ sign = 1 } = {}) => (at, x) => {       // sign −1: that of the published code
  const A = reshape(x, x.shape[0], x.shape[1] * x.shape[2]);             // (C, N)
  const energy = at.note("scores", matmul(A, transpose(A)));             // (C, C)
  const X = at.map("channel_to_channel", softmax(map(energy, (v) => sign * v)), -1);
  const beta = at.get("beta").data[0], read = matmul(X, A);
  return map(x, (v, i) => v + beta * read.data[i]);
};

function DAModule(at, x) {
  const branch = (name, module) => {
    const y = noted(module)(at.to(name), convBnRelu(at.to(`before_${name}`), x));
    for (const kind of ["maps", "computed"]) Object.assign(at.record[kind], at.to(name).record[kind]);
    return convBnRelu(at.to(`after_${name}`), y);
  };
  return add(branch("position", PositionAttentionModule), branch("channel", ChannelAttentionModule()));
}

// ---- emsa.py

function EMSA(at, tokens) {
  const fewer = shrunken(at, tokens);
  const [Q, K, V] = [["Q", tokens], ["K", fewer], ["V", fewer]].map(([name, x]) =>
    at.note(name, heads(linear(at.to(`W_${name}`), x), HEADS)));
  const scores = matmul(divided(Q), transpose(K)), { shape } = scores, mix = at.get("mix.weight");       // (h, N, N')
  const flat = (t) => reshape(t, HEADS, shape[1] * shape[2]);            // a head's whole map is one line
  const mixed = mix ? reshape(matmul(reshape(mix, HEADS, HEADS), flat(scores)), ...shape) : scores;
  const weights = at.note("softmax", softmax(at.allowed(mixed)));
  const A = at.map("position", mix ? reshape(standardised(flat(weights)), ...shape) : weights, -1);
  return linear(at.to("W_O"), joined(matmul(A, V)));
}

// Fewer keys and values: (N, C) -> (N', C); the kernel is one larger than the ratio.
function shrunken(at, tokens) {
  const kernel = at.get("shrink.weight"), [N, C] = tokens.shape, side = Math.sqrt(N);
  if (!kernel) return tokens;
  const x = conv(at.to("shrink"), reshape(transpose(tokens), C, side, side), { stride: kernel.shape[2] - 1 });
  return layerNorm(at.to("norm"), tokensOf(x));
}

// ---- global_context.py

function GlobalContextBlock(at, x) {
  const [, H, W] = x.shape, n = H * W;
  const a = at.map("context", reshape(softmax(reshape(conv(at.to("W_k"), x), 1, n)), H, W)); // one map for all
  const z = matmul(reshape(a, 1, n), tokensOf(x));                                             // their average: (1, C)
  const brought = linear(at.to("W_v2"), relu(layerNorm(at.to("norm"), linear(at.to("W_v1"), z))));
  return map(x, (v, i) => v + brought.data[(i / n) | 0]);
}

// ---- external.py

function ExternalAttention(at, x) {
  const F = heads(x, x.shape[1] / at.get("M_k.weight").shape[1]);        // (h, N, d/h)
  const logits = at.note("scores", linear(at.to("M_k"), F)), S = logits.shape[2];
  const sums = at.map("sums", logSumExp(logits, 1));                     // over the tokens: (h, 1, S)
  const log_a = map(logits, (v, i) => v - sums.data[((i / (logits.shape[1] * S)) | 0) * S + (i % S)]);
  const A = at.map("slot", softmax(log_a), -1);                          // (h, N, S)
  return linear(at.to("W_O"), joined(linear(at.to("M_v"), A)));
}

return {
  linear, conv, batchNorm, layerNorm, convBnRelu, noted, SEAttention, lineGates, ECAAttention, CBAMBlock, BAMBlock,
  CoordinateAttention, SKAttention, PSA, ScaledDotProductAttention, PositionAttentionModule, ChannelAttentionModule, DAModule, EMSA,
  GlobalContextBlock, ExternalAttention,
};
}
