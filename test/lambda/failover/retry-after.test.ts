import { expect, test } from 'vitest';
import { retryAfter } from '../../../lambda/backends/retry-after.ts';

const HOUR = 3_600_000;

test.each<[Record<string, string | string[] | undefined>, number | undefined]>([
  [{}, undefined],
  [{ 'retry-after': '7' }, 7000],
  [{ 'retry-after': '0.5' }, 500],
  [{ 'retry-after': '0' }, 0],
  [{ 'retry-after': '-5' }, 0],
  [{ 'retry-after': '1e99' }, HOUR],
  [{ 'retry-after': 'Infinity' }, undefined],
  [{ 'retry-after': '' }, undefined],
  [{ 'retry-after': ' ' }, undefined],
  [{ 'retry-after': 'soon' }, undefined],
  [{ 'retry-after': ['1', '2'] }, undefined],
  [{ 'retry-after': new Date(0).toUTCString() }, 0],
  [{ 'retry-after': 'Fri, 31 Dec 9999 23:59:59 GMT' }, HOUR],
  [{ 'retry-after-ms': '300', 'retry-after': '1' }, 300],
  [{ 'retry-after-ms': 'x', 'retry-after': '1' }, 1000],
])('%j asks for %s ms', (headers, ms) => {
  expect(retryAfter(headers)).toBe(ms);
});

test('a date is as far away as it is', () => {
  const asked = retryAfter({ 'retry-after': new Date(Date.now() + 30_000).toUTCString() });
  expect(asked).toBeGreaterThan(20_000);
  expect(asked).toBeLessThanOrEqual(30_000);
});
