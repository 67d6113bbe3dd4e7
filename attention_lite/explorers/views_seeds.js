// ---------------------------------------------------------------- one scene in several trainings, side by side

// Each training's map of the picture as it is, and what it answers; a press chooses the training. The other networks
// are fetched with the first look, and run when the reader's hand rests.
class SeedsView {
  constructor(live) {
    this.live = live;
    const name = freshId();
    this.trainings = live.spec.seeds.map((seed) => {
      const [canvas, answer] = [element("canvas", { class: "ax-head", "aria-hidden": "true" }), element("span", { class: "ax-caption" }, `training ${seed}`)];
      const input = element("input", { type: "radio", name, onchange: () => live.set("seed", seed) });
      return { seed, canvas, answer, input, node: element("label", { class: "ax-thumb" }, input, element("span", { class: "ax-face" }, canvas, answer)) };
    });
    this.node = element("fieldset", { class: "ax-choice ax-heads" }, element("legend", {}, "The same picture in each training"), element("div", { class: "ax-segments" }, ...this.trainings.map(({ node }) => node)));
    live.controls.push(() => this.trainings.forEach(({ seed, input }) => (input.checked = seed === live.get("seed"))));
  }

  write() {
    const { live } = this;
    const now = this.trainings.find(({ seed }) => seed === live.get("seed"));
    this.tell(now, live.run, live.answer);
  }

  async settle() {
    const { live } = this;
    const key = live.written();
    for (const training of this.trainings) {
      if (training.seed === live.get("seed")) continue;
      const part = live.partOf(training.seed);
      if (!part) continue;
      if (!live.nets[part]) await live.load(part).catch(() => undefined); // it says so where it is chosen
      if (key !== live.written()) return; // the hand has moved on
      if (!live.nets[part]) continue;
      const { run, answer } = live.runOf(part);
      this.tell(training, run, answer);
    }
  }

  tell({ seed, canvas, answer }, run, answers) {
    const { live } = this;
    const map = MAPS[live.spec.maps[0]](Object.create(live, { run: { value: run }, channelShown: { value: () => -1 } }));
    say(answer, `training ${seed}: ${live.answerNames()[live.answers.best(answers)] ?? "nothing"}`);
    canvas.hidden = !map;
    if (map) paintSmall(canvas, map);
  }
}
