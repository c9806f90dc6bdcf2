/** How much of what the client has is compared with what comes next. */
const MAX_OVERLAP = 200;
/** Shorter ones are chance: many sentences go on with the word that another one ended with. */
const MIN_OVERLAP = 8;

/**
 * Takes out what a model says again when it is asked to go on with an answer. Holds text back only as long as it could
 * still be a repetition.
 */
export class Seam {
  readonly #tail: string;
  #held = '';
  #isOpen = true;

  constructor(before: string) {
    this.#tail = before.slice(-MAX_OVERLAP);
  }

  /** @returns what is new, as far as that is known */
  push(text: string): string {
    if (!this.#isOpen) return text;
    this.#held += text;
    // Many begin anew with a line break or a space, which the repetition itself may not have.
    const mayGrow = [this.#held, this.#held.trimStart()].some(
      (held) => held.length < this.#tail.length && this.#tail.includes(held),
    );
    return mayGrow ? '' : this.end();
  }

  /** Nothing more comes. */
  end(): string {
    if (!this.#isOpen) return '';
    this.#isOpen = false;
    const said = overlap(this.#tail, this.#held);
    const unindented = this.#held.trimStart();
    const saidBehindSpace = said > 0 ? 0 : overlap(this.#tail, unindented);
    return saidBehindSpace >= MIN_OVERLAP ? unindented.slice(saidBehindSpace) : this.#held.slice(said);
  }
}

/** Length of the longest beginning of `text` that `tail` ends with. */
function overlap(tail: string, text: string): number {
  // A word that broke off in the middle is often begun anew.
  const fragment = /[\p{L}\p{N}_]{2,}$/u.exec(tail)?.[0].length ?? Number.POSITIVE_INFINITY;
  for (let length = Math.min(tail.length, text.length); length > 0; length--) {
    if (length < MIN_OVERLAP && length !== fragment) continue;
    if (tail.endsWith(text.slice(0, length))) return length;
  }
  return 0;
}
