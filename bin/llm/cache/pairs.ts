/** Two prompts, and whether one's answer would do for the other. */
export interface PromptPair {
  readonly a: string;
  readonly b: string;
  readonly same: boolean;
  /** The owner's own word for it. */
  readonly kind: string;
}

/** @throws Error that says what a line lacks */
export function readPair(line: string): PromptPair {
  const value = JSON.parse(line) as Partial<Record<keyof PromptPair, unknown>> | null;
  const { a, b, same, kind = same === true ? 'same' : 'different' } = value ?? {};
  if (typeof a !== 'string' || typeof b !== 'string' || a.trim() === '' || b.trim() === '') {
    throw new Error('"a" and "b" must be the two prompts');
  }
  if (typeof same !== 'boolean') throw new Error('"same" must be true where one answer would do for both, else false');
  return { a, b, same, kind: String(kind) };
}
