import { afterEach, describe, expect, test } from 'vitest';
import { deploy, HELLO, model, openAiBackend, servingConfig, staticBackend } from '../support/serving.ts';
import { type Answerer, answerStatus, chunk, DONE, sse, Upstream } from '../support/upstream.ts';

const closing: Array<() => Promise<unknown>> = [];
async function upstream(answer: Answerer): Promise<Upstream> {
  const started = await Upstream.start(answer);
  closing.push(() => started.stop());
  return started;
}
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
});

const choice = { index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' };

test.each<[unknown]>([
  [[null]],
  [['text']],
  [[{}]],
  [[{ message: null }]],
  [[{ message: 'hi' }]],
  [[{ message: { tool_calls: 'f' } }]],
  [[{ message: { tool_calls: [null] } }]],
  [[choice, null]],
  [[]],
  ['hi'],
])('a whole answer with the choices %j is none: another backend is asked', async (choices) => {
  const up = await upstream(answerStatus(200, { id: 'x', choices }));
  const { chat, log } = deploy(servingConfig([model([openAiBackend(up.url), staticBackend()])]));
  expect((await chat(HELLO)).headers['x-llm-backend']).toBe('sorry');
  expect((await chat({ ...HELLO, stream: true })).headers['x-llm-backend']).toBe('sorry');
  expect(log.filter(({ kind }) => kind === 'protocol')).toHaveLength(2);
});

describe('usage that cannot be', () => {
  test.each([
    [
      { prompt_tokens: -5, completion_tokens: 10, total_tokens: 5 },
      { prompt_tokens: 0, completion_tokens: 10, total_tokens: 5, cost_usd: 0.00002 },
    ],
    [
      { prompt_tokens: 10, completion_tokens: 'many', total_tokens: -1 },
      { prompt_tokens: 10, completion_tokens: 0, total_tokens: 10, cost_usd: 0.00001 },
    ],
    [
      { prompt_tokens: 10, completion_tokens: 0, total_tokens: 10, prompt_tokens_details: { cached_tokens: 1000 } },
      { prompt_tokens: 10, prompt_tokens_details: { cached_tokens: 10 }, cost_usd: 0.000005 },
    ],
    [
      { prompt_tokens: 10, completion_tokens: 'INFINITE', total_tokens: 10 },
      { prompt_tokens: 10, completion_tokens: 0, cost_usd: 0.00001 },
    ],
  ])('%j is told and priced as what can be', async (usage, told) => {
    const wire = (value: object) => JSON.stringify({ ...value, usage }).replace('"INFINITE"', '1e999');
    const up = await upstream((response, { body }) => {
      if (body.stream === true) {
        sse(response).end(`${chunk({ content: 'hi' })}${chunk({}, 'stop')}data: ${wire({ choices: [] })}\n\n${DONE}`);
      } else {
        response.writeHead(200, { 'content-type': 'application/json' }).end(wire({ id: 'x', choices: [choice] }));
      }
    });
    const { chat, requestLog } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    expect((await chat(HELLO)).json).toMatchObject({ usage: told });
    const { events } = await chat({ ...HELLO, stream: true, stream_options: { include_usage: true } });
    expect(events.at(-2)).toMatchObject({ usage: told });
    expect(requestLog().map((line) => line.CostUsd)).toEqual([told.cost_usd, told.cost_usd]);
  });
});

test.each(['garbage', '[1]', '"text"', '{"cut":'])(
  'an event with the data %s after the first token is an error, not the answer of a client',
  async (data) => {
    const up = await upstream((response) => {
      sse(response).end(`${chunk({ content: 'hi' })}data: ${data}\n\n${chunk({}, 'stop')}${DONE}`);
    });
    const { chat, log } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const { events, body } = await chat({ ...HELLO, stream: true });
    expect(body).not.toContain(`data: ${data}`);
    expect(events.at(-2)).toHaveProperty('error');
    expect(log[0]).toMatchObject({ kind: 'protocol' });
  },
);
