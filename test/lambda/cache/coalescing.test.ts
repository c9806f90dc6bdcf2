import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ServingConfig } from '../../../lib/private/serving-config.ts';
import { startValkeyServer, type ValkeyServer } from '../../../local/valkey/server.ts';
import { model, openAiBackend, servingConfig } from '../support/serving.ts';
import { answerText, chunk, DONE, ROLE, sleep, sse, Upstream, usageChunk } from '../support/upstream.ts';
import { eventually } from './eventually.ts';
import { type CacheGateway, cacheConfig, startCacheGateway } from './gateway.ts';

const WORDS = Array.from({ length: 20 }, (_, index) => `w${index} `);
const TEXT = WORDS.join('');

let valkey: ValkeyServer;
let up: Upstream;
const gateways: CacheGateway[] = [];
const children: ChildProcess[] = [];
let deployments = 0;

beforeAll(async () => {
  valkey = await startValkeyServer();
  up = await Upstream.start(answerText(TEXT));
});
afterAll(async () => {
  await Promise.all([valkey.close(), up.stop()]);
});
beforeEach(() => {
  deployments += 1;
  up.answer = answerText(TEXT, { pauseMs: 20 });
  up.requests.length = 0;
  up.abandoned = 0;
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await Promise.all(gateways.splice(0).map((gateway) => gateway.close()));
});

function config(overrides: Partial<ServingConfig> = {}, endpoint = valkey.url): ServingConfig {
  const cache = cacheConfig(endpoint, { deployment: `coalescing${deployments}` });
  // A busy machine may take long for five hundred.
  const limits = { totalTimeoutMs: 40_000, wholeAnswerTimeoutMs: 40_000 };
  const backend = openAiBackend(up.url, {
    deadlines: { connectMs: 5000, firstTokenMs: 20_000, betweenTokensMs: 20_000 },
  });
  return servingConfig([model([backend])], { cache, limits, ...overrides } as never);
}

/** As good as a process: nothing is shared with another but Valkey. */
async function start(count: number, given: ServingConfig = config()): Promise<CacheGateway[]> {
  const started = await Promise.all(Array.from({ length: count }, () => startCacheGateway(given)));
  gateways.push(...started);
  return started;
}

async function startProcess(): Promise<{ url: string; child: ChildProcess }> {
  const child = fork(fileURLToPath(new URL('./process.ts', import.meta.url)), [JSON.stringify(config())]);
  children.push(child);
  const { url } = await new Promise<{ url: string }>((resolve) => child.once('message', resolve as never));
  return { url, child };
}

interface Read {
  readonly text: string;
  readonly cache: string | null;
  readonly firstAt: number;
  readonly endAt: number;
}

async function stream(url: string, signal?: AbortSignal, onText?: (text: string) => void): Promise<Read> {
  const client = new OpenAI({ baseURL: url, apiKey: 'alice', maxRetries: 0, timeout: 20_000 });
  const { data, response } = await client.chat.completions
    .create({ model: 'chat', messages: [{ role: 'user', content: 'hello' }], stream: true }, { signal: signal ?? null })
    .withResponse();
  let text = '';
  let firstAt = 0;
  for await (const { choices } of data) {
    text += choices[0]?.delta.content ?? '';
    if (text !== '') firstAt ||= performance.now();
    onText?.(text);
  }
  return { text, cache: response.headers.get('x-llm-cache'), firstAt, endAt: performance.now() };
}

async function whole(url: string): Promise<string> {
  const client = new OpenAI({ baseURL: url, apiKey: 'alice', maxRetries: 0, timeout: 20_000 });
  const completion = await client.chat.completions.create({
    model: 'chat',
    messages: [{ role: 'user', content: 'hello' }],
  });
  return completion.choices[0]?.message.content ?? '';
}

const isUnderWay = () => eventually(() => expect(up.requests.length).toBe(1));

test('500 identical requests over four processes cost one dispatch', async () => {
  const processes = await Promise.all([startProcess(), startProcess(), startProcess(), startProcess()]);
  const urls = processes.map(({ url }) => url);
  up.answer = answerText(TEXT, { pauseMs: 100 });
  const answers = await Promise.all(
    Array.from({ length: 500 }, (_, index) => {
      const url = urls[index % urls.length] ?? '';
      return index % 5 === 0 ? whole(url) : stream(url).then(({ text }) => text);
    }),
  );
  expect(new Set(answers)).toEqual(new Set([TEXT]));
  expect(up.requests).toHaveLength(1);
}, 60_000);

describe.each([
  ['in one process', 1],
  ['in another process', 2],
])('a follower %s', (_, count) => {
  test('streams as its leader does', async () => {
    const [a, b = a] = await start(count);
    up.answer = answerText(TEXT, { pauseMs: 60 });
    const leading = stream(a?.url ?? '');
    await isUnderWay();
    const following = await stream(b?.url ?? '');
    const led = await leading;
    expect(following).toMatchObject({ text: TEXT, cache: 'hit' });
    expect(led).toMatchObject({ text: TEXT, cache: 'miss' });
    // It began long before its leader had ended.
    expect(led.endAt - following.firstAt).toBeGreaterThan(500);
    expect(up.requests).toHaveLength(1);
    await eventually(() => expect(b?.requests().find(({ cache }) => cache === 'hit')).toBeDefined());
    const [hit] = b?.requests().filter(({ cache }) => cache === 'hit') ?? [];
    expect(hit).toMatchObject({ CacheHits: 1, backend: 'first', attempts: 0 });
    expect(hit?.SavedUsd).toBeGreaterThan(0);
  });

  test('gets whole what its leader streams, and as a stream what its leader gets whole', async () => {
    const [a, b = a] = await start(count);
    const leading = stream(a?.url ?? '');
    await isUnderWay();
    expect(await whole(b?.url ?? '')).toBe(TEXT);
    await leading;
    deployments += 1;
    const [c, d = c] = await start(count);
    up.requests.length = 0;
    up.answer = async (response, request, incoming) => {
      await sleep(150);
      await answerText(TEXT)(response, request, incoming);
    };
    const wholly = whole(c?.url ?? '');
    await isUnderWay();
    expect((await stream(d?.url ?? '')).text).toBe(TEXT);
    expect(await wholly).toBe(TEXT);
    expect(up.requests).toHaveLength(1);
  });

  test('that leaves changes nothing for the rest', async () => {
    const [a, b = a] = await start(count);
    const leading = stream(a?.url ?? '');
    await isUnderWay();
    const leaves = new AbortController();
    const leaving = stream(b?.url ?? '', leaves.signal, (text) => text !== '' && leaves.abort()).then(
      ({ text }) => text,
    );
    const staying = stream(b?.url ?? '');
    expect(await leaving).not.toBe(TEXT);
    expect([(await leading).text, (await staying).text]).toEqual([TEXT, TEXT]);
    expect(up.requests).toHaveLength(1);
  });

  test("gets the whole answer when its leader's client leaves", async () => {
    const [a, b = a] = await start(count);
    const leaves = new AbortController();
    const leading = stream(a?.url ?? '', leaves.signal).then(({ text }) => text);
    await isUnderWay();
    let heard: () => void = () => undefined;
    const hears = new Promise<void>((resolve) => {
      heard = resolve;
    });
    const following = stream(b?.url ?? '', undefined, heard);
    await hears;
    leaves.abort();
    expect(await leading).not.toBe(TEXT);
    expect((await following).text).toBe(TEXT);
    expect(up.requests).toHaveLength(1);
    expect(up.abandoned).toBe(0);
  });

  test('meets the failure that its leader met, and the backends meet it once', async () => {
    const [a, b = a] = await start(count);
    up.answer = async (response) => {
      await sleep(500);
      response.writeHead(500).end('{}');
    };
    const leading = stream(a?.url ?? '').catch((error) => error.status);
    await isUnderWay();
    const following = stream(b?.url ?? '').catch((error) => error.status);
    expect([await leading, await following]).toEqual([502, 502]);
    expect(up.requests).toHaveLength(1);
  });

  test("leads when its leader's time is up, and goes on with the answer", async () => {
    const limits = { totalTimeoutMs: 700 };
    const [hurried] = await start(1, config({ limits: { ...config().limits, ...limits } }));
    const [patient] = count === 1 ? [hurried] : await start(1);
    up.answer = async (response, { body }) => {
      const { messages } = body as unknown as { messages: Array<{ role: string }> };
      sse(response).write(ROLE);
      if (messages.some(({ role }) => role === 'assistant')) {
        for (const word of WORDS.slice(10)) response.write(chunk({ content: word }));
        response.end(`${chunk({}, 'stop')}${usageChunk(1, 10)}${DONE}`);
        return;
      }
      for (const word of WORDS.slice(0, 10)) response.write(chunk({ content: word }));
    };
    const leading = stream(hurried?.url ?? '').catch((error) => String(error));
    await isUnderWay();
    await sleep(300);
    const following = await stream(patient?.url ?? '');
    expect(following.text).toBe(TEXT);
    expect(await leading).toMatch(/not finished within/);
    expect(up.requests).toHaveLength(2);
  });
});

test('a leader that is killed is followed by one of its followers, and the others stay', async () => {
  const doomed = await startProcess();
  const gateways = await start(3);
  let asked = 0;
  up.answer = async (response) => {
    asked += 1;
    sse(response).write(ROLE);
    if (asked === 1) {
      for (const word of WORDS.slice(0, 10)) response.write(chunk({ content: word }));
      return;
    }
    for (const word of WORDS.slice(10)) {
      await sleep(10);
      response.write(chunk({ content: word }));
    }
    response.end(`${chunk({}, 'stop')}${usageChunk(1, 10)}${DONE}`);
  };
  const leading = stream(doomed.url).catch(() => 'dead');
  await isUnderWay();
  let heard = 0;
  const following = gateways.map(({ url }) =>
    stream(url, undefined, (text) => {
      if (text.endsWith('w9 ')) heard += 1;
    }),
  );
  await eventually(() => expect(heard).toBeGreaterThanOrEqual(3), 5000);
  doomed.child.kill('SIGKILL');
  expect(await leading).toBe('dead');
  expect((await Promise.all(following)).map(({ text }) => text)).toEqual([TEXT, TEXT, TEXT]);
  expect(up.requests).toHaveLength(2);
}, 20_000);

test('a request that nobody follows ends with its client', async () => {
  const [gateway] = await start(1);
  up.answer = answerText(TEXT, { pauseMs: 100 });
  const leaves = new AbortController();
  await stream(gateway?.url ?? '', leaves.signal, (text) => text !== '' && leaves.abort()).catch(() => undefined);
  await eventually(() => expect(up.abandoned).toBe(1));
});

describe('a cache that fails', () => {
  test('and comes back under load fails no request', async () => {
    let server = await startValkeyServer();
    const [a, b] = await start(2, config({}, server.url));
    up.answer = answerText('short', { pauseMs: 5 });
    let isOver = false;
    const failures: unknown[] = [];
    const outcomes: Array<string | null> = [];
    const workers = Array.from({ length: 8 }, async (_, worker) => {
      while (!isOver) {
        const { url } = (worker % 2 === 0 ? a : b) ?? { url: '' };
        await stream(url).then(
          ({ cache }) => outcomes.push(cache),
          (error) => failures.push(error),
        );
        await sleep(10);
      }
    });
    const answersFromCache = () => eventually(() => expect(outcomes.slice(-5)).toContain('hit'), 10_000);
    await answersFromCache();
    await server.close();
    const before = outcomes.length;
    await eventually(() => expect(outcomes.length).toBeGreaterThan(before + 50), 20_000);
    server = await startValkeyServer({ port: server.port });
    outcomes.push('back');
    const back = outcomes.length;
    await eventually(() => expect(outcomes.slice(back + 50)).toContain('hit'), 20_000);
    isOver = true;
    await Promise.all(workers);
    await server.close();
    expect(failures).toEqual([]);
  }, 60_000);
});
