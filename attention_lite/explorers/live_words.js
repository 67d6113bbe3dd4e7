// ---------------------------------------------------------------- what the live explorer says

const percent = (k, n) => `${k} of ${n} (${Math.round((100 * k) / Math.max(1, n))} %)`;

class LiveWords extends LivePicture {
  // The colour of the digit that answer k names; undefined where none in the picture is it.
  colourOf(k) {
    const scene = this.scene();
    return scene.digits[this.answers.digitOf(scene, k, this.answer.length)];
  }

  // The answer that the frame or the disc asks for as it is now; undefined where it asks for none.
  asked() {
    const digit = this.askedDigit();
    return digit < 0 ? undefined : this.answers.answerOf(this.scene(), digit, this.answer.length);
  }

  askedDigit() {
    const scene = this.scene();
    if (scene.cue === null) return scene.target;
    return scene.digits.indexOf(this.get(scene.frame ? "frame" : "disc") || scene.cue);
  }

  named(k) {
    const scene = this.scene();
    if (k < 0) return "no digit";
    const digit = this.answers.digitOf(scene, k, this.answer.length);
    if (scene.digits.length === 1) return digit < 0 ? `${k}` : `${k}, which it is`;
    return digit < 0 ? `${k}, which is not in the picture` : `${scene.labels[digit]}, the ${scene.digits[digit]} digit`;
  }

  readOut() {
    const scene = this.scene();
    const [best, asked] = [this.answers.best(this.answer), this.asked()];
    const asker = scene.cue === null ? "It is" : `The ${scene.frame ? "frame" : "disc"} asks for`;
    const right = asked === best ? "right" : "wrong";
    const judged = asked === undefined ? "" : scene.cue === null ? ` ${right === "right" ? "Right." : `Wrong: it is a ${asked}.`}` : ` ${asker} ${right === "right" ? "it" : this.named(asked)}: ${right}.`;
    const measure = this.paints ? "overlap" : "probability";
    const own = this.answers.best(this.ownAnswer);
    const without = !this.isForced() ? "" : own === best ? "With nothing forced it answers the same. " : `With nothing forced it answers ${this.named(own)}. `;
    const name = scene.digits.length === 1 ? String(best) : this.named(best);
    this.read(`The network ${this.paints ? "paints" : "reads"} ${name}`, `(${measure} ${number(Math.max(...this.answer), 2)}).${judged}`, `${without}${this.views.map((view) => view.words?.() ?? "").filter(Boolean).join(" ")}`);
  }

  channelWords(channel) {
    const [gate, own] = [this.gates()[channel], this.ownGates()[channel]];
    const was = this.isForced() && Math.abs(gate - own) > 0.005 ? `; its own is ${number(own, 2)}` : "";
    return `Channel ${channel}: gate ${number(gate, 2)}${was}.`;
  }

  countWords({ n, changed, before, after, asked }, state) {
    const verb = this.paints ? "paints" : "reads";
    const nothing = FORCES.every((trait) => same(state[trait], NOTHING[trait])) && CARRIED.every((trait) => same(state[trait], NOTHING[trait]));
    if (nothing) return `With nothing forced the network ${verb} ${percent(before, n)} right.`;
    const asks = state.frame || state.disc || (state.gates.match(/^frame:(.*)/) ?? [])[1];
    const which = !asks ? "" : this.scene().frame ? ` whose frame does not ask for ${asks} already` : ` that have a ${asks} digit and ask for another`;
    const cue = asks ? ` It ${verb} the ${asks} digit in ${percent(asked, n)}.` : "";
    return `Over the ${n} stored scenes${which}: another answer in ${percent(changed, n)}.${cue} Right${this.scene().cue === null ? "" : " by what the scene itself asks for"}: ${percent(before, n)} before, ${percent(after, n)} so.`;
  }

  rows() {
    return {
      caption: `The last ${this.remembered.length} states`,
      head: ["state", "answer", this.paints ? "overlap" : "probability", ...this.answerNames()],
      body: this.remembered.map(({ words, answer }) => [words, this.answerNames()[this.answers.best(answer)] ?? "none", number(Math.max(...answer), 2), ...answer.map((p) => p.toFixed(2))]),
    };
  }

  answerNames() {
    return this.paints ? this.scene().digits.map((colour, k) => `${colour} ${this.scene().labels[k]}`) : range(10).map(String);
  }
}
