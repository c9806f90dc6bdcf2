import { createRequire } from 'node:module';
import type AjvDraft04 from 'ajv-draft-04';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chatCompletionRequest } from '../../../lambda/schema/chat-completion-request.ts';
import { gatewayModel } from '../../../scripts/build/gateway-model.ts';

const require = createRequire(import.meta.url);
const Ajv = (require('ajv-draft-04') as { default: typeof AjvDraft04 }).default;
const ajv = new Ajv({ strict: false });
const handler = ajv.compile(chatCompletionRequest);
const gateway = ajv.compile(gatewayModel(chatCompletionRequest));

const messages = [{ role: 'user', content: 'hi' }];

test.each([
  ['a good request', { model: 'm', messages }],
  ['a parameter out of its range', { model: 'm', messages, temperature: 3 }],
  ['a role that is none', { model: 'm', messages: [{ role: 'nobody' }] }],
  ['content of a wrong type', { model: 'm', messages: [{ role: 'user', content: 7 }] }],
  ['an empty name', { model: '', messages }],
])('API Gateway lets %s pass to the handler', (_, body) => {
  expect(gateway(body)).toBe(true);
});

test.each([
  ['no object', []],
  ['null', null],
  ['no model', { messages }],
  ['a model that is no string', { model: 1, messages }],
  ['no messages', { model: 'm' }],
  ['empty messages', { model: 'm', messages: [] }],
  ['messages that are no objects', { model: 'm', messages: ['hi'] }],
])('API Gateway refuses %s', (_, body) => {
  expect(gateway(body)).toBe(false);
});

test('whatever API Gateway refuses, the handler refuses too', () => {
  const message = fc.oneof(fc.record({ role: fc.constant('user'), content: fc.string() }), fc.jsonValue());
  const likely = fc.record(
    { model: fc.oneof(fc.string(), fc.jsonValue()), messages: fc.oneof(fc.array(message), fc.jsonValue()) },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(likely, fc.jsonValue()), (body) => {
      if (!gateway(body)) expect(handler(body)).toBe(false);
    }),
    { numRuns: 2000 },
  );
});
