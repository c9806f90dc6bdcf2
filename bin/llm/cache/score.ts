import { areAlike, contentWords } from '../../../lambda/cache/semantic/content-words.ts';
import { isLegible, marksOf } from '../../../lambda/cache/semantic/marks.ts';
import { textTable } from '../text-table.ts';
import type { PromptPair } from './pairs.ts';

export interface ScoredPair extends PromptPair {
  /** Cosine. */
  readonly score: number;
}

export const GUARDS = ['strict', 'standard', 'none'] as const;
export type Guards = (typeof GUARDS)[number];

/** Whether the data path's guards let one's answer be given for the other. */
export function isLetThrough({ a, b }: PromptPair, guards: Guards): boolean {
  if (guards === 'none') return true;
  if (!isLegible(a) || !isLegible(b)) return false;
  if (JSON.stringify(marksOf(a)) !== JSON.stringify(marksOf(b))) return false;
  return areAlike(contentWords(a), contentWords(b), guards === 'strict' ? 'same-words' : 'no-exchange');
}

export interface Row {
  readonly threshold: number;
  readonly hits: number;
  readonly falseHits: number;
  readonly missed: number;
  /** Of the hits, the share that is right. */
  readonly precision: number;
  /** Of the pairs that mean the same, the share that is hit. */
  readonly recall: number;
  /** Of the pairs that don't, the share that is hit all the same. */
  readonly falseHitRate: number;
}

export function rowOf(pairs: readonly ScoredPair[], threshold: number, guards: Guards): Row {
  const hits = pairs.filter((pair) => pair.score >= threshold && isLetThrough(pair, guards));
  const right = hits.filter(({ same }) => same).length;
  const same = pairs.filter((pair) => pair.same).length;
  return {
    ...{ threshold, hits: hits.length, falseHits: hits.length - right, missed: same - right },
    precision: hits.length === 0 ? 1 : right / hits.length,
    recall: same === 0 ? 0 : right / same,
    falseHitRate: pairs.length === same ? 0 : (hits.length - right) / (pairs.length - same),
  };
}

const FROM = 50;
const TO = 100;

/**
 * The least threshold from which on false hits are no more than the share that is put up with, a step further on: nothing
 * lies just above the line in these pairs, and may in others.
 */
export function recommended(pairs: readonly ScoredPair[], guards: Guards, maxFalseHitRate: number): Row | undefined {
  const rows = Array.from({ length: TO - FROM + 1 }, (_, step) => rowOf(pairs, (FROM + step) / 100, guards));
  const last = rows.findLastIndex(({ falseHitRate }) => falseHitRate > maxFalseHitRate);
  const at = Math.min(last + 2, rows.length - 1);
  const row = last + 1 >= rows.length ? undefined : rows[at];
  return row === undefined || row.hits === 0 ? undefined : row;
}

const percent = (share: number): string => (share * 100).toFixed(1);

export function tableOf(pairs: readonly ScoredPair[], thresholds: readonly number[]): string {
  const head = ['guards', 'threshold', 'hits', 'false', 'missed', 'precision %', 'recall %', 'false-hit rate %'];
  const rows = GUARDS.flatMap((guards) =>
    thresholds.map((threshold) => {
      const row = rowOf(pairs, threshold, guards);
      const counts = [row.hits, row.falseHits, row.missed].map(String);
      return [
        guards,
        threshold.toFixed(2),
        ...counts,
        percent(row.precision),
        percent(row.recall),
        percent(row.falseHitRate),
      ];
    }),
  );
  return textTable(head, rows);
}
