/* A vision transformer of the size "small" on one photograph: twelve layers, six heads, weights of 8 bits.

   transformer_kernel.js holds what scripts/kernel.py compiles of this. The page's worker writes the network's bytes,
   in the layout of `Network`, to weights(), and the photograph's pixels to pixels(); it calls embed, layer(0) … layer(11)
   and finish, and reads queries(), keys() and tokens(). draw() makes the network as it is before any training. lab/page_transformer.py packs the network: LayerNorm's scale
   and shift stand in the matrix after it, layer scale in the one before, 1/√d in that of the queries.

   Rows are padded to ROWS, a multiple of 4, columns to one of 8: no loop has a rest. What stands in the padding is
   finite, and no real token sees it. */

enum { SIDE = 224, PATCH = 14, GRID = SIDE / PATCH, TOKENS = 1 + GRID * GRID, ROWS = 260, COLUMNS = 264 };
enum { LAYERS = 12, HEADS = 6, DEPTH = 64, WIDTH = HEADS * DEPTH, HIDDEN = 4 * WIDTH, PIXELS = 3 * PATCH * PATCH };
enum { LANES = 8, GROUP = 64, PIXEL_GROUP = 49 };

typedef float Lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int Whole __attribute__((vector_size(4 * LANES)));
typedef signed char Codes __attribute__((vector_size(LANES), aligned(1), may_alias));
typedef unsigned short Half; /* of a float's 16 bits */

/* rows × columns, cut into panels of 8 columns: the codes of a panel row by row, a scale for each column and group of
   rows, and what is added to each column. */
#define MATRIX(rows, columns, group) \
  struct { signed char codes[(columns) * (rows)]; Half scales[(columns) * (rows) / (group)], bias[columns]; }

typedef struct {
  Half places[TOKENS * WIDTH]; /* position of each token, the class token itself in the first */
  MATRIX(PIXELS, WIDTH, PIXEL_GROUP) patch;
  struct {
    MATRIX(WIDTH, 3 * WIDTH, GROUP) qkv;
    MATRIX(WIDTH, WIDTH, GROUP) out;
    MATRIX(WIDTH, HIDDEN, GROUP) up;
    MATRIX(HIDDEN, WIDTH, GROUP) down;
  } layers[LAYERS];
  Half scale[WIDTH], shift[WIDTH]; /* of the last LayerNorm */
} Network;

static Network network;
static unsigned char rgba[SIDE * SIDE * 4];
static float kept_queries[LAYERS][HEADS][TOKENS][DEPTH], kept_keys[LAYERS][HEADS][TOKENS][DEPTH];
static float x[ROWS * WIDTH], normed[ROWS * WIDTH], heads[ROWS * WIDTH], hidden[ROWS * HIDDEN];
static float q[ROWS * DEPTH], k[COLUMNS * DEPTH], v[ROWS * DEPTH], weights_of_head[ROWS * COLUMNS];
static float panel[HIDDEN * LANES];

#define EXPORT(type, name) __attribute__((export_name(#name))) type name
EXPORT(void *, weights)(void) { return &network; }
EXPORT(int, size)(void) { return sizeof network; }
EXPORT(void *, pixels)(void) { return rgba; }
EXPORT(void *, queries)(void) { return kept_queries; }
EXPORT(void *, keys)(void) { return kept_keys; }
EXPORT(void *, tokens)(void) { return normed; }

/* ------------------------------------------------------------------------------------------------ numbers */

/* The exponent of 16 bits has a bias of 15, that of 32 bits one of 127: 112 more. */
static float wide(Half half) {
  union { unsigned bits; float value; } f = {(half & 0x7fffu) << 13};
  f.value *= 0x1p112f;
  return half & 0x8000 ? -f.value : f.value;
}

/* Rounded to the nearest, of two to the even one. */
static Half narrow(float value) {
  union { float value; unsigned bits; } f = {(value < 0 ? -value : value) * 0x1p-112f};
  return (f.bits + 0xfff + (f.bits >> 13 & 1)) >> 13 | (value < 0 ? 0x8000 : 0);
}

static Lanes all(float value) { return (Lanes){value, value, value, value, value, value, value, value}; }

static Lanes wide8(const Half *from) {
  Lanes out;
  for (int i = 0; i < LANES; i++) out[i] = wide(from[i]);
  return out;
}

static Lanes larger(Lanes a, Lanes b) { return __builtin_elementwise_max(a, b); }

/* e^y = 2^n · e^r with |r| ≤ ln(2)/2, where seven terms of the series are enough for a float. */
static Lanes exponential(Lanes y) {
  y = larger(y, all(-87));
  Lanes n = __builtin_elementwise_roundeven(y * 1.44269504f), r = y - n * 0.693147181f;
  Lanes series = 1 + r * (1 + r * (1 / 2.f + r * (1 / 6.f + r * (1 / 24.f + r * (1 / 120.f + r * (1 / 720.f))))));
  return series * (Lanes)((__builtin_convertvector(n, Whole) + 127) << 23);
}

/* z · Φ(z); erf by Abramowitz and Stegun, 7.1.26, whose error is below 1.5e-7. */
static Lanes gelu(Lanes z) {
  Lanes a = __builtin_elementwise_abs(z) * 0.707106781f, t = 1 / (1 + 0.3275911f * a);
  Lanes series = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  Lanes below = 0.5f * series * exponential(-a * a); /* Φ(−|z|) */
  return larger(z, all(0)) - __builtin_elementwise_abs(z) * below;
}

/* ------------------------------------------------------------------------------------------------ matrices */

enum After { WRITE, ADD, GELU };

/* Eight columns of out: a, ROWS × depth, times the panel, depth × 8. Strides count floats. */
static void columns(const float *a, int a_stride, int depth, Lanes bias, enum After after, float *out, int stride) {
  const Lanes *rows = (const Lanes *)panel;
  for (int i = 0; i < ROWS; i += 4, a += 4 * a_stride, out += 4 * stride) {
    Lanes sums[4] = {bias, bias, bias, bias};
    for (int c = 0; c < depth; c++)
      for (int r = 0; r < 4; r++) sums[r] += a[r * a_stride + c] * rows[c];
    for (int r = 0; r < 4; r++) {
      Lanes *to = (Lanes *)(out + r * stride);
      *to = after == GELU ? gelu(sums[r]) : after == ADD ? *to + sums[r] : sums[r];
    }
  }
}

/* out = after(a · M + bias) for `count` columns of M from `first` on; M is `rows` high. */
static void times(const float *a, const signed char *codes, const Half *scales, const Half *bias, int rows, int group,
                  int first, int count, enum After after, float *out, int stride) {
  for (int at = first; at < first + count; at += LANES, out += LANES) {
    const Codes *code = (const Codes *)(codes + at * rows);
    const Half *scale = scales + at * (rows / group);
    for (int c = 0; c < rows; c += group, scale += LANES) {
      Lanes scaled = wide8(scale);
      for (int i = c; i < c + group; i++) ((Lanes *)panel)[i] = __builtin_convertvector(code[i], Lanes) * scaled;
    }
    columns(a, rows, rows, wide8(bias + at), after, out, stride);
  }
}

#define TIMES(a, m, rows, group, first, count, after, out, stride) \
  times(a, (m).codes, (m).scales, (m).bias, rows, group, first, count, after, out, stride)

/* Each row less its mean, over its standard deviation. */
static void normalise(void) {
  for (int i = 0; i < ROWS; i++) {
    const float *from = x + i * WIDTH;
    float mean = 0, variance = 0;
    for (int c = 0; c < WIDTH; c++) mean += from[c] / WIDTH;
    for (int c = 0; c < WIDTH; c++) variance += (from[c] - mean) * (from[c] - mean) / WIDTH;
    float spread = __builtin_sqrtf(variance + 1e-6f);
    for (int c = 0; c < WIDTH; c++) normed[i * WIDTH + c] = (from[c] - mean) / spread;
  }
}

/* softmax over the first TOKENS of each row; the padding gets no weight. */
static void softmax(void) {
  for (int i = 0; i < ROWS; i++) {
    float *row = weights_of_head + i * COLUMNS, top = row[0], sum = 0;
    for (int j = 1; j < TOKENS; j++) top = row[j] > top ? row[j] : top;
    for (int j = 0; j < COLUMNS; j += LANES) *(Lanes *)(row + j) = exponential(*(Lanes *)(row + j) - top);
    for (int j = TOKENS; j < COLUMNS; j++) row[j] = 0;
    for (int j = 0; j < TOKENS; j++) sum += row[j];
    for (int j = 0; j < COLUMNS; j++) row[j] /= sum;
  }
}

/* softmax(QKᵀ) V of one head, into its columns of `heads`. */
static void attend(int head) {
  for (int j = 0; j < COLUMNS; j += LANES) {
    for (int c = 0; c < DEPTH; c++)
      for (int i = 0; i < LANES; i++) panel[c * LANES + i] = k[(j + i) * DEPTH + c];
    columns(q, DEPTH, DEPTH, all(0), WRITE, weights_of_head + j, COLUMNS);
  }
  softmax();
  for (int c = 0; c < DEPTH; c += LANES) {
    for (int j = 0; j < TOKENS; j++) ((Lanes *)panel)[j] = *(Lanes *)(v + j * DEPTH + c);
    columns(weights_of_head, COLUMNS, TOKENS, all(0), WRITE, heads + head * DEPTH + c, WIDTH);
  }
}

/* ------------------------------------------------------------------------------------------------ the network */

/* Pixels to tokens. The pixels of a patch lie channel by channel, row by row, as in torch's convolution. */
EXPORT(void, embed)(void) {
  static const float mean[] = {0.485f, 0.456f, 0.406f}, spread[] = {0.229f, 0.224f, 0.225f};
  for (int y = 0; y < SIDE; y++)
    for (int u = 0; u < SIDE; u++)
      for (int c = 0; c < 3; c++) {
        int token = 1 + y / PATCH * GRID + u / PATCH, at = (c * PATCH + y % PATCH) * PATCH + u % PATCH;
        hidden[token * PIXELS + at] = (rgba[4 * (y * SIDE + u) + c] / 255.f - mean[c]) / spread[c];
      }
  for (int at = 0; at < PIXELS; at++) hidden[at] = 0;
  TIMES(hidden, network.patch, PIXELS, PIXEL_GROUP, 0, WIDTH, WRITE, x, WIDTH);
  for (int c = 0; c < WIDTH; c++) x[c] = 0; /* the class token has no pixels */
  for (int at = 0; at < TOKENS * WIDTH; at++) x[at] += wide(network.places[at]);
}

EXPORT(void, layer)(int i) {
  normalise();
  for (int head = 0; head < HEADS; head++) {
    float *parts[] = {q, k, v};
    for (int part = 0; part < 3; part++)
      TIMES(normed, network.layers[i].qkv, WIDTH, GROUP, part * WIDTH + head * DEPTH, DEPTH, WRITE, parts[part], DEPTH);
    __builtin_memcpy(kept_queries[i][head], q, sizeof kept_queries[i][head]);
    __builtin_memcpy(kept_keys[i][head], k, sizeof kept_keys[i][head]);
    attend(head);
  }
  TIMES(heads, network.layers[i].out, WIDTH, GROUP, 0, WIDTH, ADD, x, WIDTH);
  normalise();
  TIMES(normed, network.layers[i].up, WIDTH, GROUP, 0, HIDDEN, GELU, hidden, HIDDEN);
  TIMES(hidden, network.layers[i].down, HIDDEN, GROUP, 0, WIDTH, ADD, x, WIDTH);
}

EXPORT(void, finish)(void) {
  normalise();
  for (int at = 0; at < TOKENS * WIDTH; at++)
    normed[at] = normed[at] * wide(network.scale[at % WIDTH]) + wide(network.shift[at % WIDTH]);
}

/* ------------------------------------------------------------------------------------------------ before training */

/* The Mersenne Twister of Matsumoto and Nishimura (1998), as torch has it. */
enum { STATE = 624, SHIFT = 397 };
static unsigned state[STATE], used;

static void seed(unsigned value) {
  used = STATE;
  for (int i = 0; i < STATE; i++) {
    state[i] = value;
    value = 1812433253u * (value ^ value >> 30) + i + 1;
  }
}

static unsigned draw_bits(void) {
  if (used == STATE) {
    used = 0;
    for (int i = 0; i < STATE; i++) {
      unsigned y = (state[i] & 0x80000000u) | (state[(i + 1) % STATE] & 0x7fffffffu);
      state[i] = state[(i + SHIFT) % STATE] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
  }
  unsigned y = state[used++];
  y ^= y >> 11;
  y ^= y << 7 & 0x9d2c5680u;
  y ^= y << 15 & 0xefc60000u;
  return y ^ y >> 18;
}

/* torch's nn.Linear and nn.Conv2d draw weights, then biases, between ±1/√rows, 24 bits of chance each. */
static float draw_weight(int rows) {
  float bound = 1 / __builtin_sqrt(rows);
  return (draw_bits() & 0xffffff) * 0x1p-24f * (2 * bound) - bound;
}

/* `count` columns of a matrix from `first` on, times `factor`. */
static void draw_columns(signed char *codes, Half *scales, Half *bias, int rows, int group, int first, int count,
                         float factor) {
  for (int column = first; column < first + count; column++) {
    int at = column / LANES * LANES, lane = column % LANES;
    for (int i = 0; i < rows; i++) panel[i] = draw_weight(rows) * factor;
    for (int g = 0; g < rows / group; g++) {
      float *of_group = panel + g * group, top = 0;
      for (int i = 0; i < group; i++) top = __builtin_fabsf(of_group[i]) > top ? __builtin_fabsf(of_group[i]) : top;
      Half scale = scales[at * (rows / group) + g * LANES + lane] = narrow(top / 127);
      for (int i = 0; i < group; i++) {
        float code = __builtin_roundevenf(of_group[i] / wide(scale));
        codes[at * rows + (g * group + i) * LANES + lane] = code > 127 ? 127 : code < -127 ? -127 : code;
      }
    }
  }
  for (int column = first; column < first + count; column++) bias[column] = narrow(draw_weight(rows) * factor);
}

#define DRAW(m, rows, group, first, count, factor) \
  draw_columns((m).codes, (m).scales, (m).bias, rows, group, first, count, factor)

/* All but the places, in torch's order. */
EXPORT(void, draw)(int from) {
  seed(from);
  for (int i = 0; i < LAYERS; i++) {
    for (int part = 0; part < 3; part++)
      DRAW(network.layers[i].qkv, WIDTH, GROUP, part * WIDTH, WIDTH, part == 0 ? 0.125f : 1); /* 1/√64 */
    DRAW(network.layers[i].out, WIDTH, GROUP, 0, WIDTH, 1);
    DRAW(network.layers[i].up, WIDTH, GROUP, 0, HIDDEN, 1);
    DRAW(network.layers[i].down, HIDDEN, GROUP, 0, WIDTH, 1);
  }
  DRAW(network.patch, PIXELS, PIXEL_GROUP, 0, WIDTH, 1);
  for (int c = 0; c < WIDTH; c++) {
    network.scale[c] = narrow(1);
    network.shift[c] = 0;
  }
}
