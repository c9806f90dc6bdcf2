import { performance } from 'node:perf_hooks';
import { describe, expect, test } from 'vitest';
import { redact } from '../../../lambda/serving/redact.ts';

describe('of a backend, nobody is told', () => {
  test.each([
    ['see http://10.0.0.7:8000/v1 for more', 'see [url] for more'],
    ['postgres://user:pw@db/x failed', '[url] failed'],
    ['connect to 10.0.0.7:8000 failed', 'connect to [address] failed'],
    ['connect to 10.0.0.7 failed', 'connect to [address] failed'],
    ['connect to vllm-svc:8000 failed', 'connect to [address] failed'],
    ['host vllm.prod.svc.cluster.local is down', 'host [address] is down'],
    ['ip-10-0-0-7.eu-west-1.compute.internal is down', '[address] is down'],
    ['at fd00:ec2:0:0::254', 'at [address]'],
    ['at [::1]:8000', 'at [address]'],
    ['User: arn:aws:sts::123456789012:assumed-role/llm/fn is not authorized', 'User: [arn] is not authorized'],
    ['in arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/x.', 'in [arn]'],
    ['account 123456789012 has no access', 'account [account] has no access'],
    ['Incorrect API key provided: sk-abcd*****wxyz.', 'Incorrect API key provided: [key]'],
    ['Bearer abcdef is wrong', '[key] is wrong'],
    ['key AKIAIOSFODNN7EXAMPLE is wrong', 'key [key] is wrong'],
    ['token 0123456789abcdef0123456789abcdef', 'token [key]'],
  ])('%s', (text, expected) => {
    expect(redact(text, 500)).toBe(expected);
  });
});

test.each([
  "Invalid value for 'messages[0].content[1].image_url.url': expected a string",
  "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages).",
  "'response_format.json_schema.schema' of meta-llama/Llama-3.1-8B-Instruct is wrong at 12:30:05",
  'max_completion_tokens is too large: 100000',
  'connecting took longer than 100 ms',
  'connection failed: ECONNREFUSED',
])('what helps stays: %s', (text) => {
  expect(redact(text, 500)).toBe(text);
});

test('a message is cut, however long, and in good time', () => {
  const start = performance.now();
  for (const text of [
    'a'.repeat(1e6),
    'a.'.repeat(5e5),
    '1:'.repeat(5e5),
    ':'.repeat(1e6),
    '*'.repeat(1e6),
    'a-'.repeat(5e5),
  ]) {
    expect(redact(text, 100).length).toBeLessThanOrEqual(100);
  }
  expect(performance.now() - start).toBeLessThan(1000);
});
