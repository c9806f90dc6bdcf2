import { describe, expect, test } from 'vitest';
import { authorize } from '../../../lambda/authorizer/authorize.ts';

const KEY = 'abcdefghij0123456789';
const methodArn = 'arn:aws:execute-api:eu-west-1:123456789012:api1/prod/POST/v1/chat/completions';
const call = (headers: Record<string, string> | null) => authorize({ methodArn, headers });

describe('the key is taken from', () => {
  test.each([
    ['Authorization', { Authorization: `Bearer ${KEY}` }],
    ['authorization in lower case', { authorization: `bearer ${KEY}` }],
    ['a generous amount of space', { Authorization: `  Bearer   ${KEY} ` }],
    ['x-api-key', { 'x-api-key': KEY }],
    ['X-API-Key', { 'X-API-Key': KEY }],
    ['Authorization, whatever x-api-key says', { Authorization: `Bearer ${KEY}`, 'x-api-key': 'z'.repeat(30) }],
  ])('%s', (_, headers) => {
    expect(call(headers).usageIdentifierKey).toBe(KEY);
  });
});

describe('denied, without an error in the log, for', () => {
  test.each([
    ['no headers at all', null],
    ['neither header', { Accept: '*/*' }],
    ['an empty key', { Authorization: 'Bearer ' }],
    ['another scheme', { Authorization: `Basic ${KEY}` }],
    ['no scheme', { Authorization: KEY }],
    ['19 characters', { 'x-api-key': KEY.slice(1) }],
    ['129 characters', { 'x-api-key': 'a'.repeat(129) }],
    ['an OpenAI key', { Authorization: 'Bearer sk-proj-abcdefghij0123456789' }],
    ['a key and more', { Authorization: `Bearer ${KEY} ${KEY}` }],
    ['a malformed Authorization beside a sound x-api-key', { Authorization: 'Bearer x', 'x-api-key': KEY }],
  ])('%s', (_, headers) => {
    const result = call(headers);
    expect(result.policyDocument.Statement).toMatchObject([{ Effect: 'Deny' }]);
    expect(result).not.toHaveProperty('usageIdentifierKey');
  });
});

test('the policy holds for the whole stage, for API Gateway keeps it for every method', () => {
  expect(call({ 'x-api-key': KEY }).policyDocument.Statement).toEqual([
    {
      Action: 'execute-api:Invoke',
      Effect: 'Allow',
      Resource: 'arn:aws:execute-api:eu-west-1:123456789012:api1/prod/*/*',
    },
  ]);
});

test('the principal tells keys apart, and does not tell them', () => {
  const { principalId } = call({ 'x-api-key': KEY });
  expect(principalId).not.toContain(KEY.slice(0, 6));
  expect(call({ 'x-api-key': `${KEY}1` }).principalId).not.toBe(principalId);
  expect(call({ Authorization: `Bearer ${KEY}` }).principalId).toBe(principalId);
});
