import { createHash } from 'node:crypto';

/** Words that a question is worded with, and which say nothing of what it is about. */
const FILLERS: ReadonlySet<string> = new Set(
  `a an the this that these those some any my your our his her its their me us you we he she it they i one ones there here
   what which how why who whom whose when where is are was were am be been being do does did done doing can could will
   would should shall may might must have has had having get gets got getting go goes going to of in on at for from by with
   about as into than and or but so if then also just please tell explain describe define give show let help know want
   wants need needs like would like understand see say says said mean means meaning work works working way ways step steps
   thing things right possible available option people question answer really very quite usually exactly actually
   share provide find look use using make does's what's it's i'm im dont s t really look looks take takes took required
   able ok okay hi hello hey thanks thank`
    .trim()
    .split(/\s+/),
);

/** Endings off, so that a plural is its singular. A stem needs no meaning, only to be the same for both. */
function stem(word: string): string {
  const root =
    word.length <= 3
      ? word
      : word
          .replace(/ies$/, 'y')
          .replace(/(?<!s)s$/, '')
          .replace(/(?<=[a-z]{3})(ing|ed|er|ation|ment)$/, '')
          .replace(/e$/, '');
  // `egg` and `eggs`, `ship` and `shipped`.
  return root.replace(/([^aeiouls])\1$/, '$1');
}

/** What a text is about, in the order in which it says so. */
export function contentWords(text: string): readonly string[] {
  return (
    text
      .normalize('NFKC')
      .replaceAll('’', "'")
      .toLowerCase()
      .match(/[\p{L}\p{N}][\p{L}\p{N}'-]*/gu) ?? []
  )
    .map((word) => word.replace(/'s$/, ''))
    .filter((word) => !FILLERS.has(word))
    .map(stem);
}

/** A digest of each, salted: kept beside a vector in the place of the words, which stay out of the cache. */
export const digestsOf = (text: string, salt: string): readonly string[] =>
  contentWords(text).map((word) => createHash('sha256').update(`${salt}\0${word}`).digest('hex').slice(0, 8));

/** How alike two texts' words have to be, beside their vectors. */
export type Likeness = 'same-words' | 'no-exchange';

/**
 * - `same-words`: both are about the same words.
 * - `no-exchange`: words of the one may be missing in the other, but not have been exchanged for as many others, one or two:
 *   `the capital of spain` and `… of france` are the nearest neighbours that there are, and the ones most often wrong.
 *
 * Where the words are the same, their order is, too (a dog that chases a cat), or begins elsewhere (`in git, how …`).
 */
export function areAlike(a: readonly string[], b: readonly string[], likeness: Likeness): boolean {
  const onlyA = without(a, b);
  const onlyB = without(b, a);
  if (onlyA === 0 && onlyB === 0) return isRotation([...new Set(a)], [...new Set(b)]);
  if (likeness === 'same-words') return false;
  return onlyA !== onlyB || onlyA > MOST_EXCHANGED || onlyA === new Set(a).size;
}

/** Those who say it otherwise exchange more. */
const MOST_EXCHANGED = 2;

function without(a: readonly string[], b: readonly string[]): number {
  const known = new Set(b);
  return new Set(a.filter((word) => !known.has(word))).size;
}

/** The same order, or with three and more the same circle: of two, each order is a circle. */
function isRotation(a: readonly string[], b: readonly string[]): boolean {
  const at = b.indexOf(a[0] ?? '');
  if (at > 0 && a.length < 3) return false;
  return a.every((word, index) => b[(at + index) % b.length] === word);
}
