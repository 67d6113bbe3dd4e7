// ---------------------------------------------------------------- the map over the picture

// Maps that can lie over the picture, by the name that Python gives them: {values, low, high, label}; undefined where
// the network has none. Weights that sum to one are drawn up to eight times an even share, whatever the picture.
const MAPS = {
  weights: (live) => queryMap(live, live.asking()?.maps.position, "weight of each place for the one that asks"),
  gates: (live) => gatesOfPlaces(live),
};
const MAP_NAMES = { weights: "weights", gates: "gates of places", "": "nothing" };

function queryMap(live, map, label) {
  if (!map) return undefined;
  const even = 1 / map.shape[2];
  return { values: live.lineOf(map), low: 0, high: roundBelow(8 * even), label: `${label} (an even share: ${number(even, 2)})` };
}

const roundBelow = (x) => [5, 2, 1].map((s) => s * 10 ** Math.floor(Math.log10(x))).find((v) => v <= x);

// The gates of places; where each channel has its own, their mean over the channels.
function gatesOfPlaces(live) {
  const { spatial, channel_and_place: all } = live.blockWith(live.run, "maps", "spatial", "channel_and_place")?.maps ?? {};
  if (spatial) return { values: spatial.data, low: 0, high: 1, label: "gate of each place" };
  if (!all) return undefined;
  const n = all.shape[1] * all.shape[2];
  const values = new Float32Array(n);
  all.data.forEach((gate, i) => (values[i % n] += gate / all.shape[0]));
  return { values, low: 0, high: 1, label: "gate of each place, the mean of all channels" };
}

// Which map lights the picture, and its scale; in words, how it treats the digit, where it is one of gates.
class MapView {
  constructor(live) {
    this.live = live;
    this.chooser = live.chooser("Lit by", "over", [...live.spec.maps, ""].map((value) => ({ value, label: MAP_NAMES[value] })));
    this.label = element("div", { class: "ax-bar-label" });
    this.ends = [element("span"), element("span")];
    this.bar = element("div", { class: "ax-bar" }, this.label, element("div", { class: "ax-ramp ax-dims" }), element("div", { class: "ax-dims-ends" }, ...this.ends));
    this.node = element("div", { class: "ax-map-view" }, this.chooser, this.bar);
  }

  draw() {
    const map = this.live.shownMap();
    this.bar.classList.toggle("ax-hidden", !map);
    if (!map) return;
    const [least, most] = [Math.min(...map.values), Math.max(...map.values)];
    say(this.label, `${map.label}; dark to light`);
    say(this.ends[0], `${least < map.low - 1e-6 ? "≤ " : ""}${short(map.low)}`);
    say(this.ends[1], `${most > map.high + 1e-6 ? "≥ " : ""}${short(map.high)}`);
  }

  words() {
    const { live } = this;
    const values = gatesOfPlaces(live)?.values;
    if (!values) return "";
    const on = live.drawing.on(live.drawn, "0", Math.sqrt(values.length));
    const mean = (inside) => {
      const kept = values.filter((_, i) => Boolean(on[i]) === inside);
      return (kept.reduce((a, b) => a + b, 0) / Math.max(1, kept.length)).toFixed(2);
    };
    const place = live.get("query") >= 0 && live.spec.asks ? ` At ${live.where(live.query(), live.side)} it is ${values[live.query()].toFixed(2)}.` : "";
    return `Mean gate ${mean(true)} on the digit, ${mean(false)} off it.${place}`;
  }
}
