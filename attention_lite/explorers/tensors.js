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
const add = (a, b) => map(a, (v, i) => v + b.data[i]);
const relu = (t) => map(t, (v) => (v > 0 ? v : 0));
const sigmoid = (t) => map(t, (v) => 1 / (1 + Math.exp(-v)));
const reshape = (t, ...shape) => tensor(shape, t.data);

// (…, C, H, W) -> (C): over all places of each channel.
function pool(x, f, start) {
  const n = count(x.shape.slice(1));
  return tensor([x.shape[0]], Float32Array.from({ length: x.shape[0] }, (_, c) => {
    let s = start;
    for (let i = c * n; i < c * n + n; i++) s = f(s, x.data[i]);
    return s;
  }));
}
const larger = (a, b) => (a > b ? a : b);
const amax = (x) => pool(x, larger, -Infinity);
const mean = (x) => map(pool(x, (a, b) => a + b, 0), (v) => v / count(x.shape.slice(1)));

// Each channel times its gate: (C, H, W) · (C).
function scale(x, s) {
  const n = count(x.shape.slice(1));
  return map(x, (v, i) => v * s.data[(i / n) | 0]);
}

// (…, m, n) -> (…, n, m).
function transpose(t) {
  const [m, n] = t.shape.slice(-2);
  const out = tensor([...t.shape.slice(0, -2), n, m]);
  for (let at = 0; at < t.data.length; at += m * n)
    for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) out.data[at + j * m + i] = t.data[at + i * n + j];
  return out;
}

// (a, b, n) -> (b, a, n).
function swapFirst(t) {
  const [a, b, n] = t.shape, out = tensor([b, a, n]);
  for (let i = 0; i < a; i++) for (let j = 0; j < b; j++)
    out.data.set(t.data.subarray((i * b + j) * n, (i * b + j + 1) * n), (j * a + i) * n);
  return out;
}

// out (m, n) += A (m, k) · B (k, n), where all the time goes: four rows of B at a time, each times its number in A, are
// added to two rows of out. It is the sum of the plain triple loop; this way numbers are fetched more seldom.
function addProduct(out, A, B, m, n, k) {
  for (let i = 0; i < m; i += 2) {
    const r = i * n, pair = i + 1 < m ? 1 : 0, s = r + pair * n;         // 0: the last row, if it has no partner
    let p = 0;
    for (; p + 4 <= k; p += 4) {
      const a = i * k + p, e = a + pair * k;
      const a0 = A[a], a1 = A[a + 1], a2 = A[a + 2], a3 = A[a + 3];
      const e0 = pair * A[e], e1 = pair * A[e + 1], e2 = pair * A[e + 2], e3 = pair * A[e + 3];
      for (let j = 0, b = p * n; j < n; j++, b++) {
        const b0 = B[b], b1 = B[b + n], b2 = B[b + 2 * n], b3 = B[b + 3 * n];
        out[r + j] += a0 * b0 + a1 * b1 + a2 * b2 + a3 * b3;
        out[s + j] += e0 * b0 + e1 * b1 + e2 * b2 + e3 * b3;
      }
    }
    for (; p < k; p++) {
      const a0 = A[i * k + p], e0 = pair * A[(i + pair) * k + p];
      for (let j = 0, b = p * n; j < n; j++, b++) { out[r + j] += a0 * B[b]; out[s + j] += e0 * B[b]; }
    }
  }
}

// (h, m, k) · (h, k, n) -> (h, m, n), or without h.
function matmul(a, b) {
  const [m, k] = a.shape.slice(-2), n = b.shape.at(-1), out = tensor([...a.shape.slice(0, -1), n]);
  for (let h = 0; h < count(a.shape.slice(0, -2)); h++) {
    const part = (t, size) => t.data.subarray(h * size, (h + 1) * size);
    addProduct(part(out, m * n), part(a, m * k), part(b, k * n), m, n, k);
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
  for (let i = start; i < end; i += step) sum += d[i] = top === -Infinity ? 0 : Math.exp(d[i] - top);
  for (let i = start; i < end; i += step) d[i] /= sum || 1;
});
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

// The numbers that a k × k kernel meets: a row an entry of the kernel, a column a place, (C · k · k, H' · W').
function columns(x, k, stride, dilation, [H_out, W_out]) {
  const [C, H, W] = x.shape, pad = dilation * (k >> 1), out = new Float32Array(C * k * k * H_out * W_out);
  let to = 0;
  for (let c = 0; c < C; c++) for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) for (let y = 0; y < H_out; y++) {
    const row = y * stride + i * dilation - pad, inside = row >= 0 && row < H;
    for (let u = 0, column = j * dilation - pad; u < W_out; u++, to++, column += stride)
      if (inside && column >= 0 && column < W) out[to] = x.data[(c * H + row) * W + column];
  }
  return out;
}

// x (C, H, W) with weight (C', C / groups, k, k), padded so that stride 1 keeps the size: a matrix product a group.
function conv2d(x, weight, { stride = 1, dilation = 1 }) {
  const [C_out, width, k] = weight.shape, [C, H, W] = x.shape, groups = C / width, rows = C_out / groups;
  const side = (n) => Math.floor((n + 2 * dilation * (k >> 1) - dilation * (k - 1) - 1) / stride) + 1;
  const y = tensor([C_out, side(H), side(W)]), n = y.shape[1] * y.shape[2], K = width * k * k;
  for (let g = 0; g < groups; g++) {
    const part = (d, size) => d.subarray(g * size, (g + 1) * size);
    const met = columns(tensor([width, H, W], part(x.data, width * H * W)), k, stride, dilation, y.shape.slice(1));
    addProduct(part(y.data, rows * n), part(weight.data, rows * K), met, rows, n, K);
  }
  return y;
}

return {
  EPS, add, amax, conv2d, count, even, inverse, map, matmul, mean, meanOf, relu, reshape, scale, sigmoid, softmax,
  standardised, swapFirst, take, tensor, transpose,
};
}
