import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import type { EngineKind } from '../../../local/engine/dialects.ts';
import { type RunningEngine, startEngine } from '../support/engine.ts';

/** The commands that `ServingEngine` writes, for a model `test/model`. */
const COMMANDS: Readonly<Record<Exclude<EngineKind, 'vllm'>, readonly string[]>> = {
  sglang: [
    ...['/bin/bash', '-c', 'exec > >(exec sed -u "s/$KEY/***/g") 2>&1; exec "$@" --api-key "$KEY"', 'sglang'],
    ...['python3', '-m', 'sglang.launch_server'],
    ...['--model-path', 'test/model', '--served-model-name', 'test/model', '--host', '0.0.0.0', '--port', '30000'],
    ...['--max-running-requests', '1', '--max-queued-requests', '2', '--enable-metrics', '--enable-cache-report'],
    ...['--enable-priority-scheduling'],
  ],
  'tensorrt-llm': ['trtllm-serve', 'test/model', '--host', '0.0.0.0', '--port', '8000', '--max_batch_size', '1'],
  tgi: ['--model-id', 'test/model', '--hostname', '0.0.0.0', '--port', '80', '--max-concurrent-requests', '2'],
  other: ['serve', 'test/model'],
};

const OTHER = { port: 8000, healthPath: '/ready', metricsPath: '/stats', gauges: ['busy', 'queued'] };

async function start(kind: Exclude<EngineKind, 'vllm'>, answerTokens = 10): Promise<RunningEngine> {
  const engine = await startEngine([], {
    command: COMMANDS[kind],
    env: { KEY: 'k', API_KEY: 'k', LOCAL_ENGINE_API_KEY: 'k' },
    situation: { kind, other: OTHER, model: { answerTokens } },
  });
  await engine.ready();
  return engine;
}

const AUTH = { headers: { authorization: 'Bearer k' } };

describe.each([
  ['sglang', '/health', '/metrics', 'sglang:num_running_reqs', 'sglang:num_queue_reqs', 401],
  ['tensorrt-llm', '/health', '/prometheus/metrics', undefined, undefined, 200],
  ['tgi', '/health', '/metrics', 'tgi_batch_current_size', 'tgi_queue_size', 401],
  ['other', '/ready', '/stats', 'busy', 'queued', 401],
] as const)('%s', (kind, healthPath, metricsPath, running, waiting, withoutKey) => {
  test('answers, streams, guards its API and has metrics of its own names', async () => {
    const engine = await start(kind);
    expect((await fetch(engine.url + healthPath)).status).toBe(200);
    expect((await engine.chat()).status).toBe(withoutKey);
    expect(await (await engine.chat({}, AUTH)).json()).toMatchObject({ choices: [{ finish_reason: 'stop' }] });
    expect(await (await engine.chat({ stream: true }, AUTH)).text()).toMatch(/data: \[DONE\]\n\n$/);
    const metrics = await (await fetch(engine.url + metricsPath)).text();
    expect(metrics).not.toContain('vllm:');
    if (running !== undefined) {
      expect(await engine.metric(running, metricsPath)).toBe(0);
      expect(await engine.metric(waiting, metricsPath)).toBe(0);
    }
  });
});

describe('overload', () => {
  async function full(engine: RunningEngine, count: number, path: string, name: string, value: number) {
    const abort = new AbortController();
    for (let i = 0; i < count; i += 1) engine.chat({}, { ...AUTH, signal: abort.signal }).catch(() => {});
    await vi.waitFor(async () => expect(await engine.metric(name, path)).toBe(value), 5_000);
    const response = await engine.chat({ stream: true }, AUTH);
    abort.abort();
    return { status: response.status, body: await response.json() };
  }

  test('of SGLang is a 503 when so many wait', async () => {
    const engine = await start('sglang', 2_000);
    expect(await full(engine, 3, '/metrics', 'sglang:num_queue_reqs', 2)).toMatchObject({
      status: 503,
      body: { object: 'error', code: 503 },
    });
  });

  test('of TGI is a 429 when so many are there, in its own shape', async () => {
    const engine = await start('tgi', 2_000);
    expect(await full(engine, 2, '/metrics', 'tgi_batch_current_size', 2)).toEqual({
      status: 429,
      body: { error: 'Model is overloaded', error_type: 'overloaded' },
    });
  });
});

test("SGLang's health check waits behind all that run", async () => {
  const engine = await start('sglang', 60);
  const order: string[] = [];
  const answer = engine.chat({}, AUTH).then(() => order.push('answer'));
  await vi.waitFor(async () => expect(await engine.metric('sglang:num_running_reqs')).toBe(1));
  const health = fetch(`${engine.url}/health`).then(() => order.push('health'));
  await Promise.all([answer, health]);
  expect(order).toEqual(['answer', 'health']);
});

test('SGLang serves the higher priority first', async () => {
  const engine = await start('sglang', 40);
  const order: string[] = [];
  const first = engine.chat({}, AUTH);
  await vi.waitFor(async () => expect(await engine.metric('sglang:num_running_reqs')).toBe(1));
  const late = engine.chat({ priority: -5 }, AUTH).then(() => order.push('late'));
  await vi.waitFor(async () => expect(await engine.metric('sglang:num_queue_reqs')).toBe(1));
  const soon = engine.chat({ priority: 5 }, AUTH).then(() => order.push('soon'));
  await Promise.all([first, late, soon]);
  expect(order).toEqual(['soon', 'late']);
});

test.each<[EngineKind, readonly string[]]>([
  ['sglang', ['python3', '-m', 'sglang.launch_server', '--model-path', 'test/model']],
  ['tensorrt-llm', ['trtllm-serve', 'test/model']],
])('%s that was not told an address is not reached', async (kind, command) => {
  const engine = await startEngine([], { command, situation: { kind } });
  await vi.waitFor(() => expect(engine.output()).toContain('startup complete'), { timeout: 5_000 });
  await expect(fetch(`${engine.url}/health`)).rejects.toThrow();
});

test.each<[string, EngineKind, readonly string[], string]>([
  ['no model', 'tensorrt-llm', ['trtllm-serve'], 'tensorrt-llm: error: the command names no model'],
  ['another program', 'sglang', ['bash'], "sglang: error: the command doesn't begin with python3 -m"],
  ['a word for a number', 'tgi', ['--model-id', 'm', '--port', 'x'], "argument --port: invalid value: 'x'"],
])('a command with %s ends it', async (_, kind, command, message) => {
  const engine = await startEngine([], { command, situation: { kind } });
  expect(await engine.exit).toBe(2);
  expect(engine.output()).toContain(message);
});

describe('/v1/completions', () => {
  const complete = (engine: RunningEngine, body: object) =>
    fetch(`${engine.url}/v1/completions`, { method: 'POST', body: JSON.stringify({ model: 'test/model', ...body }) });

  test('continues a prompt, whole', async () => {
    const engine = await startEngine();
    await engine.ready();
    expect(await (await complete(engine, { prompt: 'Once upon a time', max_tokens: 5 })).json()).toMatchObject({
      object: 'text_completion',
      choices: [{ index: 0, text: expect.stringMatching(/\S/), finish_reason: 'length' }],
      usage: { completion_tokens: 5 },
    });
  });

  test('continues several prompts as one stream', async () => {
    const engine = await startEngine();
    await engine.ready();
    const body = { prompt: ['One', 'Two'], stream: true, stream_options: { include_usage: true } };
    const events = (await (await complete(engine, body)).text()).trim().split('\n\n');
    expect(events.at(-1)).toBe('data: [DONE]');
    expect(JSON.parse(events.at(-2)?.slice(6) ?? '')).toMatchObject({ choices: [], usage: { completion_tokens: 32 } });
    const indexes = events.slice(0, -2).map((event) => JSON.parse(event.slice(6)).choices[0].index as number);
    expect(new Set(indexes)).toEqual(new Set([0, 1]));
  });

  test.each([
    [{}, 'prompt'],
    [{ prompt: [] }, 'prompt'],
    [{ prompt: 'x', priority: 3 }, 'priority'],
  ])('refuses %j', async (body, param) => {
    const engine = await startEngine();
    await engine.ready();
    const response = await complete(engine, body);
    expect({ status: response.status, body: await response.json() }).toMatchObject({
      status: 400,
      body: { error: { param } },
    });
  });
});

describe('a connection without traffic', () => {
  /** By a bare socket: clients of HTTP close theirs before the server does. */
  async function msUntilClosed(engine: RunningEngine): Promise<number> {
    const { hostname, port } = new URL(engine.url);
    const socket = connect(Number(port), hostname);
    socket.write('GET /health HTTP/1.1\r\nhost: engine\r\n\r\n');
    await once(socket, 'data');
    const start = performance.now();
    await once(socket.resume(), 'close');
    return performance.now() - start;
  }

  test('is kept for as long as the environment says', async () => {
    const engine = await startEngine([], { env: { VLLM_HTTP_TIMEOUT_KEEP_ALIVE: '1' } });
    await engine.ready();
    const ms = await msUntilClosed(engine);
    expect(ms).toBeGreaterThan(900);
    expect(ms).toBeLessThan(4_500);
  });
});
