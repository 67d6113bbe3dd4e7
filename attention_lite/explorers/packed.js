// ---------------------------------------------------------------- data

function halfToFloat(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const VIEWS = { float32: Float32Array, float16: Uint16Array, uint16: Uint16Array, uint8: Uint8Array, int8: Int8Array, int16: Int16Array, int32: Int32Array };

function readArray(entry, buffer) {
  if (entry.deflated) return inflate(new Uint8Array(buffer, entry.offset, entry.deflated));
  const length = entry.shape.reduce((a, b) => a * b, 1);
  const raw = new VIEWS[entry.dtype](buffer, entry.offset, length);
  if (entry.dtype === "float16") return Float32Array.from(raw, halfToFloat);
  if (entry.span) return Float32Array.from(raw, (code) => (code ? ((code - 1) / 65534 - 1) * entry.span : -Infinity));
  return raw;
}

// A promise of the bytes: a page cannot wait for a stream.
async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

class Photographs {
  constructor(entry, buffer) {
    this.shape = entry.shape;
    this.blobs = entry.files.map((f) => new Blob([new Uint8Array(buffer, f.offset, f.bytes)], { type: f.mime }));
    this.ready = this.blobs.map(() => null);
    this.urls = [];
  }

  async load(i) {
    const bitmap = await createImageBitmap(this.blobs[i]);
    const muted = element("canvas"); // half the saturation: under a map things keep their colour, and yield to it
    [muted.width, muted.height] = [bitmap.width, bitmap.height];
    const context = muted.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const pixels = context.getImageData(0, 0, muted.width, muted.height);
    for (let p = 0; p < pixels.data.length; p += 4) {
      const grey = 0.2126 * pixels.data[p] + 0.7152 * pixels.data[p + 1] + 0.0722 * pixels.data[p + 2];
      for (let c = p; c < p + 3; c++) pixels.data[c] = (pixels.data[c] + grey) / 2;
    }
    context.putImageData(pixels, 0, 0);
    this.ready[i] = { full: bitmap, muted };
  }

  // A picture in the place of another, or behind the last.
  replace(i, blob) {
    if (this.urls[i]) URL.revokeObjectURL(this.urls[i]);
    if (this.ready[i]) {
      this.ready[i].full.close(); // else its memory waits for the collector
      this.ready[i].muted.width = 0;
    }
    [this.blobs[i], this.ready[i], this.urls[i]] = [blob, null, null];
  }

  url(i) {
    return (this.urls[i] ??= URL.createObjectURL(this.blobs[i]));
  }

  close() {
    this.urls.filter(Boolean).forEach((url) => URL.revokeObjectURL(url));
  }
}

// A loop: Uint8Array.from with a function takes ten times as long.
function readBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

// What a script beside the page carries, since a page opened from disk can load nothing else; refused where it is missing or damaged.
async function fetchScript(address) {
  const name = address.split("/").pop();
  const script = element("script", { src: address });
  await new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
  script.remove();
  const text = globalThis.attentionMaps[name];
  delete globalThis.attentionMaps[name];
  return readBase64(text);
}

const pageShown = new Promise((resolve) => {
  const soon = () => requestAnimationFrame(() => setTimeout(resolve));
  if (document.readyState === "complete") soon();
  else window.addEventListener("load", soon);
});
