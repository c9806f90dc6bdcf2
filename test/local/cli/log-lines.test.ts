import { expect, test } from 'vitest';
import { readable } from '../../../local/cli/log-lines.ts';

const at = (verbose: boolean) => ({ verbose, now: () => Date.UTC(2026, 10, 22, 20, 3, 10) });

test.each([
  ['text', 'hello world', '20:03:10 Handler hello world'],
  ['JSON that is no object', '[1]', '20:03:10 Handler [1]'],
  ['an empty line', '', '20:03:10 Handler '],
  [
    'a message with fields',
    '{"timestamp":"x","level":"INFO","message":"served","model":"m","none":null,"absent":"-","n":0}',
    '20:03:10 Handler served model=m n=0',
  ],
  ['a level that matters', '{"level":"WARN","message":"slow"}', '20:03:10 Handler WARN slow'],
  ['nested fields', '{"message":"a","b":{"c":1}}', '20:03:10 Handler a b={"c":1}'],
  [
    'an error',
    '{"level":"ERROR","message":{"errorType":"TypeError","errorMessage":"no","stackTrace":["TypeError: no","    at x"]}}',
    '20:03:10 Handler ERROR TypeError: no',
  ],
])('%s', (_, line, expected) => {
  expect(readable('Handler', line, at(false))).toBe(expected);
});

test('of the metrics in a line those that say something are shown; all of them when verbose', () => {
  const metrics = ['Requests', 'Errors', 'OutputTokens', 'Fallbacks'].map((Name) => ({ Name }));
  const line = JSON.stringify({
    message: 'chat completion',
    _aws: { CloudWatchMetrics: [{ Metrics: metrics }] },
    Requests: 1,
    Errors: 0,
    OutputTokens: 79,
    Fallbacks: 0,
  });
  expect(readable('Handler', line, at(false))).toBe('20:03:10 Handler chat completion OutputTokens=79');
  expect(readable('Handler', line, at(true))).toBe(
    '20:03:10 Handler chat completion Requests=1 Errors=0 OutputTokens=79 Fallbacks=0',
  );
});

test("an error's stack is shown when verbose", () => {
  const line = '{"message":{"errorType":"E","errorMessage":"no","stackTrace":["E: no","    at x"]}}';
  expect(readable('Handler', line, at(true))).toBe('20:03:10 Handler E: no\n    at x');
});
