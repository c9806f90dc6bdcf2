/** How much of an answer's end is looked at; what goes in circles does so to the end. */
const TAIL = 4000;
/** Longest passage whose repetition is noticed, in characters. */
const MAX_PERIOD = 300;
/** A table's ruler or a poem's refrain is shorter, and a loop that went on for less does little harm. */
const MIN_LENGTH = 600;
const MIN_REPEATS = 12;

/** Whether a text ends in one passage over and over: a model that doesn't find its way out. */
export function endsInLoop(text: string): boolean {
  if (text.length < MIN_LENGTH) return false;
  // Backwards, so that a loop at the end is a prefix: the prefix function then gives the period of each prefix.
  const tail = [...text.slice(-TAIL)].reverse();
  const border = new Uint16Array(tail.length);
  for (let at = 1, length = 0; at < tail.length; at++) {
    while (length > 0 && tail[at] !== tail[length]) length = border[length - 1] ?? 0;
    if (tail[at] === tail[length]) length += 1;
    border[at] = length;
    const period = at + 1 - length;
    if (at + 1 >= MIN_LENGTH && period <= MAX_PERIOD && (at + 1) / period >= MIN_REPEATS) return true;
  }
  return false;
}
