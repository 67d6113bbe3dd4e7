// ---------------------------------------------------------------- what the live explorer says

const percent = (k, n) => `${k} of ${n} (${Math.round((100 * k) / Math.max(1, n))} %)`;

class LiveWords extends LivePicture {
  // The letters of the digit that the reader has drawn or chosen; "" without.
  ownInk() {
    return Object.values(this.get("inks"))[0] ?? "";
  }

  // What that digit is to be read as: its class, or, of a drawn one, what it is read as here.
  expected() {
    const { inks } = this.spec;
    return inks.includes(this.ownInk()) ? inks.indexOf(this.ownInk()) : this.answers.best(this.answer);
  }

  // The colour of the digit that answer k names; undefined where none in the picture is it.
  colourOf(k) {
    const scene = this.drawn;
    const digit = this.answers.digitOf(scene, k, this.answer.length);
    return scene.digits[digit < 0 && !this.paints ? scene.labels.indexOf(null) : digit];
  }

  // The answer that the frame or the disc asks for as it is now; undefined where it asks for none.
  asked() {
    const digit = this.askedDigit();
    return digit < 0 ? undefined : this.answers.answerOf(this.drawn, digit, this.answer.length) ?? undefined;
  }

  askedDigit() {
    const scene = this.scene();
    if (scene.flags) return this.drawn.target;
    if (scene.cue === null) return scene.target;
    return scene.digits.indexOf(this.get(scene.frame ? "frame" : "disc") || scene.cue);
  }

  named(k) {
    const scene = this.drawn;
    if (k < 0) return "no digit";
    const digit = this.answers.digitOf(scene, k, this.answer.length);
    if (scene.flags) return `${this.answerNames()[k]}${digit < 0 ? ", a colour that no dot has" : ""}`;
    if (scene.digits.length === 1) return digit < 0 ? `${k}` : `${k}, which it is`;
    if (digit < 0 && scene.labels.includes(null)) return `${k}, which your drawing alone can be`;
    if (digit >= 0 && scene.labels[digit] === null) return `your drawing, the ${scene.digits[digit]} digit`;
    return digit < 0 ? `${k}, which is not in the picture` : `${scene.labels[digit]}, the ${scene.digits[digit]} digit`;
  }

  readOut() {
    const scene = this.scene();
    const [best, asked] = [this.answers.best(this.answer), this.asked()];
    const asker = scene.cue === null ? "It is" : `The ${scene.frame ? "frame" : "disc"} asks for`;
    const right = asked === best ? "right" : "wrong";
    const drawing = this.drawn.labels[this.askedDigit()] === null && scene.cue !== null;
    const judged = scene.flags ? ` The flag with a twin has a ${this.named(asked)} dot: ${right}.` : drawing && !this.paints ? ` ${asker} your drawing.` : asked === undefined ? "" : scene.cue === null ? ` ${right === "right" ? "Right." : `Wrong: it is a ${asked}.`}` : ` ${asker} ${right === "right" ? "it" : this.named(asked)}: ${right}.`;
    const measure = this.paints ? "overlap" : "probability";
    const own = this.answers.best(this.ownAnswer);
    const without = !this.isForced() ? "" : own === best ? "With nothing forced it answers the same. " : `With nothing forced it answers ${this.named(own)}. `;
    const name = scene.digits.length === 1 ? String(best) : this.named(best);
    this.read(`The network ${this.verb()} ${name}`, `(${measure} ${number(Math.max(...this.answer), 2)}).${judged}`, `${without}${this.views.map((view) => view.words?.() ?? "").filter(Boolean).join(" ")}`);
  }

  verb() {
    if (this.scene().flags) return "names";
    return this.paints ? "paints" : "reads";
  }

  channelWords(channel) {
    const [gate, own] = [this.gates()[channel], this.ownGates()[channel]];
    const was = this.isForced() && Math.abs(gate - own) > 0.005 ? `; its own is ${number(own, 2)}` : "";
    return `Channel ${channel}: gate ${number(gate, 2)}${was}.`;
  }

  countWords({ n, changed, before, after, asked }, state) {
    const verb = this.verb();
    if (this.ownInk()) return `Over the ${n} stored scenes${this.photograph.pixels() ? ", on your photograph" : ""}, this digit in the place of the one that is asked for: the network ${verb} it${this.paints ? "" : ` as ${this.expected()}`} in ${percent(asked, n)}.`;
    const nothing = FORCES.every((trait) => same(state[trait], NOTHING[trait])) && CARRIED.every((trait) => same(state[trait], NOTHING[trait]));
    if (nothing) return `With nothing forced the network ${verb} ${percent(before, n)} right.`;
    if (state.company) return `Over the ${n} stored scenes, their right halves passed on ${state.company > 1 ? "twice, " : ""}too: the network names the dot whose flag has the twin now in ${percent(asked, n)}, the dot whose flag had it in ${percent(after, n)}. As they were it is right in ${percent(before, n)}.`;
    const asks = state.frame || state.disc || (state.gates.match(/^frame:(.*)/) ?? [])[1];
    const which = !asks ? "" : this.scene().frame ? ` whose frame does not ask for ${asks} already` : ` that have a ${asks} digit and ask for another`;
    const cue = asks ? ` It ${verb} the ${asks} digit in ${percent(asked, n)}.` : "";
    return `Over the ${n} stored scenes${which}: another answer in ${percent(changed, n)}.${cue} Right${this.scene().cue === null ? "" : " by what the scene itself asks for"}: ${percent(before, n)} before, ${percent(after, n)} so.`;
  }

  rows() {
    return {
      caption: `The last ${this.remembered.length} states`,
      head: ["state", "answer", this.paints ? "overlap" : "probability", ...this.answerNames()],
      body: this.remembered.map(({ words, answer }) => [words, this.answerNames()[this.answers.best(answer)] ?? "none", number(Math.max(...answer), 2), ...this.answerNames().map((_, k) => answer[k].toFixed(2))]),
    };
  }

  answerNames() {
    if (this.scene().flags) return this.spec.colours; // the last of the ten scores stand for nothing
    return this.paints ? this.scene().digits.map((colour, k) => `${colour} ${this.drawn.labels[k] ?? "drawing"}`) : range(10).map(String);
  }
}
