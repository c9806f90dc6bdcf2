import { afterEach, describe, expect, test } from 'vitest';
import { STANDARD_POLICY } from '../../../lambda/failover/policy.ts';
import { LambdaStream } from '../support/lambda-stream.ts';
import { deploy, HELLO, model, openAiBackend, servingConfig, textOf } from '../support/serving.ts';
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
async function upstream(answer: Answerer): Promise<Upstream> {
  const started = await Upstream.start(answer);
  upstreams.push(started);
  return started;
}
afterEach(async () => {
  await Promise.all(upstreams.splice(0).map((each) => each.stop()));
});

const STREAM = { ...HELLO, stream: true };

describe('a streamed answer', () => {
  test('comes through with its headers, its text, and [DONE] last', async () => {
    const up = await upstream(answerText('Hello there world'));
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const { status, headers, events } = await chat(STREAM, { headers: { 'X-Request-Id': 'my-id-1' } });
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-request-id': 'my-id-1',
      'x-llm-model': 'chat',
      'x-llm-backend': 'first',
      'x-llm-cache': 'bypass',
      'x-llm-fallbacks': '0',
    });
    expect(textOf(events)).toBe('Hello there world');
    expect(events.at(-1)).toBe('[DONE]');
    expect(up.requests[0]?.headers['x-request-id']).toBe('my-id-1');
    expect(up.requests[0]?.headers['accept-encoding']).toBe('identity');
  });

  test('asks the backend for usage, and keeps it from a client that did not ask', async () => {
    const up = await upstream(answerText('Hi'));
    const { chat, requestLog } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const { events } = await chat(STREAM);
    expect(up.requests[0]?.body.stream_options).toEqual({ include_usage: true });
    expect(events.some((event) => typeof event === 'object' && event.usage != null)).toBe(false);
    expect(requestLog()[0]).toMatchObject({
      InputTokens: 10,
      OutputTokens: 1,
      CachedInputTokens: 4,
      usage_estimated: false,
    });
  });

  test('ends with usage and its cost for a client that asked', async () => {
    const up = await upstream(answerText('Hi you'));
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const { events } = await chat({ ...STREAM, stream_options: { include_usage: true } });
    // 6 plain input tokens at 1, 4 cached at 0.5, 2 output at 2, USD per million.
    expect(events.at(-2)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12, cost_usd: 0.000012 },
    });
    expect(events.at(-1)).toBe('[DONE]');
  });

  test('gets an estimated usage, marked so, from a backend that tells none', async () => {
    const up = await upstream((response) => {
      sse(response).write(ROLE + chunk({ content: 'one' }) + chunk({ content: 'two' }));
      response.end(chunk({}, 'stop') + DONE);
    });
    const { chat, requestLog } = deploy(servingConfig([model([openAiBackend(up.url, { streamUsage: false })])]));
    const { events } = await chat({ ...STREAM, stream_options: { include_usage: true } });
    expect(up.requests[0]?.body).not.toHaveProperty('stream_options');
    expect(events.at(-2)).toMatchObject({
      id: 'chatcmpl-up',
      model: 'up-model',
      choices: [],
      usage: { estimated: true },
    });
    expect(requestLog()[0]).toMatchObject({ usage_estimated: true });
    expect(requestLog()[0]?.OutputTokens).toBeGreaterThanOrEqual(2);
  });

  test('passes each token on when it exists', async () => {
    const up = await upstream(answerText('a b c d', { pauseMs: 60 }));
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const { stream } = await chat(STREAM);
    const times = stream.chunks
      .filter(({ bytes }) => bytes.includes('"content":"') && !bytes.includes('""'))
      .map(({ at }) => at);
    expect(times).toHaveLength(4);
    for (const [index, at] of times.entries()) if (index > 0) expect(at - (times[index - 1] ?? 0)).toBeGreaterThan(30);
  });

  test('passes the bytes of an event on as they are', async () => {
    const odd =
      'data: {"id":"x",  "choices":[{"index":0,"delta":{"content":"é\\u00e9"},"finish_reason":null}],"vendor":1}\n\n';
    const up = await upstream((response) => {
      sse(response).write(chunk({ content: 'first' }));
      response.end(odd + chunk({}, 'stop') + DONE);
    });
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    expect((await chat(STREAM)).body).toContain(odd);
  });

  test('with several choices keeps them all', async () => {
    const both = (delta: object, finish: string | null) =>
      `data: ${JSON.stringify({ id: 'x', choices: [0, 1].map((index) => ({ index, delta, finish_reason: finish })) })}\n\n`;
    const up = await upstream((response) => {
      sse(response).end(both({ content: 'x' }, null) + both({}, 'length') + DONE);
    });
    const { chat, requestLog } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const { events } = await chat({ ...STREAM, n: 2 });
    expect(events).toHaveLength(3);
    expect(requestLog()[0]).toMatchObject({ finish_reason: 'length' });
  });
});

describe('before the first token', () => {
  test('an error keeps its status', async () => {
    const up = await upstream(answerStatus(429, undefined, { 'retry-after': '7' }));
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const { status, headers, json } = await chat(STREAM);
    expect(status).toBe(429);
    expect(headers).toMatchObject({ 'retry-after': '7', 'content-type': 'application/json' });
    expect(json.error).toMatchObject({ type: 'rate_limit_error', code: 'backend_throttled' });
  });

  test('headers go out after the wait, and comments fill the silence', async () => {
    const up = await upstream(async (response) => {
      sse(response).write(ROLE);
      await sleep(400);
      response.end(chunk({ content: 'late' }) + chunk({}, 'stop') + DONE);
    });
    const config = servingConfig([model([openAiBackend(up.url)])], { limits: { headersWaitMs: 80, keepAliveMs: 80 } });
    const { status, headers, body, events } = await deploy(config).chat(STREAM);
    expect(status).toBe(200);
    expect(headers['x-llm-model']).toBe('chat');
    expect(headers).not.toHaveProperty('x-llm-backend');
    expect(body.match(/^: keep-alive\n\n/gm)?.length).toBeGreaterThanOrEqual(3);
    expect(textOf(events)).toBe('late');
  });

  test('an error after the headers went out is an event, then [DONE]', async () => {
    const up = await upstream(async (response) => {
      await sleep(200);
      answerStatus(503)(response, {} as never, {} as never);
    });
    const config = servingConfig([model([openAiBackend(up.url)])], { limits: { headersWaitMs: 50 } });
    const { chat, requestLog } = deploy(config);
    const { status, events } = await chat(STREAM);
    expect(status).toBe(200);
    expect(events).toEqual([{ error: expect.objectContaining({ code: 'backend_overloaded' }) }, '[DONE]']);
    expect(requestLog()[0]).toMatchObject({ status: 200, error_status: 503, Errors: 1 });
  });
});

describe('in mid-stream', () => {
  const dying: ReadonlyArray<readonly [string, Answerer, string]> = [
    [
      'the connection breaks',
      async (response) => {
        sse(response).write(ROLE + chunk({ content: 'half' }));
        await sleep(30);
        response.destroy();
      },
      'connection',
    ],
    [
      'the event is cut',
      async (response) => {
        sse(response).write(ROLE + chunk({ content: 'half' }));
        await sleep(10);
        response.end('data: {"id":"x","choices":[{"index":0,"del');
      },
      'protocol',
    ],
    [
      'the JSON inside an event is cut',
      async (response) => {
        sse(response).end(`${ROLE}${chunk({ content: 'half' })}data: {"id":"x","choices":[{"ind\n\n${DONE}`);
      },
      'protocol',
    ],
    [
      'the stream ends without a finish reason',
      (response) => {
        sse(response).end(ROLE + chunk({ content: 'half' }));
      },
      'protocol',
    ],
    [
      'vLLM reports an error under 200',
      (response) => {
        const error = { error: { message: 'engine died', type: 'InternalServerError', param: null, code: 500 } };
        sse(response).end(`${ROLE}${chunk({ content: 'half' })}data: ${JSON.stringify(error)}\n\n${DONE}`);
      },
      'server',
    ],
    [
      'TGI reports an error under 200',
      (response) => {
        sse(response).end(
          `${chunk({ content: 'half' })}data: {"error":"Request failed","error_type":"generation"}\n\n`,
        );
      },
      'server',
    ],
    [
      'the next token is late',
      async (response) => {
        sse(response).write(ROLE + chunk({ content: 'half' }));
      },
      'timeout',
    ],
  ];

  test.each([400, 413, 429, 503])('an error %i is none of the client, whose request was accepted', async (code) => {
    const up = await upstream((response) => {
      const error = JSON.stringify({ error: { message: 'words of the backend', param: 'messages', code } });
      sse(response).end(`${chunk({ content: 'half' })}data: ${error}\n\n${DONE}`);
    });
    const { chat, requestLog } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const { events } = await chat(STREAM);
    const { error } = events.at(-2) as { error?: Record<string, unknown> };
    expect(error).toMatchObject({ type: 'server_error', param: null });
    expect(error?.message).toMatch(/^The answer broke off\. \(first: [a-z-]+\)$/);
    expect(requestLog()[0]).toMatchObject({ status: 200, Errors: 1, ClientErrors: 0, level: 'ERROR' });
  });

  test.each(dying)('%s: an error event, then [DONE], and never a broken event', async (_, answer, kind) => {
    const up = await upstream(answer);
    const deadlines = { connectMs: 500, firstTokenMs: 500, betweenTokensMs: 150 };
    const fallback = { ...STANDARD_POLICY, resume: false };
    const { chat, requestLog, log } = deploy(
      servingConfig([model([openAiBackend(up.url, { deadlines })], { fallback })]),
    );
    const { status, events } = await chat(STREAM);
    expect(status).toBe(200);
    expect(textOf(events)).toBe('half');
    expect(events.at(-2)).toEqual({ error: expect.objectContaining({ param: null }) });
    expect(events.at(-1)).toBe('[DONE]');
    expect(requestLog()[0]).toMatchObject({ Errors: 1, usage_estimated: true, backend: 'first' });
    expect(log.filter((line) => line.message === 'backend failed')).toMatchObject([{ kind, backend: 'first' }]);
  });

  test('comments fill a silence', async () => {
    const up = await upstream(async (response) => {
      sse(response).write(chunk({ content: 'a' }));
      await sleep(300);
      response.end(chunk({ content: 'b' }, 'stop') + DONE);
    });
    const config = servingConfig([model([openAiBackend(up.url)])], { limits: { keepAliveMs: 80 } });
    const { body } = await deploy(config).chat(STREAM);
    expect(body.split(': keep-alive\n\n').length - 1).toBeGreaterThanOrEqual(2);
  });

  test('comments of the backend are no tokens: they neither pass nor stop the clock', async () => {
    const up = await upstream(async (response) => {
      sse(response).write(chunk({ content: 'a' }));
      for (let index = 0; index < 20 && !response.destroyed; index += 1) {
        await sleep(30);
        response.write(': still working\n\n');
      }
    });
    const deadlines = { connectMs: 500, firstTokenMs: 500, betweenTokensMs: 200 };
    const { body, events } = await deploy(servingConfig([model([openAiBackend(up.url, { deadlines })])])).chat(STREAM);
    expect(body).not.toContain('still working');
    expect(events.at(-2)).toMatchObject({ error: { code: 'backend_timeout' } });
  });
});

describe('the whole', () => {
  test('has a deadline, and the backend is let go', async () => {
    const up = await upstream(async (response) => {
      sse(response);
      while (!response.destroyed) {
        response.write(chunk({ content: 'more ' }));
        await sleep(20);
      }
    });
    const config = servingConfig([model([openAiBackend(up.url)])], { limits: { totalTimeoutMs: 300 } });
    const { events } = await deploy(config).chat(STREAM);
    expect(events.at(-2)).toMatchObject({ error: { code: 'timeout', type: 'server_error' } });
    expect(events.at(-1)).toBe('[DONE]');
    await sleep(50);
    expect(up.abandoned).toBe(1);
  });

  test("stays below the function's own time-out", async () => {
    const up = await upstream((response) => void sse(response).write(ROLE));
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const { status, json } = await chat(STREAM, { remainingMs: 1200 });
    expect(status).toBe(504);
    expect(json.error.code).toBe('timeout');
  });

  test('lets the backend go when the client is gone', async () => {
    const up = await upstream(async (response) => {
      sse(response);
      while (!response.destroyed) {
        response.write(chunk({ content: 'more ' }));
        await sleep(10);
      }
    });
    const { handler, requestLog } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const stream = new LambdaStream();
    setTimeout(() => stream.destroy(new Error('gone')), 100);
    const { gatewayEvent } = await import('../support/serving.ts');
    await handler(gatewayEvent('POST', '/v1/chat/completions', { body: JSON.stringify(STREAM) }), stream, {
      getRemainingTimeInMillis: () => 60_000,
    });
    await sleep(50);
    expect(up.abandoned).toBe(1);
    expect(requestLog()[0]).toMatchObject({ error_status: 499, Errors: 0 });
  });

  test('makes a fast backend wait for a slow client', async () => {
    let sent = 0;
    const up = await upstream(async (response) => {
      sse(response);
      const big = chunk({ content: 'x'.repeat(20_000) });
      for (let index = 0; index < 400; index += 1) {
        if (!response.write(big)) await new Promise((resolve) => response.once('drain', resolve));
        sent += big.length;
      }
      response.end(chunk({}, 'stop') + DONE);
    });
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const stream = new LambdaStream({ readMs: 2 });
    let sentEarly = 0;
    setTimeout(() => {
      sentEarly = sent;
    }, 200);
    const { events } = await chat(STREAM, { stream });
    expect(textOf(events)).toHaveLength(400 * 20_000);
    // Kernel buffers take a few megabytes; without back-pressure all eight would have been taken by then.
    expect(sentEarly).toBeLessThan(400 * 20_000);
  });

  test('a slow client is no silence of the backend', async () => {
    const up = await upstream((response) => {
      sse(response);
      for (let index = 0; index < 40; index += 1) response.write(chunk({ content: 'x'.repeat(20_000) }));
      response.end(chunk({}, 'stop') + DONE);
    });
    const deadlines = { connectMs: 500, firstTokenMs: 500, betweenTokensMs: 100 };
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url, { deadlines })])]));
    const { events } = await chat(STREAM, { stream: new LambdaStream({ readMs: 15 }) });
    expect(textOf(events)).toHaveLength(40 * 20_000);
    expect(events.at(-1)).toBe('[DONE]');
  });

  test('many at once do not mix', async () => {
    const up = await upstream(async (response, request, incoming) => {
      const [message] = request.body.messages as Array<{ content: string }>;
      await answerText(`answer to ${message?.content} of many words`, { pauseMs: 3 })(response, request, incoming);
    });
    const { chat, requestLog } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const numbers = Array.from({ length: 40 }, (_, index) => index);
    const answers = await Promise.all(
      numbers.map((n) =>
        chat({ ...STREAM, messages: [{ role: 'user', content: `q${n}` }] }, { headers: { 'x-request-id': `r${n}` } }),
      ),
    );
    for (const n of numbers) {
      expect(textOf(answers[n]?.events ?? [])).toBe(`answer to q${n} of many words`);
      expect(answers[n]?.headers['x-request-id']).toBe(`r${n}`);
    }
    expect(new Set(requestLog().map((line) => line.request_id)).size).toBe(40);
  });

  test('uses a connection again', async () => {
    const up = await upstream(answerText('Hi'));
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    await chat(STREAM);
    await sleep(20);
    await chat(STREAM);
    expect(up.connections).toBe(1);
  });

  test('survives a connection that turns out dead when it is used again', async () => {
    const seen = new WeakSet();
    const up = await upstream((response, request, incoming) => {
      if (seen.has(incoming.socket)) {
        incoming.socket.resetAndDestroy();
        return;
      }
      seen.add(incoming.socket);
      return answerText('Hi')(response, request, incoming);
    });
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    await chat(STREAM);
    await sleep(20);
    expect((await chat(STREAM)).status).toBe(200);
    expect(up.requests).toHaveLength(3);
  });

  test('usage that comes with the finish reason is metered, and told to a client that asked', async () => {
    const usage = { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 };
    const up = await upstream((response) => {
      sse(response).end(chunk({ content: 'x' }) + chunk({}, 'stop', { usage }) + DONE);
    });
    const { chat, requestLog } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const { events } = await chat({ ...STREAM, stream_options: { include_usage: true } });
    expect(requestLog()[0]).toMatchObject({ InputTokens: 3, OutputTokens: 5, usage_estimated: false });
    expect(events.at(-2)).toMatchObject({ choices: [], usage: { ...usage, cost_usd: 0.000013 } });
  });

  test('usage follows the last of several reports', async () => {
    const up = await upstream((response) => {
      const running = (n: number) =>
        chunk({ content: 'x' }, null, { usage: { prompt_tokens: 3, completion_tokens: n } });
      sse(response).end(running(1) + running(2) + chunk({}, 'stop') + usageChunk(3, 3) + DONE);
    });
    const { chat, requestLog } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    await chat(STREAM);
    expect(requestLog()[0]).toMatchObject({ OutputTokens: 3 });
  });
});
