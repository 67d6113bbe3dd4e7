// ---------------------------------------------------------------- the transformer, run in the page

// In a worker, which is made of its text: nothing from outside is to be had. It is sent the kernel; then the weights,
// piece by piece, or the seed of those before training; then a photograph's pixels, as often as the reader has one. It
// answers each with a message that has no `layer`.
function transformerWorker() {
  const LAYERS = 12, TOKENS = 257, WIDTH = 384;
  let kernel;
  const answer = {
    async module(bytes) {
      kernel = (await WebAssembly.instantiate(bytes)).instance.exports;
      return [{ size: kernel.size() }];
    },
    piece({ at, bytes }) {
      new Uint8Array(kernel.memory.buffer, kernel.weights(), kernel.size()).set(bytes, at);
      return [{}];
    },
    seed(number) {
      kernel.draw(number);
      return [{}];
    },
    pixels(rgba) {
      new Uint8Array(kernel.memory.buffer, kernel.pixels(), rgba.length).set(rgba);
      kernel.embed();
      for (let i = 0; i < LAYERS; i++) {
        postMessage({ layer: i });
        kernel.layer(i);
      }
      kernel.finish();
      const floats = (from, count) => new Float32Array(kernel.memory.buffer, from, count).slice();
      const [queries, keys] = [kernel.queries(), kernel.keys()].map((from) => floats(from, LAYERS * TOKENS * WIDTH));
      const features = floats(kernel.tokens(), TOKENS * WIDTH);
      return [{ queries, keys, features }, [queries.buffer, keys.buffer, features.buffer]];
    },
  };
  onmessage = async ({ data }) => {
    const [[what, content]] = Object.entries(data);
    try {
      postMessage(...(await answer[what](content)));
    } catch (error) {
      postMessage({ error: error.message });
    }
  };
}

// One network: scripts beside the page carry its weights, `bytes` in all; where there is a seed, they carry the places
// alone, and the rest is drawn. Errors are sentences for the reader.
class TransformerEngine {
  constructor({ pieces, bytes, seed }) {
    Object.assign(this, { pieces, bytes, seed, loaded: 0, next: 0, ready: false });
  }

  // Starts the worker and loads what is missing yet; tell(bytes so far) before each piece.
  async load(tell) {
    if (this.ready) return;
    if (!this.worker) await this.start();
    while (this.next < this.pieces.length) {
      tell(this.loaded);
      const bytes = await fetchScript(this.pieces[this.next]).catch(() => {
        throw new Error("The network's weights were not found, or are damaged: they are files beside this page, in _static/transformer.");
      });
      const at = this.loaded;
      [this.loaded, this.next] = [at + bytes.length, this.next + 1];
      await this.ask({ piece: { at, bytes } }, [bytes.buffer]);
    }
    if (this.seed != null) await this.ask({ seed: this.seed });
    this.ready = true;
  }

  async start() {
    const module = readBase64(TRANSFORMER_KERNEL);
    if (!globalThis.WebAssembly?.validate(module)) {
      throw new Error("This browser cannot run the network: it has no WebAssembly, or an old one without SIMD.");
    }
    const address = URL.createObjectURL(new Blob([`(${transformerWorker})();`], { type: "text/javascript" }));
    this.worker = new Worker(address);
    await this.ask({ module }).finally(() => URL.revokeObjectURL(address));
  }

  // Queries and keys (L, h, 1 + N, d), the former over √d, and the last tokens (1 + N, c); tell(layer) before each layer.
  run(rgba, tell) {
    return this.ask({ pixels: rgba }, [], tell);
  }

  ask(message, transfer = [], tell = () => {}) {
    return new Promise((resolve, reject) => {
      const fail = (reason) => {
        this.close();
        reject(new Error(`The network could not be run here: ${reason}.`));
      };
      this.worker.onmessage = ({ data }) => ("layer" in data ? tell(data.layer) : data.error ? fail(data.error) : resolve(data));
      this.worker.onerror = (event) => fail(event.message ?? "this browser starts no worker for a page like this one");
      this.worker.postMessage(message, transfer);
    });
  }

  // Without its worker it begins anew.
  close() {
    this.worker?.terminate();
    this.worker = null;
    Object.assign(this, { loaded: 0, next: 0, ready: false });
  }
}
