// ---------------------------------------------------------------- a picture file of the reader's own

const SHORTEST = 32; // pixels
const MOST_MEGABYTES = 60; // of the file
const MOST_MEGAPIXELS = 60; // decoded, each takes four bytes
const HEIC = /^ftyp(hei|hev|mif1|msf1)/;

// The middle square of a photograph, upright, on white: a canvas for each of the sides that `sidesOf` gives for its shorter
// one. Rejected with a sentence that says why a file is none.
async function middleSquares(file, sidesOf) {
  const megabytes = file.size / 1e6;
  if (!file.size) throw new Error(`${file.name} is empty.`);
  if (megabytes > MOST_MEGABYTES) throw new Error(`${file.name} has ${Math.round(megabytes)} MB, more than ${MOST_MEGABYTES}: make it smaller first.`);
  const [width, height] = await sizeOf(file);
  const size = `${file.name} has ${width} × ${height} pixels`;
  if (Math.min(width, height) < SHORTEST) throw new Error(`${size}; it must have ${SHORTEST} on each side.`);
  if (width * height > MOST_MEGAPIXELS * 1e6) throw new Error(`${size}, more than ${MOST_MEGAPIXELS} million: make it smaller first.`);
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => unread(file));
  const squares = sidesOf(Math.min(width, height)).map((side) => middle(picture, side));
  picture.close();
  return squares;
}

// An <img> knows it before anything is decoded.
async function sizeOf(file) {
  const picture = new Image();
  picture.src = URL.createObjectURL(file);
  const loaded = new Promise((resolve, reject) => Object.assign(picture, { onload: resolve, onerror: reject }));
  await loaded.catch(() => unread(file)).finally(() => URL.revokeObjectURL(picture.src));
  return [picture.naturalWidth, picture.naturalHeight];
}

async function unread(file) {
  const head = await file.slice(4, 12).text();
  throw new Error(HEIC.test(head)
    ? `${file.name} is HEIC, as telephones store it, which this browser cannot read: export it as JPEG first.`
    : `${file.name} is no picture that this browser can read: choose a JPEG, PNG or WebP.`);
}

function middle(picture, side) {
  const { width, height } = picture;
  const short = Math.min(width, height);
  const canvas = element("canvas", { width: side, height: side });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, side, side);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, Math.floor((width - short) / 2), Math.floor((height - short) / 2), short, short, 0, 0, side, side);
  return canvas;
}
