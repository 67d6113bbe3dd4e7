// ---------------------------------------------------------------- colour and texture of patches

// CIELAB of a pixel of sRGB, 0 to 255: D65, as scikit-image has it.
function labOf(r, g, b) {
  const [R, G, B] = [r, g, b].map((v) => (v / 255 > 0.04045 ? ((v / 255 + 0.055) / 1.055) ** 2.4 : v / 255 / 12.92));
  const [x, y, z] = [
    (0.412453 * R + 0.35758 * G + 0.180423 * B) / 0.95047,
    0.212671 * R + 0.71516 * G + 0.072169 * B,
    (0.019334 * R + 0.119193 * G + 0.950227 * B) / 1.08883,
  ].map((v) => (v > 0.008856 ? Math.cbrt(v) : 7.787 * v + 16 / 116));
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

// What `describe` in lab/patches.py says of each patch of a square picture, (N, 8) in tens of CIELAB units: means and
// standard deviations of L, a, b, and the mean steps of L downwards and to the right.
function describePatches(rgba, side, grid) {
  const lab = new Float64Array(3 * side * side);
  for (let p = 0; p < side * side; p++) lab.set(labOf(...rgba.subarray(4 * p, 4 * p + 3)), 3 * p);
  const patch = side / grid;
  const out = new Float32Array(8 * grid * grid);
  for (let place = 0; place < grid * grid; place++) {
    const [sums, squares, steps] = [[0, 0, 0], [0, 0, 0], [0, 0]];
    for (let i = 0; i < patch * patch; i++) {
      const y = Math.floor(place / grid) * patch + Math.floor(i / patch);
      const x = (place % grid) * patch + (i % patch);
      const at = 3 * (y * side + x);
      for (let c = 0; c < 3; c++) {
        sums[c] += lab[at + c];
        squares[c] += lab[at + c] ** 2;
      }
      if (y < side - 1) steps[0] += Math.abs(lab[at + 3 * side] - lab[at]);
      if (x < side - 1) steps[1] += Math.abs(lab[at + 3] - lab[at]);
    }
    const means = sums.map((sum) => sum / patch ** 2);
    const spreads = squares.map((sum, c) => Math.sqrt(Math.max(0, sum / patch ** 2 - means[c] ** 2)));
    out.set([...means, ...spreads, ...steps.map((sum) => sum / patch ** 2)].map((v) => v / 10), 8 * place);
  }
  return out;
}
