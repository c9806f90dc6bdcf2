import { performance } from 'node:perf_hooks';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MATCHED_CHARACTERS as HANDLER_MATCHED_CHARACTERS, matchesPattern } from '../../lambda/contract/patterns.ts';
import { Backend, FallbackPolicy } from '../../lib';
import { MATCHED_CHARACTERS, requirePattern, waysThrough } from '../../lib/private/patterns';

test('both sides look at equally much of a text', () => {
  expect(HANDLER_MATCHED_CHARACTERS).toBe(MATCHED_CHARACTERS);
});

test.each([
  "^I can't help with",
  '\\brefund',
  '\\b(?:write|draft)\\b.*\\b(?:poem|email)s?\\b',
  '^(?=.*please)translate',
  '[\\p{L}\\]]{2,}\\u{1F600}',
  '(?<word>\\p{Lu})\\k<word>',
  '(?:\\d{3}-)+x',
  '(?i:hello)|(?<!never )hi',
  '(?:ha){2,5}',
])('takes %s', (pattern) => {
  expect(() => requirePattern('patterns', pattern)).not.toThrow();
});

test.each([
  '(a+)+$',
  '(a|a)*b',
  '(.*)*x',
  '^(\\w+\\s?)*$x',
  'a.*b.*c.*d',
  '(?:a?){100}b',
  '(?=(x+x+)+y)z',
  '^(([a-z])+.)+[A-Z]([a-z])+$',
  '(?:a{1,50}){1,50}b',
  '(\\[(a+)+\\])z',
])('refuses %s, which a hostile text could keep busy', (pattern) => {
  expect(() => requirePattern('patterns', pattern)).toThrow(/^patterns has ".*", which a hostile text can keep busy/);
});

test('rules of replies and of quality are held to it as well', () => {
  expect(() => Backend.rules([{ pattern: '(a+)+$', reply: 'x' }])).toThrow(/^rules has "\(a\+\)\+\$"/);
  expect(() => FallbackPolicy.of({ quality: { patterns: ['(a+)+$'] } })).toThrow(/hostile text/);
});

/** Patterns as somebody might write them, and texts that are made to fail at their last character. */
const piece = fc.constantFrom('a', 'b', '.', '\\w', '[ab]', '(?:a|b)', '(?:ab|a)', '\\s', '^a');
const quantifier = fc.constantFrom('', '', '*', '+', '?', '{1,20}', '{2}', '*?');
const sequence = fc
  .array(fc.tuple(piece, quantifier), { minLength: 1, maxLength: 5 })
  .map((terms) => terms.flat().join(''));
const group = fc.tuple(sequence, sequence, quantifier).map(([one, other, many]) => `(?:${one}|${other})${many}c`);
const pattern = fc.oneof(
  sequence,
  group,
  fc.tuple(group, group).map((both) => both.join('')),
);

test('what is taken is through with any text in time, and what is refused is refused for a bound, not for its looks', () => {
  let taken = 0;
  fc.assert(
    fc.property(pattern, fc.constantFrom('a', 'ab', 'aab ', 'b'), (source, unit) => {
      try {
        requirePattern('patterns', source);
      } catch {
        return;
      }
      taken += 1;
      const text = `${unit.repeat(MATCHED_CHARACTERS)}!`;
      const start = performance.now();
      matchesPattern(source, text);
      expect(performance.now() - start).toBeLessThan(3000);
    }),
    { numRuns: 150 },
  );
  expect(taken).toBeGreaterThan(30);
  expect(waysThrough('^(?:foo|bar)x', MATCHED_CHARACTERS)).toBe(2);
  expect(waysThrough('foo.*bar', 100)).toBe(101 * 100);
});
