// ---------------------------------------------------------------- the map over the picture

// Maps that can lie over the picture, by the name that Python gives them: {values, low, high, label}; undefined where
// the network has none. Weights that sum to one are drawn up to eight times an even share, whatever the picture.
const MAPS = {
  weights: (live, head) => queryMap(live, head, live.asking()?.maps.position, " for the place that asks"),
  before: (live, head) => queryMap(live, head, live.asking()?.steps.softmax, ", before the norm"),
  context: (live) => contextMap(live.blockWith(live.run, "maps", "context")?.maps.context),
  slot: (live, head) => slotMap(live, head, live.asking()?.maps.slot),
  gates: (live) => gatesOfPlaces(live),
  change: (live) => changeMap(live),
  paint: (live) => ({ values: live.run.scores.map((logit) => 1 / (1 + Math.exp(-logit))), low: 0, high: 1, label: "how sure the network is that a pixel belongs to the digit" }),
};
const MAP_NAMES = { weights: "weights", before: "weights before the norm", context: "the one map", slot: "the slot", gates: "gates of places", paint: "the paint", change: "what the block changes", "": "nothing" };

// The line of a map (h, N, n) that belongs to the place that asks; of fewer keys than places, each place has its key's
// weight. A normed map has mean 0 and deviation 1, and no shares.
function queryMap(live, head, map, of) {
  if (!map) return undefined;
  const line = live.lineOf(map, head);
  const coarse = line.length < live.side ** 2;
  const values = coarse ? Float32Array.from(live.keyOf(line.length), (key) => line[key]) : line;
  const label = `weight of each ${coarse ? "key" : "place"}${of}`;
  if (Math.min(...values) < 0) return { values, low: 0, high: NORMED, label: `${label}, normed: mean 0, deviation 1` };
  const even = 1 / map.shape[2];
  return { values, low: 0, high: roundBelow(8 * even), label: `${label} (an even share: ${number(even, 2)})` };
}
const NORMED = 5;

// The one map (H, W) of a block that has one for all places.
function contextMap(map) {
  if (!map) return undefined;
  const even = 1 / map.data.length;
  return { values: map.data, low: 0, high: roundBelow(8 * even), label: `weight of each place, the same for all that read (an even share: ${number(even, 2)})` };
}

// How much each place reads from one slot, of a map (h, N, S) whose lines over the slots sum to one.
function slotMap(live, head, map) {
  if (!map) return undefined;
  const [heads, N, S] = map.shape;
  const slot = live.slot(S);
  const from = clamp(head ?? live.get("head"), 0, heads - 1) * N;
  const values = Float32Array.from({ length: N }, (_, i) => map.data[(from + i) * S + slot]);
  return { values, low: 0, high: roundBelow(8 / S), label: `how much each place reads from slot ${slot} (an even share: ${number(1 / S, 2)})` };
}

// What the block gives out at each place, summed over the channels, less its mean while each of the three digits is
// asked for. Where what comes in changes too, near the frame or the disc itself, nothing is told: 0.
function changeMap(live) {
  const cue = live.spec.causes.includes("frame") ? "frame" : "disc";
  const runs = live.scene().digits.map((colour) => live.otherRun(live.part(), cue, colour));
  const stays = sameEverywhere([live.run, ...runs].map((run) => run.slot.before));
  const sums = [...runs, live.run].map((run) => overChannels(run.slot.after));
  const mean = (i) => (sums[0][i] + sums[1][i] + sums[2][i]) / 3;
  const changes = sums.map((sum) => sum.map((v, i) => (stays[i] ? v - mean(i) : 0)));
  const high = Math.max(1e-3, ...changes.flatMap((change) => change.map(Math.abs))) / 2;
  return { values: changes[3], low: -high, high, line: 0.75, stays, label: `what the block gives each place, less its mean for the three digits (nothing is told near the ${cue})` };
}

function overChannels({ shape: [C, H, W], data }) {
  return range(H * W).map((i) => range(C).reduce((sum, c) => sum + data[c * H * W + i], 0));
}

// Whether features are the same number by number in all of them, for each place.
function sameEverywhere([first, ...others]) {
  const [C, H, W] = first.shape;
  return range(H * W).map((i) => others.every(({ data }) => range(C).every((c) => data[c * H * W + i] === first.data[c * H * W + i])));
}

const roundBelow = (x) => [5, 2, 1].map((s) => s * 10 ** Math.floor(Math.log10(x))).find((v) => v <= x);

// The gates of places; where each channel has its own, those of a channel, or their mean over all.
function gatesOfPlaces(live, channel = live.channelShown()) {
  const { spatial, channel_and_place, rows, columns } = live.blockWith(live.run, "maps", "spatial", "channel_and_place", "rows")?.maps ?? {};
  if (spatial) return { values: spatial.data, low: 0, high: 1, label: "gate of each place" };
  const all = rows ? crossed(rows, columns) : channel_and_place;
  if (!all) return undefined;
  const n = all.shape[1] * all.shape[2];
  const what = rows ? "row's gate times column's" : "gate of each place";
  if (channel >= 0 && channel < all.shape[0]) return { values: all.data.subarray(channel * n, (channel + 1) * n), low: 0, high: 1, label: `${what} in channel ${channel}`, channel };
  const values = new Float32Array(n);
  all.data.forEach((gate, i) => (values[i % n] += gate / all.shape[0]));
  // A row's gate times a column's is a quarter where both are half open: the scale lies around that.
  return { values, ...(rows ? { low: 0.2, high: 0.4 } : { low: 0, high: 1 }), label: `${what}, the mean of all channels` };
}

// Each channel's gate at each place, (C, H, W), where a row's (C, H) and a column's (C, W) are multiplied.
function crossed({ shape: [C, H], data: rows }, { shape: [, W], data: columns }) {
  return { shape: [C, H, W], data: Float32Array.from({ length: C * H * W }, (_, i) => rows[Math.floor(i / W)] * columns[Math.floor(i / (H * W)) * W + (i % W)]) };
}

const SMALL_INKS = [[238, 23], [240, 78], [243, 130]]; // red, green and blue: at a scale's lower limit, and at its upper one

// A map by itself, a pixel a place.
function paintSmall(canvas, { values, low, high }) {
  const side = Math.sqrt(values.length);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const pixels = new ImageData(side, side);
  values.forEach((value, i) => {
    const share = clamp((value - low) / (high - low), 0, 1);
    pixels.data.set([...SMALL_INKS.map(([none, full]) => none + share * (full - none)), 255], 4 * i);
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

// All channels at a glance, where each has gates of places of its own, and before them their mean.
class ChannelsView {
  constructor(live) {
    this.live = live;
    const name = freshId();
    this.faces = range(live.spec.lines + 1).map((i) => {
      const channel = i - 1;
      const canvas = element("canvas", { class: "ax-head ax-small", "aria-hidden": "true" });
      const input = element("input", { type: "radio", name, onchange: () => live.set("channel", channel) });
      live.controls.push(() => (input.checked = channel === live.get("channel")));
      return { channel, canvas, node: element("label", { class: "ax-thumb" }, input, element("span", { class: "ax-face" }, canvas, element("span", { class: "ax-caption" }, channel < 0 ? "mean" : String(channel)))) };
    });
    this.node = element("fieldset", { class: "ax-choice ax-heads" }, element("legend", {}, "Channel"), element("div", { class: "ax-segments" }, ...this.faces.map(({ node }) => node)));
  }

  draw() {
    const channels = this.live.blockWith(this.live.run, "maps", "rows").maps.rows.shape[0];
    for (const { channel, canvas, node } of this.faces) {
      node.hidden = channel >= channels; // an earlier block has fewer
      if (!node.hidden) paintSmall(canvas, gatesOfPlaces(this.live, channel));
    }
  }
}

// Which map lies over the picture, and its scale; in words, how it treats the digit, where it is one of gates.
class MapView {
  constructor(live) {
    this.live = live;
    this.chooser = live.chooser("Map over the picture", "over", [...live.spec.maps, ""].map((value) => ({ value, label: MAP_NAMES[value] })));
    this.label = element("div", { class: "ax-bar-label" });
    this.ends = [element("span"), element("span")];
    this.bar = element("div", { class: "ax-bar" }, this.label, element("div", { class: "ax-ramp ax-dims" }), element("div", { class: "ax-dims-ends" }, ...this.ends));
    this.node = element("div", { class: "ax-map-view" }, this.chooser, this.bar);
  }

  write() {
    const map = this.live.shownMap();
    this.bar.classList.toggle("ax-hidden", !map);
    if (!map) return;
    const [least, most] = [Math.min(...map.values), Math.max(...map.values)];
    say(this.label, `${map.label}; pale to full colour${Math.sqrt(map.values.length) < this.live.spec.size ? `, a line at ${map.line ? short(map.high / 2) : "half"}` : ""}`);
    say(this.ends[0], `${least < map.low - 1e-6 ? "≤ " : ""}${short(map.low)}`);
    say(this.ends[1], `${most > map.high + 1e-6 ? "≥ " : ""}${short(map.high)}`);
  }

  words() {
    const { live } = this;
    if (live.get("over") === "change") return this.changes();
    const { values, channel } = gatesOfPlaces(live) ?? {};
    if (!values || live.scene().flags) return "";
    const on = live.drawing.on(live.drawn, "0", Math.sqrt(values.length));
    const mean = (inside) => {
      const kept = values.filter((_, i) => Boolean(on[i]) === inside);
      return (kept.reduce((a, b) => a + b, 0) / Math.max(1, kept.length)).toFixed(2);
    };
    const place = live.get("query") >= 0 && live.spec.asks ? ` At ${live.where(live.query(), live.side)} it is ${values[live.query()].toFixed(2)}.` : "";
    return `${channel === undefined ? "Mean gate" : `Channel ${channel}: mean gate`} ${mean(true)} on the digit, ${mean(false)} off it.${place}`;
  }

  // What each digit gains, a place.
  changes() {
    const { live } = this;
    const { values, stays } = live.shownMap();
    const gains = live.scene().digits.map((colour, k) => {
      const on = live.drawing.on(live.drawn, String(k), Math.sqrt(values.length));
      const kept = values.filter((_, i) => on[i] && stays[i]);
      const mean = kept.reduce((a, b) => a + b, 0) / kept.length;
      return `of the ${colour} digit ${k ? "" : "gets "}${kept.length ? `${mean < 0 ? "−" : "+"}${Math.abs(mean).toFixed(2)}` : "?"}`;
    });
    return `Against its mean for the three, a place ${gains.join(", ")}.`;
  }
}
