// ---------------------------------------------------------------- counting an intervention over stored scenes

// The stored scenes: deflated text of their descriptions, and photographs, each row as differences from left to right.
async function openScenes(bytes) {
  const whole = await inflate(bytes);
  const end = whole.indexOf(10);
  const scenes = JSON.parse(new TextDecoder().decode(whole.subarray(0, end)));
  const { size } = scenes[0];
  const crops = whole.slice(end + 1);
  for (let i = 0; i < crops.length; i++) if (i % size) crops[i] += crops[i - 1];
  scenes.forEach((scene, i) => (scene.crop = crops.subarray(i * 3 * size * size, (i + 1) * 3 * size * size)));
  return scenes;
}

const levelsOf = (letters) => Uint8Array.from(letters, (letter) => letter.charCodeAt(0) - 97);

// In a worker: each scene by itself, and with the intervention; tells after each what it has counted.
function countScenes({ weights, scenes, state, palette, mean, stored }) {
  const engine = Engine(), drawing = Drawing(), causes = Causes();
  const net = engine.load(weights);
  const best = (scores) => scores.indexOf(Math.max(...scores));
  const found = { n: 0, changed: 0, before: 0, after: 0, asked: 0 };
  const asks = state.frame || state.disc || (state.gates ?? "").match(/^frame:(.*)/)?.[1];
  const open = (scene) => ({ ...scene, glyphs: scene.levels.map((levels) => drawing.glyph(levels)) });
  const gatesOf = (scene) => net.forward(drawing.pictures(scene)).block.maps.channel;
  const ofStored = {}; // the gates of another scene are the same for all
  const recoloured = state.frame || state.disc;
  scenes.forEach((one, i) => {
    if (!asks || one.cue !== asks) {
      const scene = open(one);
      const now = causes.changed(scene, { frame: state.frame, disc: state.disc }, palette);
      const gates = causes.forcedGates(state, mean, (kind, which) =>
        kind === "scene" ? (ofStored[which] ??= gatesOf(open(stored[which]))) : gatesOf({ ...now, frame: palette[which] }));
      const image = drawing.pictures(scene);
      const own = net.forward(image);
      const seen = recoloured ? drawing.pictures(now) : image;
      const computed = recoloured ? net.forward(seen).block?.computed.channel?.data : own.block?.computed.channel?.data;
      const answer = best(net.forward(seen, causes.told(state, gates, computed)).scores);
      found.n += 1;
      found.before += best(own.scores) === one.labels[one.target];
      found.after += answer === one.labels[one.target];
      found.changed += answer !== best(own.scores);
      found.asked += answer === one.labels[one.digits.indexOf(asks)];
    }
    postMessage({ done: i + 1, ...found });
  });
}

function startCount(work, tell, fail) {
  const code = `${Tensors}\n${Mechanisms}\n${Engine}\n${Drawing}\n${Causes}\n${countScenes}\nonmessage = ({ data }) => countScenes(data);`;
  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const worker = new Worker(address);
  worker.onmessage = ({ data }) => tell(data);
  worker.onerror = (event) => fail(event.message);
  worker.postMessage(work);
  return () => {
    worker.terminate();
    URL.revokeObjectURL(address);
  };
}
