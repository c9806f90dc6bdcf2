import { performance } from 'node:perf_hooks';
import { afterEach, describe, expect, test } from 'vitest';
import { STANDARD_POLICY } from '../../../lambda/failover/policy.ts';
import type { BackendConfig, FallbackConfig } from '../../../lib/private/serving-config.ts';
import { deploy, HELLO, model, openAiBackend, servingConfig, staticBackend, textOf } from '../support/serving.ts';
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
} from '../support/upstream.ts';

const upstreams: Upstream[] = [];
afterEach(async () => {
  await Promise.all(upstreams.splice(0).map((each) => each.stop()));
});
async function upstream(answer: Answerer): Promise<Upstream> {
  const started = await Upstream.start(answer);
  upstreams.push(started);
  return started;
}

const STREAM = { ...HELLO, stream: true };
const DEADLINES = { connectMs: 500, firstTokenMs: 1500, betweenTokensMs: 300 };
const policy = (overrides: Partial<FallbackConfig>): FallbackConfig => ({ ...STANDARD_POLICY, ...overrides });
const run = (backends: BackendConfig[], fallback = STANDARD_POLICY, limits = {}) =>
  deploy(servingConfig([model(backends, { fallback })], { limits }));
const first = (up: Upstream, overrides: object = {}) => openAiBackend(up.url, { deadlines: DEADLINES, ...overrides });
const second = (up: Upstream, overrides: object = {}) => first(up, { id: 'second', ...overrides });
const whole =
  (message: object, finish = 'stop', more: object = {}): Answerer =>
  (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const choices = [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: finish }];
    const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
    response.end(
      JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model: 'm', choices, usage, ...more }),
    );
  };
/** Sums a metric over all lines that have it for a backend. */
const billed = (log: ReadonlyArray<Record<string, unknown>>, backend: string, name: string): number =>
  log
    .filter((line) => line.backend === backend)
    .filter((line) => {
      const { CloudWatchMetrics } = line._aws as {
        CloudWatchMetrics: { Dimensions: string[][]; Metrics: { Name: string }[] }[];
      };
      return CloudWatchMetrics.some(
        (set) => set.Dimensions[0]?.includes('backend') && set.Metrics.some((metric) => metric.Name === name),
      );
    })
    .reduce((sum, line) => sum + (line[name] as number), 0);

describe('a retry', () => {
  const flaky =
    (failures: number, fault: Answerer): Answerer =>
    (response, request, incoming) => {
      failures -= 1;
      return (failures >= 0 ? fault : answerText('at last'))(response, request, incoming);
    };

  test('asks the only backend once more, before a fixed reply does', async () => {
    const up = await upstream(flaky(1, answerStatus(503)));
    const { chat, requestLog } = run([first(up), staticBackend()]);
    expect(textOf((await chat(STREAM)).events)).toBe('at last');
    expect(requestLog()[0]).toMatchObject({ attempts: 2, retries: 1, Fallbacks: 0, backend: 'first' });
  });

  test("isn't made while another backend is there", async () => {
    const one = await upstream(flaky(1, answerStatus(503)));
    const two = await upstream(answerText('from the second'));
    const { chat } = run([first(one), second(two)]);
    expect((await chat(HELLO)).headers['x-llm-backend']).toBe('second');
    expect(one.requests).toHaveLength(1);
  });

  test('waits as long as Retry-After says, where the policy allows that', async () => {
    const up = await upstream(flaky(1, answerStatus(429, undefined, { 'retry-after-ms': '300' })));
    const { chat } = run([first(up)]);
    const start = performance.now();
    expect((await chat(HELLO)).status).toBe(200);
    expect(performance.now() - start).toBeGreaterThan(290);
  });

  test("isn't waited for when Retry-After is longer than that: the client is told", async () => {
    const up = await upstream(flaky(1, answerStatus(429, undefined, { 'retry-after': '30' })));
    const { status, headers } = await run([first(up)]).chat(HELLO);
    expect([status, headers['retry-after']]).toEqual([429, '30']);
    expect(up.requests).toHaveLength(1);
  });

  test("doesn't multiply an outage", async () => {
    const up = await upstream(answerStatus(503));
    const { chat } = run([first(up)], policy({ retries: 3, backoffBaseMs: 1 }));
    for (let index = 0; index < 30; index += 1) await chat(HELLO);
    // The two that a process begins with, and a tenth.
    expect(up.requests.length).toBeGreaterThan(30);
    expect(up.requests.length).toBeLessThanOrEqual(35);
  });

  test('is made after no kind that the policy leaves out', async () => {
    const up = await upstream(flaky(1, answerStatus(503)));
    expect((await run([first(up)], policy({ retryOn: ['throttled'] })).chat(HELLO)).status).toBe(503);
    expect(up.requests).toHaveLength(1);
  });
});

test('a kind that the policy does not fail over on is returned at once', async () => {
  const [one, two] = [await upstream(answerStatus(429)), await upstream(answerText('x'))];
  const { chat } = run([first(one), second(two)], policy({ failOverOn: ['server'], retries: 0 }));
  expect((await chat(HELLO)).status).toBe(429);
  expect(two.requests).toHaveLength(0);
});

test('a refused credential is a metric of its own, and the next backend answers', async () => {
  const [one, two] = [await upstream(answerStatus(401)), await upstream(answerText('x'))];
  const { chat, log } = run([first(one), second(two)]);
  expect((await chat(HELLO)).status).toBe(200);
  expect(log[0]).toMatchObject({ message: 'backend failed', level: 'ERROR', kind: 'auth', CredentialErrors: 1 });
  const counted = [{ Dimensions: [['model']] }, { Dimensions: [['model', 'backend']] }];
  expect(log[0]).toMatchObject({ _aws: { CloudWatchMetrics: counted } });
});

describe('a backend that hangs on a whole request', () => {
  test('leaves the next one its share of the time', async () => {
    const [one, two] = [await upstream(() => {}), await upstream(answerText('from the second'))];
    const { chat, requestLog } = run([first(one), second(two)], STANDARD_POLICY, { wholeAnswerTimeoutMs: 800 });
    const { status, headers } = await chat(HELLO);
    expect([status, headers['x-llm-backend']]).toEqual([200, 'second']);
    expect(requestLog()[0]).toMatchObject({ failures: [{ backend: 'first', kind: 'timeout' }] });
    await expect.poll(() => one.abandoned).toBe(1);
  });

  test('has a deadline of its own where it was given one', async () => {
    const [one, two] = [await upstream(() => {}), await upstream(answerText('x'))];
    const start = performance.now();
    const deadlines = { ...DEADLINES, wholeAnswerMs: 150 };
    expect((await run([first(one, { deadlines }), second(two)]).chat(HELLO)).status).toBe(200);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('the circuit breaker', () => {
  const breaker = {
    windowMs: 30_000,
    minimumCalls: 10,
    failureRate: 0.5,
    consecutiveFailures: 2,
    openMs: 250,
    maxOpenMs: 1000,
    skipMs: 0,
  };

  test('keeps requests from a backend that fails, lets one try later, and closes', async () => {
    const [one, two] = [await upstream(answerStatus(500)), await upstream(answerText('from the second'))];
    const { chat, log, requestLog } = run([first(one), second(two)], policy({ breaker: { ...breaker, openMs: 1000 } }));
    for (let index = 0; index < 5; index += 1) {
      expect((await chat(HELLO)).headers).toMatchObject({ 'x-llm-backend': 'second', 'x-llm-fallbacks': '1' });
    }
    expect(one.requests).toHaveLength(2);
    expect(requestLog().at(-1)).toMatchObject({ skipped: ['first'], attempts: 1, Fallbacks: 1 });
    expect(log.filter((line) => line.breaker_opened)).toMatchObject([{ backend: 'first', BreakersOpened: 1 }]);
    one.answer = answerText('from the first');
    await sleep(1050);
    expect((await chat(HELLO)).headers).toMatchObject({ 'x-llm-backend': 'first', 'x-llm-fallbacks': '0' });
    expect((await chat(HELLO)).headers['x-llm-backend']).toBe('first');
  });

  test('stays open for longer when the probe fails, and one request is the probe', async () => {
    const [one, two] = [await upstream(answerStatus(500)), await upstream(answerText('x'))];
    const { chat } = run([first(one), second(two)], policy({ breaker }));
    await chat(HELLO);
    await chat(HELLO);
    await sleep(300);
    await chat(HELLO);
    expect(one.requests).toHaveLength(3);
    await sleep(300);
    await chat(HELLO);
    expect(one.requests).toHaveLength(3);
  });

  test('lets nobody end without an answer: when all are open, the one that failed longest ago is asked', async () => {
    const [one, two] = [await upstream(answerStatus(500)), await upstream(answerStatus(500))];
    const { chat } = run(
      [first(one), second(two)],
      policy({ breaker: { ...breaker, openMs: 60_000, maxOpenMs: 60_000 }, retries: 0 }),
    );
    await chat(HELLO);
    await chat(HELLO);
    one.answer = answerText('back again');
    const { status, headers } = await chat(HELLO);
    expect([status, headers['x-llm-backend']]).toEqual([200, 'first']);
  });

  test('skips for a moment a fleet that is full', async () => {
    const [one, two] = [await upstream(answerStatus(503)), await upstream(answerText('x'))];
    const { chat } = run(
      [first(one), second(two)],
      policy({ breaker: { ...breaker, consecutiveFailures: 9, skipMs: 200 } }),
    );
    await chat(HELLO);
    await chat(HELLO);
    expect(one.requests).toHaveLength(1);
    await sleep(220);
    await chat(HELLO);
    expect(one.requests).toHaveLength(2);
  });

  test('opens at slowness, where the policy says so', async () => {
    const one = await upstream(async (response, request, incoming) => {
      await sleep(60);
      await answerText('slow')(response, request, incoming);
    });
    const two = await upstream(answerText('x'));
    const { chat } = run([first(one), second(two)], policy({ breaker: { ...breaker, slowFirstTokenMs: 30 } }));
    const backends = [];
    for (let index = 0; index < 3; index += 1) backends.push((await chat(STREAM)).headers['x-llm-backend']);
    expect(backends).toEqual(['first', 'first', 'second']);
  });

  test('lets one request try, however many come at the same moment', async () => {
    const [one, two] = [await upstream(answerStatus(500)), await upstream(answerStatus(500))];
    const three = await upstream(answerText('from the third'));
    const chain = [first(one), second(two), first(three, { id: 'third' })];
    const { chat } = run(chain, policy({ breaker: { ...breaker, consecutiveFailures: 1, openMs: 200 } }));
    await chat(HELLO);
    await sleep(250);
    one.answer = async (response, request, incoming) => {
      await sleep(50);
      await answerStatus(500)(response, request, incoming);
    };
    two.answer = async (response, request, incoming) => {
      await sleep(200);
      await answerStatus(500)(response, request, incoming);
    };
    const answers = await Promise.all(Array.from({ length: 10 }, () => chat(HELLO)));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect([one.requests.length, two.requests.length]).toEqual([2, 2]);
  });

  test('opens at streams that begin and never end', async () => {
    const one = await upstream(async (response) => {
      sse(response).write(ROLE + chunk({ content: 'Half ' }));
      await sleep(10);
      response.destroy();
    });
    const two = await upstream(answerText('and half.'));
    const { chat } = run(
      [first(one), second(two)],
      policy({ breaker: { ...breaker, openMs: 60_000, maxOpenMs: 60_000 } }),
    );
    const texts = [];
    for (let index = 0; index < 3; index += 1) texts.push(textOf((await chat(STREAM)).events));
    expect(texts).toEqual(['Half and half.', 'Half and half.', 'and half.']);
  });
});

describe('a late first token', () => {
  const slow =
    (ms: number): Answerer =>
    async (response, request, incoming) => {
      await sleep(ms);
      if (!response.destroyed) await answerText('from the first')(response, request, incoming);
    };

  test('sends the request on', async () => {
    const [one, two] = [await upstream(slow(1000)), await upstream(answerText('from the second'))];
    const { chat, requestLog } = run([first(one), second(two)], policy({ firstTokenMs: 150 }));
    expect(textOf((await chat(STREAM)).events)).toBe('from the second');
    expect(requestLog()[0]).toMatchObject({ failures: [{ backend: 'first', kind: 'timeout' }] });
  });

  test('starts a second backend beside the first where the policy hedges; the loser is stopped and paid', async () => {
    const one = await upstream(async (response) => {
      sse(response).write(ROLE);
      await sleep(1000);
    });
    const two = await upstream(answerText('from the second'));
    const { chat, log, requestLog } = run([first(one), second(two)], policy({ hedgeAfterMs: 80 }));
    const { events, headers } = await chat({ ...STREAM, stream_options: { include_usage: true } });
    expect(textOf(events)).toBe('from the second');
    expect(headers).toMatchObject({ 'x-llm-backend': 'second', 'x-llm-fallbacks': '0' });
    await expect.poll(() => one.abandoned).toBe(1);
    expect(requestLog()[0]).toMatchObject({ hedges: 1, attempts: 2 });
    expect(log.filter((line) => line.message === 'backend given up')).toMatchObject([{ backend: 'first' }]);
    const cost = billed(log, 'first', 'CostUsd') + billed(log, 'second', 'CostUsd');
    expect(requestLog()[0]?.CostUsd).toBeCloseTo(cost, 12);
    expect(events.at(-2)).toMatchObject({ usage: { prompt_tokens: 10, cost_usd: requestLog()[0]?.CostUsd } });
  });

  test('the first one may still win', async () => {
    const [one, two] = [await upstream(slow(120)), await upstream(slow(1000))];
    const { chat } = run([first(one), second(two)], policy({ hedgeAfterMs: 50 }));
    expect(textOf((await chat(STREAM)).events)).toBe('from the first');
    await expect.poll(() => two.abandoned).toBe(1);
  });
});

test('a whole answer is hedged when it takes longer than whole answers do: it has no first token', async () => {
  const after =
    (ms: number, text: string): Answerer =>
    async (response, request, incoming) => {
      await sleep(ms);
      if (!response.destroyed) await answerText(text)(response, request, incoming);
    };
  const [one, two] = [await upstream(after(600, 'one')), await upstream(after(3000, 'two'))];
  const { chat } = run([first(one), second(two)], policy({ hedgeAfterMs: 50, retryBudget: 1 }));
  await Promise.all(Array.from({ length: 12 }, () => chat(HELLO)));
  two.answer = answerText('two');
  one.answer = after(200, 'one');
  two.requests.length = 0;
  expect((await chat(HELLO)).headers['x-llm-backend']).toBe('first');
  expect(two.requests).toHaveLength(0);
});

describe('a bad answer goes to the next backend:', () => {
  const JSON_OBJECT = { response_format: { type: 'json_object' } };
  const schema = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] };
  const BY_SCHEMA = { response_format: { type: 'json_schema', json_schema: { name: 'a', schema } } };
  const call = (args: string) => ({
    content: null,
    tool_calls: [{ id: 't', type: 'function', function: { name: 'f', arguments: args } }],
  });
  test.each<[string, Answerer, object]>([
    ['an empty one', whole({ content: ' ' }), {}],
    ['one that a content filter stopped', whole({ content: 'I' }, 'content_filter'), {}],
    ['text where JSON was asked for', whole({ content: 'Sure! {"a":1}' }), JSON_OBJECT],
    ['a list where an object was asked for', whole({ content: '[1]' }), JSON_OBJECT],
    ['JSON that breaks the schema', whole({ content: '{"ok":1}' }), BY_SCHEMA],
    ['unparsable arguments', whole(call('{"a":'), 'tool_calls'), {}],
    ['an endless loop', whole({ content: `Well. ${'I am here. '.repeat(80)}` }), {}],
    ["the policy's pattern", whole({ content: "I'm sorry, but I can't" }), {}],
  ])('%s', async (_, answer, more) => {
    const good = more === JSON_OBJECT || more === BY_SCHEMA ? '{"ok":true}' : 'good';
    const [one, two] = [await upstream(answer), await upstream(whole({ content: good }))];
    const quality = { ...STANDARD_POLICY.quality, patterns: ["^I'm sorry"] };
    const { chat, log, requestLog } = run([first(one), second(two)], policy({ quality }));
    const { headers, json } = await chat({ ...HELLO, ...more });
    expect(headers).toMatchObject({ 'x-llm-backend': 'second', 'x-llm-fallbacks': '1' });
    expect(json).toMatchObject({ choices: [{ message: { content: good } }] });
    // Both were paid, each by itself.
    expect(requestLog()[0]).toMatchObject({ OutputTokens: 10, failures: [{ kind: 'low-quality' }] });
    expect([billed(log, 'first', 'OutputTokens'), billed(log, 'second', 'OutputTokens')]).toEqual([5, 5]);
  });

  test.each<[string, Answerer, object]>([
    ['a good one', whole({ content: 'good' }), {}],
    ['a refusal in its own field', whole({ content: null, refusal: 'no' }), JSON_OBJECT],
    ["one cut at the client's own limit", whole({ content: '{"a' }, 'length'), { ...JSON_OBJECT, max_tokens: 5 }],
    ['JSON that keeps the schema', whole({ content: '{"ok":true}' }), BY_SCHEMA],
    ['a refusal of JSON by a schema', whole({ content: null, refusal: 'no' }), BY_SCHEMA],
    ['a tool call where a schema was given', whole(call('{}'), 'tool_calls'), BY_SCHEMA],
    ['a tool call without text', whole(call('{}'), 'tool_calls'), {}],
    ['a ruler in a table', whole({ content: `| a |\n${'-'.repeat(300)}` }), {}],
  ])('but not %s', async (_, answer, more) => {
    const [one, two] = [await upstream(answer), await upstream(whole({ content: 'x' }))];
    const quality = { ...STANDARD_POLICY.quality, truncation: true };
    expect(
      (await run([first(one), second(two)], policy({ quality })).chat({ ...HELLO, ...more })).headers,
    ).toMatchObject({
      'x-llm-backend': 'first',
    });
  });

  test('a truncated one, where the policy says so', async () => {
    const [one, two] = [await upstream(whole({ content: 'half' }, 'length')), await upstream(whole({ content: 'x' }))];
    const quality = { ...STANDARD_POLICY.quality, truncation: true };
    expect((await run([first(one), second(two)], policy({ quality })).chat(HELLO)).headers['x-llm-backend']).toBe(
      'second',
    );
    expect((await run([first(one), second(two)]).chat(HELLO)).headers['x-llm-backend']).toBe('first');
  });

  test('is handed out when no backend has a better one, rather than a fixed reply', async () => {
    const [one, two] = [await upstream(whole({ content: '' })), await upstream(answerStatus(500))];
    const { status, headers } = await run([first(one), second(two), staticBackend()], policy({ retries: 0 })).chat(
      HELLO,
    );
    expect([status, headers['x-llm-backend']]).toEqual([200, 'first']);
  });

  test.each<[string, string]>([
    ['an empty stream', ROLE + chunk({}, 'stop') + usageChunk(10, 0) + DONE],
    ['a filtered stream', ROLE + chunk({}, 'content_filter') + DONE],
    [
      'a refusal at its beginning',
      ROLE + chunk({ content: "I'm " }) + chunk({ content: 'sorry, no' }) + chunk({}, 'stop') + DONE,
    ],
  ])('%s', async (_, body) => {
    const [one, two] = [await upstream((response) => void sse(response).end(body)), await upstream(answerText('good'))];
    const quality = { ...STANDARD_POLICY.quality, patterns: ["^I'm sorry"], holdBackCharacters: 30 };
    const { events } = await run([first(one), second(two)], policy({ quality })).chat(STREAM);
    expect(textOf(events)).toBe('good');
    // Without another backend the client gets what there is, whole.
    const alone = await run([first(one)], policy({ quality })).chat(STREAM);
    expect(alone.status).toBe(200);
    expect(alone.body).toBe(body.replace(usageChunk(10, 0), ''));
  });

  test("not past a guardrail of the operator's own", async () => {
    const { problemOf } = await import('../../../lambda/failover/quality.ts');
    const completion = {
      choices: [{ index: 0, message: { role: 'assistant', content: 'Blocked.' }, finish_reason: 'content_filter' }],
    };
    const config = { kind: 'bedrock', id: 'b', guardrail: { id: 'g', version: '1' } };
    expect(
      await problemOf(completion as never, HELLO as never, config as never, STANDARD_POLICY.quality),
    ).toBeUndefined();
    expect(
      await problemOf(
        completion as never,
        HELLO as never,
        { ...config, guardrail: undefined } as never,
        STANDARD_POLICY.quality,
      ),
    ).toBeDefined();
  });
});

describe('a prompt that is too long', () => {
  const LONG = { ...HELLO, messages: [{ role: 'user', content: 'word '.repeat(2000) }] };

  test("isn't sent to a backend whose context is surely too short", async () => {
    const [one, two] = [await upstream(answerText('short')), await upstream(answerText('long'))];
    const { chat } = run([first(one, { contextWindow: 1000 }), second(two, { contextWindow: 100_000 })]);
    expect((await chat(LONG)).headers).toMatchObject({ 'x-llm-backend': 'second', 'x-llm-fallbacks': '0' });
    expect((await chat(HELLO)).headers['x-llm-backend']).toBe('first');
  });

  test('is refused by the backend, never by an estimate', async () => {
    const one = await upstream(answerText('fits after all'));
    expect(
      (await run([first(one, { contextWindow: 1000 }), staticBackend()]).chat(LONG)).headers['x-llm-backend'],
    ).toBe('first');
  });

  test('goes on to a longer one when a backend says so, and to no shorter one', async () => {
    const message = "This model's maximum context length is 8192 tokens. However, your request has 9000 input tokens.";
    const one = await upstream(
      answerStatus(400, { error: { message, type: 'BadRequestError', param: null, code: 400 } }),
    );
    const [shorter, longer] = [await upstream(answerText('shorter')), await upstream(answerText('longer'))];
    const chain = [first(one, { contextWindow: 8192 }), second(shorter, { contextWindow: 8000 })];
    const { headers } = await run([...chain, first(longer, { id: 'third', contextWindow: 32_768 })]).chat(STREAM);
    expect(headers['x-llm-backend']).toBe('third');
    const { status, json } = await run([...chain, staticBackend()]).chat(STREAM);
    expect([status, json.error.code]).toEqual([400, 'context_length_exceeded']);
    expect(shorter.requests).toHaveLength(0);
  });
});

describe('a stream that breaks off', () => {
  const dies =
    (words: string[], how: 'cut' | 'stall' = 'cut'): Answerer =>
    async (response) => {
      sse(response).write(ROLE);
      for (const content of words) response.write(chunk({ content }));
      await sleep(20);
      if (how === 'cut') response.destroy();
    };
  const goesOn =
    (text: string): Answerer =>
    async (response) => {
      const other = (delta: object, finish: string | null = null) =>
        chunk(delta, finish).replace('chatcmpl-up', 'chatcmpl-other').replace('up-model', 'other-model');
      sse(response).write(other({ role: 'assistant', content: '' }));
      for (const word of text.split(/(?<= )/)) response.write(other({ content: word }));
      response.end(other({}, 'stop') + usageChunk(20, 3) + DONE);
    };

  test.each(['cut', 'stall'] as const)(
    '(%s) is resumed: one stream, one id, one role, the seam without a repetition',
    async (how) => {
      const [one, two] = [
        await upstream(dies(['Once upon ', 'a time there '], how)),
        await upstream(goesOn('a time there was a king.')),
      ];
      const { chat, log, requestLog } = run([first(one), second(two)]);
      const { events, body } = await chat({ ...STREAM, max_tokens: 100, stream_options: { include_usage: true } });
      expect(textOf(events)).toBe('Once upon a time there was a king.');
      const chunks = events.filter((event) => typeof event === 'object');
      expect(new Set(chunks.map(({ id, model: name }) => `${id} ${name}`))).toEqual(new Set(['chatcmpl-up up-model']));
      expect(body.match(/"role":"assistant"/g)).toHaveLength(1);
      expect(events.at(-1)).toBe('[DONE]');
      expect(two.requests[0]?.body).toMatchObject({
        max_completion_tokens: 94,
        messages: [...HELLO.messages, { role: 'assistant', content: 'Once upon a time there ' }, { role: 'user' }],
      });
      expect(requestLog()[0]).toMatchObject({ resumptions: 1, backend: 'second', Errors: 0, finish_reason: 'stop' });
      // What the second one told, and an estimate of what the first one did; together the request's.
      expect(billed(log, 'second', 'OutputTokens')).toBe(3);
      expect(billed(log, 'first', 'OutputTokens')).toBeGreaterThanOrEqual(2);
      const sum = billed(log, 'first', 'CostUsd') + billed(log, 'second', 'CostUsd');
      expect(requestLog()[0]?.CostUsd).toBeCloseTo(sum, 12);
      expect(events.at(-2)).toMatchObject({ usage: { cost_usd: requestLog()[0]?.CostUsd, estimated: true } });
    },
  );

  test('is continued from its very last character by an engine that can do that', async () => {
    const [one, two] = [await upstream(dies(['Once upon ', 'a ti'])), await upstream(goesOn('me.'))];
    const { chat } = run([first(one), second(two, { continueFinalMessage: true })]);
    expect(textOf((await chat(STREAM)).events)).toBe('Once upon a time.');
    expect(two.requests[0]?.body).toMatchObject({
      continue_final_message: true,
      add_generation_prompt: false,
      messages: [...HELLO.messages, { role: 'assistant', content: 'Once upon a ti' }],
    });
  });

  test('is resumed on the same backend when there is no other', async () => {
    let isFirst = true;
    const up = await upstream((response, request, incoming) => {
      const answer = isFirst ? dies(['Once ']) : goesOn('upon');
      isFirst = false;
      return answer(response, request, incoming);
    });
    expect(textOf((await run([first(up)]).chat(STREAM)).events)).toBe('Once upon');
  });

  test.each<[string, object, Answerer]>([
    [
      'inside a tool call',
      {},
      async (response) => {
        sse(response).write(
          chunk({ tool_calls: [{ index: 0, id: 't', type: 'function', function: { name: 'f', arguments: '{"a' } }] }),
        );
        await sleep(20);
        response.destroy();
      },
    ],
    ['of several choices', { n: 2 }, dies(['a'])],
    ['with log probabilities', { logprobs: true }, dies(['a'])],
    ['of JSON', { response_format: { type: 'json_object' } }, dies(['{"a'])],
  ])('%s ends with an error event, then [DONE]', async (_, more, answer) => {
    const [one, two] = [await upstream(answer), await upstream(goesOn('x'))];
    const { events } = await run([first(one), second(two)]).chat({ ...STREAM, ...more });
    expect(events.at(-2)).toMatchObject({ error: { type: 'server_error' } });
    expect(events.at(-1)).toBe('[DONE]');
    expect(two.requests).toHaveLength(0);
  });

  test('ends so as well when nothing can go on with it, and never in a fixed reply', async () => {
    const [one, two] = [await upstream(dies(['Once '])), await upstream(answerStatus(500))];
    const { chat, requestLog } = run([first(one), second(two), staticBackend()], policy({ retries: 0 }));
    const { events } = await chat(STREAM);
    expect(textOf(events)).toBe('Once ');
    expect(events.at(-2)).toHaveProperty('error');
    expect(requestLog()[0]).toMatchObject({ Errors: 1, backend: 'first' });
  });

  test('after its finish reason has nothing left to resume', async () => {
    const one = await upstream(async (response) => {
      sse(response).write(chunk({ content: 'All.' }) + chunk({}, 'stop'));
      await sleep(20);
      response.destroy();
    });
    const { events } = await run([first(one)]).chat(STREAM);
    expect(textOf(events)).toBe('All.');
    expect(events.at(-1)).toBe('[DONE]');
    expect(events.at(-2)).not.toHaveProperty('error');
    expect(one.requests).toHaveLength(1);
  });
});
