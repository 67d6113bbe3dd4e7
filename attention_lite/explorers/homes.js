// ---------------------------------------------------------------- the two homes

const KINDS = {}; // each kind enters itself

function mount(model, root) {
  try {
    return new KINDS[model.get("kind")](model, root);
  } catch (error) {
    root.append(element("p", { class: "ax-alert", role: "alert" }, `This explorer could not start: ${error.message}`)); // a page's picture stays
    throw error;
  }
}

function render({ model, el }) {
  const root = element("div", { class: "attention-explorer", "data-kind": model.get("kind") });
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys for moving between cells
  el.append(root);
  const explorer = mount(model, root);
  return () => explorer.close();
}

// In a static page the model is a plain table of traits with listeners; there is no kernel to save to.
class PageModel {
  constructor(traits) {
    this.traits = traits;
    this.listeners = new Map();
  }

  get(name) {
    return this.traits[name];
  }

  set(name, value) {
    this.traits[name] = value;
    (this.listeners.get(`change:${name}`) ?? []).forEach((listener) => listener());
  }

  on(event, listener) {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
  }

  off(event, listener) {
    this.listeners.set(event, (this.listeners.get(event) ?? []).filter((other) => other !== listener));
  }

  save_changes() {}
}

export function mountAll(page = document) {
  for (const root of page.querySelectorAll(".attention-explorer[data-kind]")) {
    const source = root.querySelector("script[type='application/json']");
    if (!source) continue;
    const { data, ...traits } = JSON.parse(source.textContent);
    traits.data = new DataView(readBase64(data).buffer);
    mount(new PageModel(traits), root);
  }
}

export default { render };
