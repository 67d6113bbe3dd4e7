// ---------------------------------------------------------------- a state in the page's address

// #try=name:state, for a state that the explorer has by name, or #try=name:trait=value;trait=value. Both put the explorer
// into that state, at the start and whenever the address changes; what the reader changes is written back, so that
// the address can be shared. A state names some traits; the others stay as they are, unless the kind completes it. Back to
// an address without a state is back to the start.
class Address {
  constructor(explorer) {
    this.explorer = explorer;
    this.name = explorer.get("name");
    this.shared = explorer.get("shared") ?? [];
    if (!this.name || !this.shared.length || !(explorer.model instanceof PageModel)) return; // a notebook's address is its own
    this.first = this.written = this.values();
    const { root, closers } = explorer;
    const [read, again, touched, write] = [() => this.read(), (event) => this.again(event), () => this.touch(), () => this.writeSoon()];
    const listen = (target, types, listener) => {
      for (const type of types) target.addEventListener(type, listener);
      closers.push(() => types.forEach((type) => target.removeEventListener(type, listener)));
    };
    listen(window, ["hashchange"], read);
    listen(document, ["click"], again);
    listen(root, ["pointerdown", "keydown", "change"], touched);
    for (const trait of this.shared) explorer.model.on(`change:${trait}`, write);
    closers.push(() => clearTimeout(this.writing), () => this.shared.forEach((trait) => explorer.model.off(`change:${trait}`, write)));
    this.read();
  }

  values() {
    return Object.fromEntries(this.shared.map((trait) => [trait, this.explorer.kept[trait] ?? this.explorer.get(trait)]));
  }

  // A link to the state that the address has already changes no address.
  again(event) {
    const link = event.target.closest?.("a.ax-try");
    if (link && link.hash === location.hash) this.read();
  }

  read() {
    const [, name, text] = /^#try=([^:]+):(.*)$/.exec(location.hash) ?? [];
    if (name == null && this.followed) return this.take(this.first); // the way back
    if (name == null || decodeURIComponent(name) !== this.name) return;
    const values = this.explorer.completed(this.valuesIn(text));
    const wrong = Object.entries(values).find(([trait, value]) => !this.shared.includes(trait) || !this.explorer.allows(trait, value));
    this.complain(wrong && `The address asks for ${wrong[0]} = ${JSON.stringify(wrong[1])}, which is not to be had here.`);
    if (wrong) return;
    this.touched = false; // an address that a link gave is not written anew
    clearTimeout(this.writing);
    this.followed = true;
    this.take(values);
    this.show();
  }

  // On a phone an explorer is taller than the window: then its picture is what must be seen.
  show() {
    const { root, stage, calm } = this.explorer;
    const whole = root.offsetHeight <= innerHeight;
    (whole ? root : stage ?? root).scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
  }

  take(values) {
    for (const [trait, value] of Object.entries(values)) this.explorer.keep(trait, value);
    this.written = this.values();
  }

  valuesIn(text) {
    const state = this.explorer.get("states")?.[decodeURIComponent(text)];
    if (state) return state;
    const pairs = text.split(";").map((pair) => pair.split("=").map(decodeURIComponent));
    return Object.fromEntries(pairs.map(([trait, value]) => [trait, parsed(value ?? "")]));
  }

  complain(sentence) {
    if (!sentence) return this.alert?.remove();
    this.alert ??= element("p", { class: "ax-hint", role: "alert" });
    this.explorer.root.append(this.alert);
    say(this.alert, sentence);
  }

  // A click that keeps the place under the pointer changes no trait.
  touch() {
    this.touched = true;
    this.writeSoon();
  }

  writeSoon() {
    clearTimeout(this.writing);
    if (this.touched) this.writing = setTimeout(() => this.write(), SETTLED);
  }

  write() {
    if (same(this.values(), this.written)) return;
    this.written = this.values();
    const changed = Object.entries(this.written).filter(([trait, value]) => !same(value, this.first[trait]));
    const word = (value) => encodeURIComponent(typeof value === "object" ? JSON.stringify(value) : value);
    const text = changed.map((pair) => pair.map(word).join("=")).join(";");
    const hash = changed.length ? `#try=${encodeURIComponent(this.name)}:${text}` : "";
    history.replaceState(history.state, "", location.pathname + location.search + hash);
  }
}

// Numbers, true, false and objects as JSON has them; all else is a word.
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
