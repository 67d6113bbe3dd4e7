// ---------------------------------------------------------------- draw: the lab's scenes, drawn in the page
//
// attention_lite/lab/scenes.py in JavaScript, one scene at a time. A scene has the fields of the lab's Scenes:
//
//   size                                side of the square picture, in pixels at scale 1
//   crop                                Uint8Array(3 · size · size): the photograph behind it, channels first
//   light, contrast                     factors on its brightness, and on its differences from its mean colour
//   glyphs                              of each digit, Float32Array(32 · 32) in [0, 1]: glyph(8 × 8 grey levels, 0…16)
//   y, x, side, angle, opacity, colour  of each digit: centre and size in pixels, radians, [0, 1], [r, g, b] in [0, 1]
//   frame                               [r, g, b] or null
//   disc_yx, disc_colour                [y, x] and [r, g, b], or null
//   flags                               null, or of each flag the colours of its parts; colour is then that of its dot
//
//   const { draw, pictures, glyph, coverOf, on } = Drawing();
//   draw(scene)                         Float32Array(3 · size · size) in [0, 1], channels first
//   draw({ ...scene, crop }, 4)         at four times the size, for the reader, with a crop of that size
//   coverOf(scene, "disc")              how much of each pixel the disc covers, or a digit or flag: coverOf(scene, 1)
//   on(scene, "disc", 12)               1 at the places of a 12 × 12 grid of which it covers more than 15 %
//   pictures(scene)                     what the networks see: {shape: [3, size, size], data}, for net.forward
//
// All in one function, without anything from outside: a worker is made of its text.

function Drawing() {
const FRAME_WIDTH = 3, DISC_DIAMETER = 11; // pixels, at scale 1
const RIM = 7, DOT = 5; // diameters of a flag's white rim and dot
// Of a flag of 1 to 4 parts each part's top, left, bottom and right, as shares of its side.
const FLAG_PARTS = { 1: [[0, 0, 1, 1]], 2: [[0, 0, 1, 0.5], [0, 0.5, 1, 1]], 3: [[0, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]], 4: [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]] };
const GLYPH = 32; // digits are smoothed from 8 × 8 to this many pixels before they are drawn
const MEAN = 0.45, STD = 0.27; // lab/training.py: of the photographs' grey levels, about

const clamp = (v) => Math.max(0, Math.min(1, v));

// Bicubic enlargement of the 8 × 8 grey levels 0…16, as torch's, with a little more contrast. Letters a … q are levels, too.
function glyph(given) {
  const levels = typeof given === "string" ? Array.from(given, (letter) => letter.charCodeAt(0) - 97) : given;
  const taps = Array.from({ length: GLYPH }, (_, to) => {                // which four of the eight, and how much of each
    const from = (to + 0.5) / 4 - 0.5, first = Math.floor(from) - 1;
    return [0, 1, 2, 3].map((i) => [Math.max(0, Math.min(7, first + i)), cubic(Math.abs(from - first - i))]);
  });
  const along = (line) => (four) => four.reduce((sum, [i, w]) => sum + w * line(i), 0);
  const smooth = taps.flatMap((rows) => taps.map((columns) =>
    along((y) => along((x) => levels[8 * y + x] / 16)(columns))(rows)));
  return Float32Array.from(smooth, (v) => clamp((v - 0.15) * 1.8));
}
const cubic = (d) => (d <= 1 ? (1.25 * d - 2.25) * d * d + 1 : ((-0.75 * d + 3.75) * d - 6) * d + 3);

// How much of the pixel at (y, x), numbers in [-1, 1] across the picture, digit k covers.
function cover(scene, k) {
  const { size, glyphs: { [k]: stamp } } = scene, zoom = size / scene.side[k];
  const c = zoom * Math.cos(scene.angle[k]), s = zoom * Math.sin(scene.angle[k]);
  const at = (i, j) => (i < 0 || j < 0 || i >= GLYPH || j >= GLYPH ? 0 : stamp[i * GLYPH + j]);
  return (y, x) => {
    const dy = y - (2 * scene.y[k]) / size + 1, dx = x - (2 * scene.x[k]) / size + 1;      // from the digit's centre
    const v = ((c * dy - s * dx + 1) * GLYPH - 1) / 2, u = ((c * dx + s * dy + 1) * GLYPH - 1) / 2;
    if (u <= -1 || v <= -1 || u >= GLYPH || v >= GLYPH) return 0;
    const i = Math.floor(v), j = Math.floor(u), b = v - i, a = u - j;
    return (at(i, j) * (1 - a) + at(i, j + 1) * a) * (1 - b) + (at(i + 1, j) * (1 - a) + at(i + 1, j + 1) * a) * b;
  };
}

// How much of a pixel a circle or a rectangle covers; edges are one drawn pixel wide.
const circle = ([y0, x0], diameter, scale) => (y, x) => clamp((diameter / 2 - Math.hypot(y - y0, x - x0)) * scale + 0.5);
function rectangle(scene, k, [top, left, bottom, right], scale) {
  const { y: { [k]: y0 }, x: { [k]: x0 }, side: { [k]: side } } = scene;
  const within = (v, middle, low, high) => clamp((v - middle - side * (low - 0.5)) * scale + 0.5) * clamp((middle + side * (high - 0.5) - v) * scale + 0.5);
  return (y, x) => within(y, y0, top, bottom) * within(x, x0, left, right);
}

// How much of the pixel at (y, x), in pixels at scale 1, a digit, a flag or the disc covers.
function coverAt(scene, thing, scale = 1) {
  if (thing === "disc") return circle(scene.disc_yx, DISC_DIAMETER, scale);
  if (scene.flags) return rectangle(scene, thing, FLAG_PARTS[1][0], scale);
  const digit = cover(scene, thing);
  return (y, x) => digit((2 * y) / scene.size - 1, (2 * x) / scene.size - 1);
}

// f(i, m, y, x) for each pixel near a thing: its number, how much of it, m > 0, the thing covers, and where it lies.
function whereCovered(scene, thing, scale, f) {
  const S = scene.size * scale, at = coverAt(scene, thing, scale);
  const [y0, x0] = thing === "disc" ? scene.disc_yx : [scene.y[thing], scene.x[thing]];
  const reach = thing === "disc" ? (DISC_DIAMETER + 1) / 2 : scene.side[thing] * Math.SQRT1_2 * (1 + 1 / GLYPH);
  const from = (v) => Math.max(0, Math.floor((v - reach) * scale)), to = (v) => Math.min(S, Math.ceil((v + reach) * scale));
  for (let y = from(y0); y < to(y0); y++) for (let x = from(x0); x < to(x0); x++) {
    const [v, u] = [(y + 0.5) / scale, (x + 0.5) / scale], m = at(v, u);
    if (m) f(y * S + x, m, v, u);
  }
}

function coverOf(scene, thing) {
  const covers = new Float32Array(scene.size ** 2);
  whereCovered(scene, thing, 1, (i, m) => (covers[i] = m));
  return covers;
}

// lab/scoring.py: on_grid
function on(scene, thing, side) {
  const { size } = scene, step = size / side, sums = new Float32Array(side * side);
  whereCovered(scene, thing, 1, (i, m) => (sums[Math.floor(i / size / step) * side + Math.floor((i % size) / step)] += m));
  return Uint8Array.from(sums, (sum) => (sum / step ** 2 > 0.15 ? 1 : 0));
}

function draw(scene, scale = 1) {
  const S = scene.size * scale, n = S * S, out = new Float32Array(3 * n);
  const paint = (colour, i, m) => {                                      // so much of `colour` lies over pixel i
    for (let c = 0; c < 3; c++) out[c * n + i] += m * (colour[c] - out[c * n + i]);
  };
  for (let c = 0; c < 3; c++) {
    let mean = 0;
    for (let i = c * n; i < c * n + n; i++) mean += scene.crop[i] / 255 / n;
    for (let i = c * n; i < c * n + n; i++) out[i] = (mean + scene.contrast * (scene.crop[i] / 255 - mean)) * scene.light;
  }
  if (scene.flags) scene.flags.forEach((_, k) => drawFlag(scene, k, scale, paint));
  else scene.glyphs.forEach((_, k) => whereCovered(scene, k, scale, (i, m) => paint(scene.colour[k], i, scene.opacity[k] * m)));
  if (scene.disc_yx) whereCovered(scene, "disc", scale, (i, m) => paint(scene.disc_colour, i, m));
  if (scene.frame) {
    const edge = (v) => v < FRAME_WIDTH * scale || v >= S - FRAME_WIDTH * scale;
    for (let y = 0, i = 0; y < S; y++) for (let x = 0; x < S; x++, i++) if (edge(y) || edge(x)) paint(scene.frame, i, 1);
  }
  for (let i = 0; i < 3 * n; i++) out[i] = clamp(out[i]);
  return out;
}

// A flag's parts, its white rim, its dot. The parts' edges share the pixels between them.
function drawFlag(scene, k, scale, paint) {
  const parts = FLAG_PARTS[scene.flags[k].length].map((edges) => rectangle(scene, k, edges, scale));
  const [rim, dot] = [RIM, DOT].map((diameter) => circle([scene.y[k], scene.x[k]], diameter, scale));
  const opacity = scene.opacity[k];
  whereCovered(scene, k, scale, (i, _, y, x) => {
    const covers = parts.map((cover) => cover(y, x)), all = covers.reduce((a, b) => a + b, 0);
    if (all) paint([0, 1, 2].map((c) => covers.reduce((sum, m, part) => sum + m * scene.flags[k][part][c], 0) / all), i, opacity * all);
    paint([1, 1, 1], i, opacity * rim(y, x));
    paint(scene.colour[k], i, opacity * dot(y, x));
  });
}

function pictures(scene) {
  const data = draw(scene);
  for (let i = 0; i < data.length; i++) data[i] = (data[i] - MEAN) / STD;
  return { shape: [3, scene.size, scene.size], data };
}

return { draw, pictures, glyph, coverOf, on };
}
