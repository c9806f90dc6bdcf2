/**
 * Regular expressions of the user's that the handler runs on what somebody else wrote: a client, a model. JavaScript's
 * matcher tries one way after the other, and for some patterns there are more ways through a text than a machine has
 * years. Those are refused at synth, where somebody can mend them.
 */

/** The handler looks at the beginning of a text only; as in `lambda/contract/patterns.ts` (a test holds them equal). */
export const MATCHED_CHARACTERS = 2000;

/** Some tenths of a second in which a request keeps a processor busy, at worst: V8 tries about 200 million a second. */
const MAX_WAYS = 50_000_000;

const MAX_LENGTH = 1000;

/** As the handler will compile it. @param prop names where the pattern stands */
export function requirePattern(prop: string, pattern: string): void {
  let regex: RegExp;
  try {
    regex = new RegExp(pattern, 'iu');
  } catch (error) {
    throw new Error(
      `${prop} has "${pattern}", which is no regular expression: ${error instanceof Error ? error.message : error}`,
    );
  }
  if (regex.test('')) {
    throw new Error(`${prop} has "${pattern}", which matches every text: begin with ^ or name some words`);
  }
  if (pattern.length > MAX_LENGTH) {
    throw new Error(`${prop} has a pattern of ${pattern.length} characters, more than ${MAX_LENGTH}: use several`);
  }
  if (waysThrough(pattern, MATCHED_CHARACTERS) > MAX_WAYS) {
    throw new Error(
      `${prop} has "${pattern}", which a hostile text can keep busy for very long: bound its repetitions (.{0,40} instead of .* or .+), and repeat no group that repeats or chooses itself ([ab]+ instead of (a|b)+)`,
    );
  }
}

/**
 * An upper bound of the ways in which a backtracking matcher can try a pattern on a text of so many characters, however
 * that text is made: choices of a sequence multiply, alternatives add up, and it may begin anywhere.
 *
 * @param pattern a valid one, with the flag `u`
 */
export function waysThrough(pattern: string, characters: number): number {
  const { ways, anchored } = new PatternReader(pattern, characters).alternatives();
  return ways * (anchored ? 1 : characters);
}

/** Reads no more of a pattern than where it chooses and repeats. */
class PatternReader {
  private at = 0;

  constructor(
    private readonly pattern: string,
    private readonly characters: number,
  ) {}

  /** Up to the end, or the bracket that closes a group. */
  public alternatives(): { ways: number; anchored: boolean } {
    let ways = 0;
    let anchored = true;
    for (;;) {
      if (this.pattern[this.at] !== '^') anchored = false;
      ways += this.sequence();
      if (this.pattern[this.at] !== '|') return { ways, anchored };
      this.at += 1;
    }
  }

  private sequence(): number {
    let ways = 1;
    while (this.at < this.pattern.length && !'|)'.includes(this.pattern[this.at] ?? '')) {
      ways *= this.repeated(this.atom());
    }
    return ways;
  }

  private atom(): number {
    const start = this.pattern[this.at];
    this.at += 1;
    if (start === '(') return this.group();
    if (start === '[') this.skipClass();
    if (start === '\\') this.skipEscape();
    return 1;
  }

  private group(): number {
    // (?: (?= (?! (?<= (?<! (?<name> (?i-m:
    const head = /^\?(?:[:=!]|<[=!]|<[^>]*>|[a-z-]*:)/.exec(this.pattern.slice(this.at));
    this.at += head?.[0].length ?? 0;
    const { ways } = this.alternatives();
    this.at += 1;
    return ways;
  }

  private skipClass(): void {
    while (this.pattern[this.at] !== ']') this.at += this.pattern[this.at] === '\\' ? 2 : 1;
    this.at += 1;
  }

  /** \p{L}, \u{1F600} and \k<name> have brackets of their own. */
  private skipEscape(): void {
    const long = /^(?:[pPu]\{[^}]*\}|k<[^>]*>)/.exec(this.pattern.slice(this.at));
    this.at += long?.[0].length ?? 1;
  }

  private repeated(ways: number): number {
    const quantifier = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/.exec(this.pattern.slice(this.at));
    if (quantifier === null) return ways;
    this.at += quantifier[0].length;
    const [from, to] = this.bounds(quantifier);
    if (ways > 1 && to >= this.characters) return Number.POSITIVE_INFINITY;
    return from === to ? ways ** from : (to - from + 1) * ways ** to;
  }

  private bounds([text, least, comma, most]: RegExpExecArray): [number, number] {
    if (text.startsWith('?')) return [0, 1];
    if (text.startsWith('*') || text.startsWith('+')) return [0, this.characters];
    const from = Math.min(Number(least), this.characters);
    if (comma === '') return [from, from];
    return [from, most === '' ? this.characters : Math.min(Number(most), this.characters)];
  }
}
