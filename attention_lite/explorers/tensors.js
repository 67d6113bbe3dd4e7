// ---------------------------------------------------------------- tensors: the arithmetic of small networks
//
// A tensor is {shape, data: Float32Array}, the last axis side by side; there is no axis for a batch. Names are torch's.
// All in one function, without anything from outside: a worker is made of its text.

function Tensors() {
const EPS = 1e-5; // of torch's batch, layer and instance norms

const count = (shape) => shape.reduce((a, b) => a * b, 1);
const tensor = (shape, data = new Float32Array(count(shape))) => ({ shape, data });
function map(t, f) {
  const out = tensor(t.shape);
  for (let i = 0; i < out.data.length; i++) out.data[i] = f(t.data[i], i);
  return out;
}
const filled = (shape, v) => tensor(shape, new Float32Array(count(shape)).fill(v));
const add = (a, b) => map(a, (v, i) => v + b.data[i]);
function relu(t) {                                                       // the most frequent of all: without a call a number
  const out = tensor(t.shape);
  for (let i = 0; i < out.data.length; i++) out.data[i] = t.data[i] > 0 ? t.data[i] : 0;
  return out;
}
const sigmoid = (t) => map(t, (v) => 1 / (1 + Math.exp(-v)));
const reshape = (t, ...shape) => tensor(shape, t.data);

// (C, H, W) -> (C): one number of all places of each channel, by f(data, start, end).
function pool(x, f) {
  const n = count(x.shape.slice(1));
  return tensor([x.shape[0]], Float32Array.from({ length: x.shape[0] }, (_, c) => f(x.data, c * n, c * n + n)));
}
function largest(d, start, end) {
  let top = -Infinity;
  for (let i = start; i < end; i++) if (d[i] > top) top = d[i];
  return top;
}
const amax = (x) => pool(x, largest);
const mean = (x) => pool(x, (d, start, end) => meanOf(d, start, end, 1));

// Of one shape, one after the other: (n, …) of n tensors (…); along their first axis, as channels of one picture.
const stack = (list) => tensor([list.length, ...list[0].shape], joinedData(list));
const cat = (list) => tensor([list.reduce((n, t) => n + t.shape[0], 0), ...list[0].shape.slice(1)], joinedData(list));
function joinedData(list) {
  const data = new Float32Array(list.reduce((n, t) => n + t.data.length, 0));
  let at = 0;
  for (const t of list) { data.set(t.data, at); at += t.data.length; }
  return data;
}
function line(t, i) {                                                    // t[i]
  const shape = t.shape.slice(1), n = count(shape);
  return tensor(shape, t.data.subarray(i * n, (i + 1) * n));
}

// Each channel times its gate, (C, H, W) · (C); each place times its, (C, H, W) · (H, W).
function scale(x, s) {
  const n = count(x.shape.slice(1)), out = tensor(x.shape);
  for (let c = 0, i = 0; c < x.shape[0]; c++) for (; i < (c + 1) * n; i++) out.data[i] = x.data[i] * s.data[c];
  return out;
}

function scalePlaces(x, m) {
  return map(x, (v, i) => v * m.data[i % m.data.length]);
}

// (…, m, n) -> (…, n, m).
function transpose(t) {
  const [m, n] = t.shape.slice(-2);
  const out = tensor([...t.shape.slice(0, -2), n, m]);
  for (let at = 0; at < t.data.length; at += m * n)
    for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) out.data[at + j * m + i] = t.data[at + i * n + j];
  return out;
}

// A feature map as tokens, (C, H, W) -> (N, C): place number row · W + column.
const tokensOf = (x) => transpose(reshape(x, x.shape[0], count(x.shape.slice(1))));

// (a, b, n) -> (b, a, n).
function swapFirst(t) {
  const [a, b, n] = t.shape, out = tensor([b, a, n]);
  for (let i = 0, at = 0; i < a; i++) for (let j = 0; j < b; j++)
    for (let l = (j * a + i) * n; l < (j * a + i + 1) * n; l++, at++) out.data[l] = t.data[at];
  return out;
}

// out (m, n) += A (m, k) · B (k, n), where all the time goes. Row p of B begins at starts[p]. Four rows of B at a time,
// each times its number in A, are added to four rows of out: the plain triple loop, but numbers are fetched more seldom.
function addProduct(out, A, B, starts, m, n) {
  const fours = m - (m % 4);
  for (let i = 0; i < fours; i += 4) addFourRows(out, A, B, starts, i, n);
  for (let i = fours; i < m; i++) addRow(out, A, B, starts, i, n);
}

function addFourRows(out, A, B, starts, i, n) {
  const k = starts.length, r = i * n, s = r + n, t = s + n, u = t + n;
  let p = 0, a = i * k, b = a + k, c = b + k, d = c + k;
  for (; p + 4 <= k; p += 4, a += 4, b += 4, c += 4, d += 4) {
    const a0 = A[a], a1 = A[a + 1], a2 = A[a + 2], a3 = A[a + 3];
    const b0 = A[b], b1 = A[b + 1], b2 = A[b + 2], b3 = A[b + 3];
    const c0 = A[c], c1 = A[c + 1], c2 = A[c + 2], c3 = A[c + 3];
    const d0 = A[d], d1 = A[d + 1], d2 = A[d + 2], d3 = A[d + 3];
    const s0 = starts[p], s1 = starts[p + 1], s2 = starts[p + 2], s3 = starts[p + 3];
    for (let j = 0; j < n; j++) {
      const x0 = B[s0 + j], x1 = B[s1 + j], x2 = B[s2 + j], x3 = B[s3 + j];
      out[r + j] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3;
      out[s + j] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3;
      out[t + j] += c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3;
      out[u + j] += d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3;
    }
  }
  for (; p < k; p++, a++, b++, c++, d++) {
    const a0 = A[a], b0 = A[b], c0 = A[c], d0 = A[d], s0 = starts[p];
    for (let j = 0; j < n; j++) {
      const x = B[s0 + j];
      out[r + j] += a0 * x; out[s + j] += b0 * x; out[t + j] += c0 * x; out[u + j] += d0 * x;
    }
  }
}

function addRow(out, A, B, starts, i, n) {
  const k = starts.length, r = i * n;
  let p = 0, a = i * k;
  for (; p + 4 <= k; p += 4, a += 4) {
    const a0 = A[a], a1 = A[a + 1], a2 = A[a + 2], a3 = A[a + 3];
    const s0 = starts[p], s1 = starts[p + 1], s2 = starts[p + 2], s3 = starts[p + 3];
    for (let j = 0; j < n; j++) out[r + j] += a0 * B[s0 + j] + a1 * B[s1 + j] + a2 * B[s2 + j] + a3 * B[s3 + j];
  }
  for (; p < k; p++, a++) {
    const a0 = A[a], s0 = starts[p];
    for (let j = 0; j < n; j++) out[r + j] += a0 * B[s0 + j];
  }
}

// (h, m, k) · (h, k, n) -> (h, m, n), or without h.
function matmul(a, b) {
  const [m, k] = a.shape.slice(-2), n = b.shape.at(-1), out = tensor([...a.shape.slice(0, -1), n]);
  const starts = Array.from({ length: k }, (_, p) => p * n);
  for (let h = 0; h < count(a.shape.slice(0, -2)); h++) {
    const part = (t, size) => t.data.subarray(h * size, (h + 1) * size);
    addProduct(part(out, m * n), part(a, m * k), part(b, k * n), starts, m, n);
  }
  return out;
}

// Each line of numbers along an axis anew: f(d, start, end, step) changes d[start], d[start + step], … before end.
function along(t, axis, f) {
  const n = t.shape.at(axis), step = axis === -1 ? 1 : count(t.shape.slice(axis + 1)), d = t.data.slice();
  for (let o = 0; o < d.length; o += n * step)
    for (let start = o; start < o + step; start++) f(d, start, start + n * step, step);
  return tensor(t.shape, d);
}

// A line of −∞ alone, where nothing may be read, becomes a line of zeros.
const softmax = (t, axis = -1) => along(t, axis, (d, start, end, step) => {
  let top = -Infinity, sum = 0;
  for (let i = start; i < end; i += step) if (d[i] > top) top = d[i];
  for (let i = start; i < end; i += step) sum += d[i] = top === -Infinity ? 0 : power(d[i] - top);
  const share = 1 / (sum || 1);
  for (let i = start; i < end; i += step) d[i] *= share;
});

// e to the x, of x ≤ 0, by a table of the sixteenths and the series for the rest, to 1e-6 of its value: Math.exp, asked for
// each weight of a map, takes a fifth of a network's time.
const POWERS = Float64Array.from({ length: 16 * 88 }, (_, i) => Math.exp(-i / 16));
function power(x) {
  if (x <= -88) return 0;
  const i = (-16 * x) | 0, r = x + i / 16;
  return POWERS[i] * (1 + r * (1 + r * (1 / 2 + r / 6)));
}
const logSumExp = (t, axis) => {
  const [a, n, b] = [count(t.shape.slice(0, axis)), t.shape[axis], count(t.shape.slice(axis + 1))];
  const out = tensor(t.shape.map((size, i) => (i === axis ? 1 : size)));
  for (let o = 0; o < a; o++) for (let i = 0; i < b; i++) {
    let top = -Infinity, sum = 0;
    for (let j = 0; j < n; j++) top = Math.max(top, t.data[(o * n + j) * b + i]);
    for (let j = 0; j < n; j++) sum += Math.exp(t.data[(o * n + j) * b + i] - top);
    out.data[o * b + i] = top + Math.log(sum);
  }
  return out;
};
function meanOf(d, start, end, step) {
  let sum = 0;
  for (let i = start; i < end; i += step) sum += d[i];
  return (sum * step) / (end - start);
}
const even = (t, axis) => along(t, axis, (d, start, end, step) => {
  const m = meanOf(d, start, end, step);
  for (let i = start; i < end; i += step) d[i] = m;
});
const standardised = (t) => along(t, -1, (d, start, end) => {            // mean 0, variance 1
  const m = meanOf(d, start, end, 1);
  let v = 0;
  for (let i = start; i < end; i++) v += (d[i] - m) ** 2;
  v = Math.sqrt(v / (end - start) + EPS);
  for (let i = start; i < end; i++) d[i] = (d[i] - m) / v;
});

// The lines of the first axis in another order, and the order that puts them back.
function take(t, order) {
  const n = count(t.shape.slice(1)), out = tensor(t.shape);
  order.forEach((from, to) => out.data.set(t.data.subarray(from * n, (from + 1) * n), to * n));
  return out;
}
function inverse(order) {
  const back = [];
  order.forEach((from, to) => { back[from] = to; });
  return back;
}

// x (C, H, W) with weight (C', C / groups, k, k), padded so that stride 1 keeps the size. The picture is moved under the
// kernel: for each entry of the kernel, out gets the padded picture from another place on, times that entry. With stride s
// the padded picture is first dealt out into s × s smaller ones, so that what one entry meets lies side by side.
function conv2d(x, weight, { stride = 1, dilation = 1 }) {
  const [C_out, width, k] = weight.shape, [C, H, W] = x.shape, pad = dilation * (k >> 1), s = stride;
  if (k === 1 && s === 1 && width === C)
    return reshape(matmul(reshape(weight, C_out, C), reshape(x, C, H * W)), C_out, H, W);
  if (k === 3 && s === 1 && dilation === 1 && width === C && H % 2 === 0 && W % 2 === 0) return conv3x3(x, weight);
  const [h, w] = [Math.ceil((H + 2 * pad) / s), Math.ceil((W + pad) / s)];      // zeros right of a row are left of the next
  const place = (c, y, u) => (((c * s + (y % s)) * s + (u % s)) * h + ((y / s) | 0)) * w + ((u / s) | 0);
  const padded = new Float32Array(C * s * s * h * w + w + k * dilation), columns = new Int32Array(W);
  for (let u = 0; u < W; u++) columns[u] = place(0, 0, u + pad);
  for (let c = 0, i = 0; c < C; c++) for (let y = pad; y < H + pad; y++) {
    const row = place(c, y, 0);
    for (let u = 0; u < W; u++, i++) padded[row + columns[u]] = x.data[i];
  }
  const side = (n) => Math.floor((n + 2 * pad - dilation * (k - 1) - 1) / s) + 1, n = side(H) * w;
  const out = new Float32Array(C_out * n), rows = (C_out * width) / C, K = width * k * k;
  for (let g = 0; g < C / width; g++) {
    const starts = Array.from({ length: K }, (_, p) =>
      place(g * width + ((p / k / k) | 0), (((p / k) | 0) % k) * dilation, (p % k) * dilation));
    addProduct(out.subarray(g * rows * n, (g + 1) * rows * n), weight.data.subarray(g * rows * K), padded, starts, rows, n);
  }
  const y = tensor([C_out, side(H), side(W)]), W_out = y.shape[2];
  for (let l = 0, i = 0; l < C_out * y.shape[1]; l++) for (let u = 0; u < W_out; u++, i++) y.data[i] = out[l * w + u];
  return y;
}

// The same for the most frequent kernel, 3 × 3 at stride 1, by Winograd's minimal filtering (Lavin & Gray, 2016): where two
// outputs of three weights, y0 = d0 g0 + d1 g1 + d2 g2 and y1 = d1 g0 + d2 g1 + d3 g2, need six products, four are enough:
//
//   m0 = (d0 − d2) g0    m1 = (d1 + d2) (g0 + g1 + g2) / 2    m2 = (d2 − d1) (g0 − g1 + g2) / 2    m3 = (d1 − d3) g2
//   y0 = m0 + m1 + m2    y1 = m1 − m2 − m3
//
// Along x and then along y, 16 products in place of 36 make 2 × 2 outputs; each is a matrix product over the channels.
function conv3x3(x, weight) {
  const [C_out] = weight.shape, [C, H, W] = x.shape, [h, w] = [H / 2, W / 2], padded = new Float32Array(C * (H + 2) * (W + 2));
  for (let c = 0, i = 0; c < C; c++) for (let y = 1; y <= H; y++) {
    const row = (c * (H + 2) + y) * (W + 2) + 1;
    for (let u = 0; u < W; u++, i++) padded[row + u] = x.data[i];
  }
  const d = foursOfPicture(foursOfPicture(padded, C * (H + 2), w, 1), 4 * C, h, w);            // (4, 4, C, h, w)
  if (!foursOf.has(weight)) foursOf.set(weight, foursOfKernel(foursOfKernel(weight.data)));    // (4, 4, C', C)
  const m = matmul(tensor([16, C_out, C], foursOf.get(weight)), tensor([16, C, h * w], d));
  return tensor([C_out, H, W], pairs(pairs(m.data, 4 * C_out, h, w), C_out * H, w, 1));
}
const foursOf = new WeakMap();                                           // of each kernel: it seldom changes

// The four factors of each line of pictures, (lines, 2 n + 2, step) -> (4, lines, n, step), and of kernels, (…, 3) -> (4, …);
// the pairs of outputs that the products make, (4, lines, n, step) -> (lines, 2 n, step).
function foursOfPicture(from, lines, n, step) {
  const size = lines * n * step, to = new Float32Array(4 * size);
  for (let l = 0, i = 0; l < lines; l++) for (let j = 0; j < n; j++) {
    const at = (l * (2 * n + 2) + 2 * j) * step;
    for (let k = at; k < at + step; k++, i++) {
      const d1 = from[k + step], d2 = from[k + 2 * step];
      to[i] = from[k] - d2;
      to[i + size] = d1 + d2;
      to[i + 2 * size] = d2 - d1;
      to[i + 3 * size] = d1 - from[k + 3 * step];
    }
  }
  return to;
}

function foursOfKernel(from) {
  const size = from.length / 3, to = new Float32Array(4 * size);
  for (let i = 0; i < size; i++) {
    const g0 = from[3 * i], g1 = from[3 * i + 1], g2 = from[3 * i + 2];
    to[i] = g0;
    to[i + size] = (g0 + g1 + g2) / 2;
    to[i + 2 * size] = (g0 - g1 + g2) / 2;
    to[i + 3 * size] = g2;
  }
  return to;
}

function pairs(from, lines, n, step) {
  const size = lines * n * step, to = new Float32Array(2 * size);
  for (let l = 0, i = 0; l < lines * n; l++) for (let k = 2 * l * step; k < (2 * l + 1) * step; k++, i++) {
    const m1 = from[i + size], m2 = from[i + 2 * size];
    to[k] = from[i] + m1 + m2;
    to[k + step] = m1 - m2 - from[i + 3 * size];
  }
  return to;
}

// nn.PixelShuffle: r × r channels become places, (C · r · r, H, W) -> (C, H · r, W · r).
function pixelShuffle(x, r) {
  const [C, H, W] = x.shape, out = tensor([C / (r * r), H * r, W * r]);
  for (let c = 0, at = 0; c < out.shape[0]; c++) for (let y = 0; y < H * r; y++) for (let u = 0; u < W * r; u++, at++) {
    const from = (c * r + (y % r)) * r + (u % r);
    out.data[at] = x.data[(from * H + ((y / r) | 0)) * W + ((u / r) | 0)];
  }
  return out;
}

return {
  EPS, add, amax, cat, conv2d, count, even, filled, inverse, line, logSumExp, map, matmul, mean, meanOf, pixelShuffle, relu,
  reshape, scale, scalePlaces, sigmoid, softmax, stack, standardised, swapFirst, take, tensor, tokensOf, transpose,
};
}
