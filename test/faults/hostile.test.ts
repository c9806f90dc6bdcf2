import { afterEach, describe, expect, test } from 'vitest';
import { STANDARD_POLICY } from '../../lambda/failover/policy.ts';
import type { BackendConfig, FallbackConfig } from '../../lib/private/serving-config.ts';
import { deploy, HELLO, model, openAiBackend, servingConfig, textOf } from '../lambda/support/serving.ts';
import {
  type Answerer,
  answerStatus,
  answerText,
  chunk,
  DONE,
  ROLE,
  sleep,
  sse,
  Upstream,
  usageChunk,
} from '../lambda/support/upstream.ts';
import { billed } from './drive.ts';

const upstreams: Upstream[] = [];
afterEach(async () => {
  await Promise.all(upstreams.splice(0).map((each) => each.stop()));
});
async function backend(id: string, answer: Answerer, overrides: object = {}): Promise<BackendConfig> {
  const upstream = await Upstream.start(answer);
  upstreams.push(upstream);
  const deadlines = { connectMs: 500, firstTokenMs: 400, betweenTokensMs: 300 };
  return openAiBackend(upstream.url, { id, deadlines, ...overrides });
}
const run = (backends: BackendConfig[], fallback: FallbackConfig = STANDARD_POLICY, limits = {}) =>
  deploy(servingConfig([model(backends, { fallback })], { limits }));
const STREAM = { ...HELLO, stream: true };
const good = (): Promise<BackendConfig> => backend('second', answerText('good'));
const cut =
  (body: string): Answerer =>
  async (response) => {
    sse(response).write(body);
    await sleep(20);
    response.destroy();
  };
/** Says something every so often, for ever. */
const trickle =
  (start: string, more: string): Answerer =>
  (response) => {
    sse(response).write(start);
    const timer = setInterval(() => response.write(more), 50);
    response.on('close', () => clearInterval(timer));
  };

describe('a backend that is never silent and never says anything', () => {
  test.each([
    ['one byte after the other', 'x', 'x'],
    ['comments', ': processing\n\n', ': processing\n\n'],
    ['comments without an end', ': processing\n', ':\n'],
    ['empty events', ROLE, chunk({})],
    ['events without a choice', ROLE, 'data: {"type":"ping"}\n\n'],
  ])('%s before the first token: the next one answers', async (_, start, more) => {
    const { chat } = run([await backend('first', trickle(start, more)), await good()]);
    expect(textOf((await chat(STREAM)).events)).toBe('good');
  });

  test.each([
    ['one byte after the other', 'x'],
    ['comments', ': processing\n\n'],
    ['empty deltas', chunk({})],
    ['deltas of empty text', chunk({ content: '' })],
    ['a role again and again', ROLE],
    ['events without a choice', 'data: {"type":"ping"}\n\n'],
    ['null choices', 'data: {"id":"c","choices":null}\n\n'],
  ])('%s in mid-stream: another one goes on', async (_, more) => {
    const first = await backend('first', trickle(ROLE + chunk({ content: 'Half ' }), more));
    const { chat } = run([first, await backend('second', answerText('and half.'))], STANDARD_POLICY, {
      totalTimeoutMs: 4000,
    });
    expect(textOf((await chat(STREAM)).events)).toBe('Half and half.');
  });
});

describe('a client gets no event that its SDK chokes on', () => {
  test.each([
    ['a ping', 'data: {"type":"ping"}\n\n'],
    ['a named ping', 'event: ping\ndata: {"type": "ping"}\n\n'],
    ['null choices', 'data: {"id":"c","choices":null}\n\n'],
  ])('%s', async (_, odd) => {
    const body = odd + ROLE + odd + chunk({ content: 'good' }) + odd + chunk({}, 'stop') + odd + DONE;
    const { events } = await run([await backend('first', (response) => void sse(response).end(body))]).chat(STREAM);
    expect(textOf(events)).toBe('good');
    for (const event of events) {
      if (typeof event === 'object') expect(event.choices).toBeInstanceOf(Array);
    }
  });

  test('a choice that is null is no answer', async () => {
    const { chat } = run([
      await backend('first', (response) => void sse(response).end(`data: {"choices":[null]}\n\n${DONE}`)),
      await good(),
    ]);
    expect(textOf((await chat(STREAM)).events)).toBe('good');
  });

  test.each([
    [
      'a byte order mark, CR and no space',
      (body: string) => `\ufeff${body.replaceAll('data: ', 'data:').replaceAll('\n', '\r')}`,
    ],
    ['CRLF', (body: string) => body.replaceAll('\n', '\r\n')],
    ['several data lines', (body: string) => body.replaceAll(',"choices"', ',\ndata: "choices"')],
  ])('%s', async (_, spelled) => {
    const body = spelled(ROLE + chunk({ content: 'good' }) + chunk({}, 'stop') + usageChunk(10, 1) + DONE);
    const { chat, requestLog } = run([await backend('first', (response) => void sse(response).end(body))]);
    expect(textOf((await chat(STREAM)).events)).toBe('good');
    expect(requestLog()[0]).toMatchObject({ OutputTokens: 1 });
  });
});

describe('what no other model can go on with is not resumed:', () => {
  const call = (args: string) => chunk({ function_call: { name: 'f', arguments: args } });
  test.each<[string, string, object]>([
    ['a function call of the former kind', ROLE + call('{"a'), {}],
    ['a refusal', ROLE + chunk({ refusal: 'I can' }), {}],
    ['sound', ROLE + chunk({ audio: { id: 'a', data: 'AAAA' } }), {}],
    ['a grammar of vLLM', ROLE + chunk({ content: '{"a' }), { structured_outputs: { json: {} } }],
    ['a grammar of former vLLM', ROLE + chunk({ content: '{"a' }), { guided_json: {} }],
    ['a grammar of SGLang', ROLE + chunk({ content: '{"a' }), { ebnf: 'root ::= "a"' }],
    ['a regular expression of SGLang', ROLE + chunk({ content: '1' }), { regex: '[0-9]+' }],
    ['a grammar of TGI', ROLE + chunk({ content: '{"a' }), { response_format: { type: 'regex', value: 'a' } }],
    ['log probabilities by number', ROLE + chunk({ content: 'a' }), { top_logprobs: 2, logprobs: true }],
  ])('%s', async (_, start, more) => {
    const first = await backend('first', cut(start));
    const { chat } = run([first, await good()]);
    const { events, status } = await chat({ ...STREAM, ...more });
    if (status === 400) return;
    expect(textOf(events)).not.toContain('good');
    expect(events.at(-2)).toHaveProperty('error');
    expect(events.at(-1)).toBe('[DONE]');
    expect(upstreams.at(-1)?.requests).toHaveLength(0);
  });

  test('thoughts that broke off are thought anew', async () => {
    const first = await backend('first', cut(ROLE + chunk({ reasoning_content: 'Let me' })));
    const { chat } = run([first, await good()]);
    expect(textOf((await chat(STREAM)).events)).toBe('good');
    expect(upstreams.at(-1)?.requests[0]?.body.messages).toEqual(HELLO.messages);
  });
});

test('an answer of which only white space came is begun anew: no message of nothing is sent', async () => {
  const first = await backend('first', cut(ROLE + chunk({ content: '\n\n' })));
  const { chat } = run([first, await good()]);
  expect(textOf((await chat(STREAM)).events)).toBe('\n\ngood');
  expect(upstreams.at(-1)?.requests[0]?.body.messages).toEqual(HELLO.messages);
});

test('a function call of the former kind is no empty answer', async () => {
  const first = await backend('first', (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const message = { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } };
    response.end(JSON.stringify({ id: 'c', choices: [{ index: 0, message, finish_reason: 'function_call' }] }));
  });
  expect((await run([first, await good()]).chat(HELLO)).headers['x-llm-backend']).toBe('first');
});

test('a prompt that is too long may be said so under 200: a longer context is asked', async () => {
  const message = "The input (9000 tokens) is longer than the model's context length (8192 tokens).";
  const error = `data: ${JSON.stringify({ error: { message, type: 'BadRequestError', code: 400 } })}\n\n`;
  const first = await backend('first', (response) => void sse(response).end(error + DONE), { contextWindow: 8192 });
  const long = await backend('second', answerText('good'), { contextWindow: 100_000 });
  expect(textOf((await run([first, long]).chat(STREAM)).events)).toBe('good');
});

describe('every token that was made is paid, once:', () => {
  test('a usage that came early, and what followed it before the cut', async () => {
    const early = (tokens: number) =>
      chunk({ content: 'a ' }, null, { usage: { prompt_tokens: 10, completion_tokens: tokens } });
    const first = await backend('first', cut(early(1) + chunk({ content: 'word ' }).repeat(20)));
    const { chat, requestLog } = run([first], { ...STANDARD_POLICY, resume: false });
    await chat(STREAM);
    expect(requestLog()[0]).toMatchObject({ InputTokens: 10, usage_estimated: true });
    expect(requestLog()[0]?.OutputTokens).toBeGreaterThanOrEqual(21);
  });

  test('a usage before the finish reason is the whole one', async () => {
    const body = ROLE + chunk({ content: 'a' }) + usageChunk(10, 1) + chunk({}, 'stop') + DONE;
    const { chat, requestLog } = run([await backend('first', (response) => void sse(response).end(body))]);
    await chat(STREAM);
    expect(requestLog()[0]).toMatchObject({ OutputTokens: 1, usage_estimated: false });
  });

  test('of a whole answer that lost a race its prompt, for it was being worked on', async () => {
    const first = await backend('first', () => {});
    const { chat, log, requestLog } = run([first, await good()], { ...STANDARD_POLICY, hedgeAfterMs: 50 });
    expect((await chat(HELLO)).headers['x-llm-backend']).toBe('second');
    expect(billed(log, 'InputTokens', 'first')).toBeGreaterThan(0);
    expect(billed(log, 'OutputTokens', 'first')).toBe(0);
    const sum = billed(log, 'CostUsd');
    expect(requestLog()[0]?.CostUsd).toBeCloseTo(sum, 12);
  });

  test('of a whole answer that took too long as well', async () => {
    const first = await backend('first', () => {}, {
      deadlines: { connectMs: 500, firstTokenMs: 400, betweenTokensMs: 300, wholeAnswerMs: 150 },
    });
    const { chat, log } = run([first, await good()]);
    expect((await chat(HELLO)).status).toBe(200);
    expect(billed(log, 'InputTokens', 'first')).toBeGreaterThan(0);
  });

  test.each([500, 503, 504, 408, 429, 401])('nothing of one that was refused with %i', async (status) => {
    const { chat, log } = run([await backend('first', answerStatus(status)), await good()]);
    expect((await chat(HELLO)).status).toBe(200);
    expect(billed(log, 'InputTokens', 'first')).toBe(0);
  });

  test('nothing of one that could not be reached', async () => {
    const { chat, log } = run([openAiBackend('http://127.0.0.1:9/v1'), await good()]);
    expect((await chat(HELLO)).status).toBe(200);
    expect(billed(log, 'InputTokens', 'first')).toBe(0);
  });
});

describe('words of the prompt come back from a backend in an error, and go no further', () => {
  const SECRET = 'my diagnosis is a rare disease';
  const ASKING = { ...HELLO, messages: [{ role: 'user', content: `Tell me: ${SECRET}, what now?` }] };
  const statuses = [300, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529];
  test.each(statuses)('%i', async (status) => {
    const bodies = [
      { error: { message: `flagged: "${SECRET}"`, code: SECRET, param: SECRET } },
      { error: { message: { text: SECRET } } },
      { detail: [{ loc: ['body'], input: SECRET }] },
      { error: SECRET },
    ];
    for (const body of bodies) {
      const { chat, lines } = run([await backend('first', answerStatus(status, body))]);
      for (const stream of [true, false]) {
        const answer = await chat({ ...ASKING, stream });
        // Of what the client did wrong it is told in the backend's words.
        if (![400, 413, 422].includes(status)) expect(answer.body).not.toContain('diagnosis');
      }
      expect(lines.join('\n')).not.toContain('diagnosis');
    }
  });

  test.each([
    ['in a stream', `data: ${JSON.stringify({ error: { message: SECRET, code: 429 } })}\n\n`],
    ['as the type of the content', ''],
  ])('%s', async (_, body) => {
    const answer: Answerer = (response) =>
      body === ''
        ? void response.writeHead(200, { 'content-type': SECRET }).end('x')
        : void sse(response).end(ROLE + chunk({ content: 'x' }) + body);
    const { chat, lines } = run([await backend('first', answer)]);
    for (const stream of [true, false]) expect((await chat({ ...ASKING, stream })).body).not.toContain('diagnosis');
    expect(lines.join('\n')).not.toContain('diagnosis');
  });
});
