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

// In a worker: each scene by itself, and with the intervention; tells after each what it has counted.
// Where the state asks for a colour, scenes count that have a digit of it and do not ask for it themselves. A digit that
// the reader has drawn or chosen stands in each scene for the one that is to be read; `expected` is what it is read as.
function countScenes({ weights, scenes, state, palette, inks, expected, stored, known }) {
  const engine = Engine(), drawing = Drawing(), causes = Causes(), answers = Answers();
  const net = engine.load(weights);
  const found = { n: 0, changed: 0, before: 0, after: 0, asked: 0 };
  const asks = state.frame || state.disc || (state.gates ?? "").match(/^frame:(.*)/)?.[1];
  const open = (scene) => ({ ...scene, glyphs: scene.levels.map((levels) => drawing.glyph(levels)) });
  const [ink] = Object.values(state.inks ?? {});
  const read = (run, scene) => answers.best(answers.values(run.scores, () => scene.glyphs.map((_, k) => drawing.coverOf(scene, k))));
  const ofStored = {}; // the run of another scene is the same for all
  const { places, ...carried } = state; // where things lie is the scene's own
  scenes.forEach((one, i) => {
    if (!asks || (one.cue !== asks && one.digits.includes(asks))) {
      const scene = open(one), image = drawing.pictures(scene), own = net.forward(image);
      const mine = ink ? { ...carried, inks: { [scene.target]: ink } } : carried;
      const now = causes.changed(scene, mine, { palette, inks, glyph: drawing.glyph });
      const seen = drawing.pictures(now), alone = net.forward(seen);
      const runOf = (kind, which) => {
        if (kind === "start") return own;
        if (kind === "frame") return net.forward(drawing.pictures({ ...now, frame: palette[which] }));
        if (kind === "disc") return net.forward(drawing.pictures({ ...now, disc_colour: palette[which] }));
        return (ofStored[which] ??= net.forward(drawing.pictures(open(stored[which]))));
      };
      const told = causes.told(carried, alone, { ...known, scene: now, on: drawing.on, runOf });
      const run = Object.keys(told).length ? net.forward(seen, told) : alone;
      const [before, after] = [read(own, scene), read(run, now)];
      const of = (k) => answers.answerOf(one, k, run.scores.length);
      found.n += 1;
      found.before += before === of(one.target);
      found.after += after === of(one.target);
      found.changed += after !== before;
      if (state.company) found.asked += after === of(now.target);
      else found.asked += ink ? after === (run.scores.length === 10 ? expected : one.target) : Boolean(asks) && after === of(one.digits.indexOf(asks));
    }
    postMessage({ done: i + 1, ...found });
  });
}

function startCount(work, tell, fail) {
  const code = `${Tensors}\n${Mechanisms}\n${Engine}\n${Drawing}\n${Causes}\n${Answers}\n${countScenes}\nonmessage = ({ data }) => countScenes(data);`;
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
