// ---------------------------------------------------------------- answers: what a network's scores say
//
// Scores of the ten digits become probabilities; those of each pixel, whether it belongs to the digit that is asked for,
// become for each digit of the scene the overlap of what is painted with it (intersection over union). Either way an
// answer has a value for each of its `names`, and the largest is what the network reads.
// In one function, without anything from outside: the worker that counts is made of its text.

function Answers() {
const CLASSES = 10;
const paints = (scores) => scores.length !== CLASSES;

// covers: of each digit of the scene its cover of each pixel, which only a painting network needs.
function values(scores, covers) {
  if (paints(scores)) return covers().map((cover) => overlap(scores, cover));
  const top = Math.max(...scores);
  const powers = Array.from(scores, (score) => Math.exp(score - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function overlap(logits, cover) {
  let both = 0, either = 0;
  logits.forEach((logit, i) => {
    const [painted, covered] = [logit > 0, cover[i] > 0.5];
    both += painted && covered;
    either += painted || covered;
  });
  return either ? both / either : 0;
}

const best = (all) => (Math.max(...all) > 0 ? all.indexOf(Math.max(...all)) : -1); // -1: nothing of any digit is painted
// Which of the answers digit k of the scene is, and which digit an answer is (-1: none that is there).
const answerOf = (scene, k, n) => (n === CLASSES ? scene.labels[k] : k);
const digitOf = (scene, answer, n) => (n === CLASSES ? scene.labels.indexOf(answer) : answer);

return { values, best, answerOf, digitOf, paints };
}
