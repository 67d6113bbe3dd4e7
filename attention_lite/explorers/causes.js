// ---------------------------------------------------------------- causes: what a state of the live explorer changes
//
// A state is a table of the explorer's traits. Two things are made of it: the scene as it is drawn, and what the engine
// is told to force. The page and the worker that counts both use this, so that they count what the reader sees.

function Causes() {

// The scene with what the state moves or recolours. A palette has colours by name, [r, g, b].
function changed(scene, state, palette) {
  const now = { ...scene, y: [...scene.y], x: [...scene.x], side: [...scene.side], opacity: [...scene.opacity], colour: [...scene.colour] };
  if (state.frame) now.frame = palette[state.frame];
  if (state.disc) now.disc_colour = palette[state.disc];
  for (const [thing, [y, x]] of Object.entries(state.places ?? {})) {
    if (thing === "disc") now.disc_yx = [y, x];
    else [now.y[thing], now.x[thing]] = [y, x];
  }
  for (const [k, side] of Object.entries(state.sides ?? {})) now.side[k] = side;
  for (const [k, share] of Object.entries(state.opacities ?? {})) now.opacity[k] = share;
  for (const [k, name] of Object.entries(state.colours ?? {})) now.colour[k] = palette[name];
  return now;
}

// The gates that `state.gates` puts in place of the network's own; undefined for its own.
// others(kind, which): the gates that the network gives "frame" red of this scene, or "scene" 2.
function forcedGates(state, mean, others) {
  const [kind, which] = (state.gates ?? "own").split(":");
  if (kind === "own") return undefined;
  if (kind === "half") return 0.5;
  if (kind === "open") return 1;
  if (kind === "even") return "even";
  if (kind === "mean") return mean;
  return others(kind, which);
}

// What the engine is told; {} where the network is left alone.
function told(state, gates, computed) {
  const pulled = Object.entries(state.pulled ?? {});
  const causes = {};
  if (gates !== undefined || pulled.length) {
    const channel = pulled.length && gates !== undefined ? spread(gates, computed) : gates ?? {};
    for (const [c, value] of pulled) channel[c] = value;
    causes.set = { channel };
  }
  if (state.forbid?.length) causes.forbid = [...state.forbid];
  return causes;
}

// Forced gates as one number a channel, to which single ones can be added.
function spread(gates, computed) {
  if (typeof gates === "number") return computed.map(() => gates);
  if (gates === "even") {
    const mean = computed.reduce((a, b) => a + b, 0) / computed.length;
    return computed.map(() => mean);
  }
  return Float32Array.from(gates.data ?? gates);
}

return { changed, forcedGates, told };
}
