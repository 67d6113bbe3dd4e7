// ---------------------------------------------------------------- a picture to keep

const SAVED = 800; // px, the photograph's side in it
const EDGE = 24;
const FONT = "17px system-ui, sans-serif";

// The map over the photograph as it is shown, what it says, and the scale of its light, on white whatever the theme.
function pictureOf(explorer) {
  const [lead, rest, more] = explorer.lines.map((line) => line.textContent);
  const words = [`${lead} ${rest}`, more, "Orange: the fewest patches that hold half of the weight; white: the patch that asks. All weights of a query sum to one.", `Network: ${explorer.get("network")}. Made with the book Attention You Can See.`];
  const context = element("canvas").getContext("2d");
  context.font = FONT;
  const lines = words.flatMap((text) => wrapped(context, text, SAVED));
  [context.canvas.width, context.canvas.height] = [SAVED + 2 * EDGE, SAVED + 2 * EDGE + 90 + 24 * lines.length];
  context.fillStyle = "#fff";
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  context.drawImage(explorer.stageOf(SAVED), EDGE, EDGE, SAVED, SAVED);
  drawScale(context, explorer, SAVED + EDGE + 16);
  context.textAlign = "left";
  lines.forEach((line, i) => context.fillText(line, EDGE, SAVED + EDGE + 100 + 24 * i));
  return context.canvas;
}

function drawScale(context, { scale, tokens }, top) {
  const ramp = context.createLinearGradient(EDGE, 0, EDGE + SAVED, 0);
  LIGHT_RAMP.forEach((colour, i) => ramp.addColorStop(i, colour));
  context.fillStyle = ramp;
  context.fillRect(EDGE, top, SAVED, 18);
  context.fillStyle = "#000";
  context.font = FONT;
  const uniform = EDGE + SAVED * scale.t(1 / tokens);
  context.fillRect(uniform - 1.5, top - 4, 3, 26);
  scale.ticks.forEach(([u, text], i) => {
    context.textAlign = ["left", "center", "right"][i];
    context.fillText(u === 1 ? `≥ ${text}` : text, EDGE + u * SAVED, top + 38);
  });
  context.textAlign = "left";
  context.fillText(`Light: weight, on one scale for every map. The mark: equal weights, ${number(1 / tokens, 2)} each.`, EDGE, top + 62);
}

function wrapped(context, text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (context.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.filter(Boolean);
}

function savePicture(explorer) {
  pictureOf(explorer).toBlob((blob) => {
    const address = URL.createObjectURL(blob);
    element("a", { href: address, download: `${explorer.pictureName()}.png` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  });
}
