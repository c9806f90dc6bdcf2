import { createHash } from 'node:crypto';

/** Words that hardly change what a sentence is about. */
const LIGHT = new Set(
  'a an the is are was do does did i you me my it to of in on at for with and or how what which can could please tell'.split(
    ' ',
  ),
);
/** A part of a word counts less than the word. */
const PART_WEIGHT = 0.3;
const LIGHT_WEIGHT = 0.1;

/**
 * A vector in the place of an embedding model's: simulated, and always the same for a text. Sums a direction for each word
 * and each three letters of it, so that texts of the same words are near; of meaning it knows nothing. Length 1.
 */
export function simulatedEmbedding(text: string, dimensions: number): number[] {
  const vector = new Float64Array(dimensions);
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [' ']) {
    const weight = LIGHT.has(word) ? LIGHT_WEIGHT : 1;
    add(vector, word, weight);
    for (let at = 0; at + 3 <= word.length; at++) add(vector, `#${word.slice(at, at + 3)}`, weight * PART_WEIGHT);
  }
  const length = Math.hypot(...vector) || 1;
  return [...vector].map((number) => number / length);
}

/** Tokens are estimated, as anywhere in the local run. */
export const embeddingTokens = (text: string): number => Math.max(1, Math.ceil(text.length / 4));

function add(vector: Float64Array, feature: string, weight: number): void {
  const digest = createHash('sha256').update(feature).digest();
  // A few coordinates of either sign: features rarely meet.
  for (let at = 0; at < 16; at += 4) {
    const bits = digest.readUInt32LE(at);
    const index = (bits >>> 1) % vector.length;
    vector[index] = (vector[index] ?? 0) + (bits & 1 ? weight : -weight);
  }
}
