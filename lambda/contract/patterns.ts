/**
 * Regular expressions of the operator's that run on what somebody else wrote. Synthesis refuses those that could take
 * long on a text of this length, so that no text is longer: what a pattern is to find must be in the beginning.
 * Repeated from `lib/private/patterns.ts`; a test holds them equal.
 */
export const MATCHED_CHARACTERS = 2000;

const compiled = new Map<string, RegExp>();

/** Case-insensitive, Unicode. They stand in the configuration, so that there are only so many. */
export function matchesPattern(pattern: string, text: string): boolean {
  let regex = compiled.get(pattern);
  if (regex === undefined) {
    regex = new RegExp(pattern, 'iu');
    compiled.set(pattern, regex);
  }
  return regex.test(text.slice(0, MATCHED_CHARACTERS));
}
