// ---------------------------------------------------------------- places that ask: queries, keys, and what they weigh

const TWIN = 0.5; // twins differ by less than that, over all parts and channels; flags with another hue by far more

class LiveAsking extends ChannelExplorer {
  // The block of a run that is looked at, of those that hold such a map or step: the one that is forced, else the last.
  blockWith(run, kind, ...names) {
    const holds = Object.keys(run.blocks).filter((name) => names.some((one) => run.blocks[name][kind][one]));
    return run.blocks[holds.includes(this.get("block")) ? this.get("block") : holds.at(-1)];
  }

  // The block in which places ask; undefined in a network without.
  asking() {
    return this.blockWith(this.run, "steps", "Q") ?? this.blockWith(this.run, "steps", "scores");
  }

  head(map) {
    return clamp(this.get("head"), 0, map.shape[0] - 1);
  }

  // The place that asks: the chosen one, or the middle of the digit that is asked for.
  query() {
    if (this.get("query") >= 0) return Math.min(this.get("query"), this.side ** 2 - 1);
    const k = Math.max(0, this.askedDigit());
    const at = (v) => clamp(Math.floor((v / this.spec.size) * this.side), 0, this.side - 1);
    return at(this.drawn.y[k]) * this.side + at(this.drawn.x[k]);
  }

  where(place, side) {
    return `row ${Math.floor(place / side) + 1}, column ${(place % side) + 1}`;
  }

  // The slot that is looked at: a chosen one, or that from which the asking place reads most.
  slot(slots) {
    if (this.get("slot") >= 0) return Math.min(this.get("slot"), slots - 1);
    const line = this.lineOf(this.asking().maps.slot);
    return line.indexOf(Math.max(...line));
  }

  // One head's line of a map (h, N, n): the n numbers of the place that asks.
  lineOf(map, head = this.get("head")) {
    const [heads, N, n] = map.shape;
    const from = (clamp(head, 0, heads - 1) * N + this.query()) * n;
    return map.data.subarray(from, from + n);
  }

  // All of one pair: query and key, score, weight, value, and the average that the weights make; undefined without keys.
  pair() {
    return (this.paired ??= this.findPair()); // of this run: several views ask
  }

  findPair() {
    const block = this.asking();
    if (!block?.steps.Q) return undefined;
    const { Q, K, V, scores } = block.steps;
    const weights = this.lineOf(block.maps.position);
    const n = weights.length;
    const strongest = weights.indexOf(Math.max(...weights));
    const key = this.get("key") >= 0 ? Math.min(this.get("key"), n - 1) : strongest;
    const vector = (t, i) => t.data.subarray((this.head(t) * t.shape[1] + i) * t.shape[2], (this.head(t) * t.shape[1] + i + 1) * t.shape[2]);
    const [q, k, v] = [vector(Q, this.query()), vector(K, key), vector(V, key)];
    const average = new Float32Array(v.length);
    for (let j = 0; j < n; j++) {
      const value = vector(V, j);
      for (let c = 0; c < v.length; c++) average[c] += weights[j] * value[c];
    }
    const line = this.lineOf(scores);
    const dot = q.reduce((sum, a, i) => sum + a * k[i], 0);
    const near = (value) => Math.abs(value - line[key]) < 1e-3 * (1 + Math.abs(value));
    return { n, key, keySide: Math.sqrt(n), q, k, v, average, d: q.length, scores: line, weights, score: line[key], weight: weights[key], scaled: !near(dot), mixed: !near(dot) && !near(dot / Math.sqrt(q.length)), normed: Math.min(...weights) < 0, forbidden: new Set(this.keysForbidden) };
  }

  // For each place the key that speaks for it: of fewer keys than places, the one whose window's middle is nearest
  // (lab/scoring.py: key_of).
  keyOf(keys) {
    const [side, keySide] = [this.side, Math.sqrt(keys)];
    const ratio = side / keySide;
    const nearest = range(side).map((i) => Math.min(keySide - 1, Math.floor((i + Math.floor((ratio - 1) / 2)) / ratio)));
    return range(side * side).map((i) => nearest[Math.floor(i / side)] * keySide + nearest[i % side]);
  }

  // How much of the weight of the place that asks lies on each thing, in words; of a normed map, before the norm. Places
  // that have a key together share its weight.
  sharesOn() {
    const scene = this.scene();
    const block = this.asking();
    const weights = this.lineOf(block.steps.softmax ?? block.maps.position);
    const keys = this.keyOf(weights.length);
    const counts = new Uint8Array(weights.length);
    keys.forEach((key) => counts[key]++);
    const share = (thing) => this.drawing.on(this.drawn, thing, this.side).reduce((sum, on, i) => sum + (on * weights[keys[i]]) / counts[keys[i]], 0);
    if (scene.flags) return this.sharesOnFlags(share);
    const digits = scene.digits.map((colour, k) => `${share(k).toFixed(2)} on the ${colour} digit`);
    const disc = scene.disc_yx ? [`${share("disc").toFixed(2)} of the weight${this.pair()?.normed ? ", before the norm," : ""} lies on the disc`] : [];
    return [...disc, ...digits].join(", ");
  }

  // The same of flags: on the one that asks, on its twin, on the others. A twin is alike in all parts.
  sharesOnFlags(share) {
    const { flags } = this.drawn;
    const [one, twin, rest] = [this.askingFlag(), this.twinOf(this.askingFlag()), "of the weight"];
    const on = (which) => range(flags.length).filter(which).reduce((sum, k) => sum + share(k), 0).toFixed(2);
    if (one < 0) return `${on(() => true)} ${rest} lies on the flags`;
    const other = (k) => k !== one && k !== twin;
    return `${on((k) => k === one)} ${rest} lies on its own flag, ${twin < 0 ? "which has no twin" : `${on((k) => k === twin)} on its twin`}, ${on(other)} on the ${twin < 0 ? "five" : "four"} others`;
  }

  // The flag on which the asking place lies; -1: none.
  askingFlag() {
    return this.drawn.flags.findIndex((_, k) => this.drawing.on(this.drawn, k, this.side)[this.query()]);
  }

  twinOf(one) {
    const { flags } = this.drawn;
    const dotted = (k) => k < flags.length / 2;
    return flags.findIndex((other, k) => one >= 0 && dotted(k) !== dotted(one) && this.causes.unlike(other, flags[one]) < TWIN);
  }
}
