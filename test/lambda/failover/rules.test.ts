import { afterEach, expect, test } from 'vitest';
import type { BackendConfig } from '../../../lib/private/serving-config.ts';
import { deploy, model, openAiBackend, PRICE, servingConfig, staticBackend, textOf } from '../support/serving.ts';
import { answerText, Upstream } from '../support/upstream.ts';

const upstreams: Upstream[] = [];
afterEach(async () => {
  await Promise.all(upstreams.splice(0).map((each) => each.stop()));
});

const rules = (overrides: object = {}): BackendConfig => ({
  id: 'rules',
  kind: 'rules',
  rules: [
    { pattern: '\\brefund', reply: 'See our refund page.' },
    { pattern: 'hello|hi', reply: 'Hello!' },
  ],
  price: PRICE,
  deadlines: { connectMs: 500, firstTokenMs: 500, betweenTokensMs: 500 },
  ...overrides,
});
const dead = openAiBackend('http://127.0.0.1:9/v1', { id: 'dead' });
const asking = (content: unknown) => ({ model: 'chat', messages: [{ role: 'user', content }] });

test('the first rule that matches the last message replies when the models have failed, streamed or whole', async () => {
  const { chat, requestLog } = deploy(servingConfig([model([dead, rules()])]));
  const whole = await chat(asking('Hello, I want a REFUND'));
  expect(whole.headers).toMatchObject({ 'x-llm-backend': 'rules', 'x-llm-fallbacks': '1' });
  expect(whole.json).toMatchObject({
    choices: [{ message: { content: 'See our refund page.' }, finish_reason: 'stop' }],
    usage: { total_tokens: 0, cost_usd: 0 },
  });
  const streamed = await chat({ ...asking([{ type: 'text', text: 'hi' }]), stream: true });
  expect(textOf(streamed.events)).toBe('Hello!');
  expect(requestLog()).toMatchObject([{ AllBackendsFailed: 1 }, { AllBackendsFailed: 1 }]);
});

test('what no rule matches goes to the next backend, or to the reply for that', async () => {
  const { chat } = deploy(servingConfig([model([dead, rules(), staticBackend()])]));
  expect((await chat(asking('weather'))).headers['x-llm-backend']).toBe('sorry');
  const other = deploy(servingConfig([model([dead, rules({ otherwise: 'Later.' })])]));
  expect((await other.chat(asking('weather'))).json).toMatchObject({ choices: [{ message: { content: 'Later.' } }] });
  const none = deploy(servingConfig([model([rules()])]));
  expect((await none.chat(asking('weather'))).status).toBe(502);
});

test('before a model they answer what needs none', async () => {
  const up = await Upstream.start(answerText('from the model'));
  upstreams.push(up);
  const { chat, requestLog } = deploy(servingConfig([model([rules(), openAiBackend(up.url)])]));
  expect((await chat(asking('hello'))).headers['x-llm-backend']).toBe('rules');
  expect((await chat(asking('weather'))).headers['x-llm-backend']).toBe('first');
  expect(requestLog()[0]).not.toHaveProperty('AllBackendsFailed');
});
