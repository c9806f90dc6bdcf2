import { describe, expect, test } from 'vitest';
import { areAlike, contentWords, digestsOf } from '../../../lambda/cache/semantic/content-words.ts';
import { isLegible, marksOf } from '../../../lambda/cache/semantic/marks.ts';

describe('marks', () => {
  test.each([
    ['What is 1,000.0 EUR in USD?', ['number:1000', 'unit:eur', 'unit:usd']],
    ['what is 1000 EUR in USD', ['number:1000', 'unit:eur', 'unit:usd']],
    ['Is 37.5% of two dozen more?', ['number:37.5%', 'number:2', 'number:12']],
    ["I can't and won't, never", ['not', 'not', 'not']],
    ['Write "fresh start" or ‘new start’', ['quoted:fresh start', 'quoted:new start']],
    ['Is foo_bar the same as fooBar in /etc/hosts?', ['symbol:foo_bar', 'symbol:fooBar', 'symbol:/etc/hosts']],
    ['How many people, and how long?', ['asked:how many', 'asked:how long']],
    ['May I ask in May?', ['when:may']],
    ['Berlin is nice. Paris is nicer', ['name:berlin', 'name:paris']],
    ['uninstall it, I understand', ['turn:uninstall']],
    ['Hello! What is this?', []],
  ])('%s', (text, marks) => {
    expect(marksOf(text)).toEqual(marks);
  });

  test('code counts to the letter', () => {
    expect(marksOf('if (a) { b(); }')).toEqual(['code:if (a) { b(); }']);
    expect(marksOf('if (a) { c(); }')).not.toEqual(marksOf('if (a) { b(); }'));
  });

  test.each([
    ['How are you?', true],
    ['¿Cómo estás, señor?', true],
    ['Как дела?', false],
    ['你好吗', false],
    ['123 + 456', false],
  ])('%s is legible: %s', (text, legible) => {
    expect(isLegible(text)).toBe(legible);
  });

  test('a long text takes no time to speak of', () => {
    const hostile = `${"'a ".repeat(300)}${'"'.repeat(300)}${'un'.repeat(500)}`;
    const start = performance.now();
    marksOf(hostile);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('words', () => {
  const alike = (a: string, b: string, likeness: 'same-words' | 'no-exchange') =>
    areAlike(contentWords(a), contentWords(b), likeness);

  test.each([
    ['How do I boil eggs?', 'What is the way to boil an egg?', true, true],
    ['In git, how do I undo a commit?', 'How do I undo a commit in git?', true, true],
    ['the capital of spain', 'the capital of france', false, false],
    ['side effects of aspirin', 'side effects of aspirin in children', false, true],
    ['Can a dog chase a cat?', 'Can a cat chase a dog?', false, false],
    ['usd to eur', 'eur to usd', false, false],
    ['What causes thunder storms?', 'Where does lightning come from, physically?', false, true],
  ])('%s / %s', (a, b, sameWords, noExchange) => {
    expect([alike(a, b, 'same-words'), alike(a, b, 'no-exchange')]).toEqual([sameWords, noExchange]);
  });

  test('stand as digests that another context does not share', () => {
    const digests = digestsOf('boil eggs', 'salt');
    expect(digests).toHaveLength(2);
    for (const digest of digests) expect(digest).toMatch(/^[0-9a-f]{8}$/);
    expect(digestsOf('boil eggs', 'other')).not.toEqual(digests);
  });
});
