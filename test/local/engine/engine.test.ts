import { beforeAll, describe, expect, test, vi } from 'vitest';
import { type RunningEngine, startEngine } from '../support/engine.ts';

async function ready(flags: readonly string[], options?: Parameters<typeof startEngine>[1]): Promise<RunningEngine> {
  const engine = await startEngine(flags, options);
  await engine.ready();
  return engine;
}

const statusOf = async (answer: Promise<Response>): Promise<number> => {
  const response = await answer;
  await response.text();
  return response.status;
};

describe("the engine's HTTP surface", () => {
  let engine: RunningEngine;
  beforeAll(async () => {
    engine = await ready(
      [
        '--served-model-name',
        'chat',
        '--enable-prompt-tokens-details',
        '--max-model-len',
        '2000',
        '--enable-request-id-headers',
      ],
      { env: { VLLM_API_KEY: 'k' } },
    );
  });
  const auth = { headers: { authorization: 'Bearer k', 'x-request-id': 'r1' } };
  const chat = (body: object = {}) => engine.chat({ model: 'chat', ...body }, auth);

  test('answers whole', async () => {
    const response = await chat();
    expect(response.headers.get('x-request-id')).toBe('r1');
    expect(await response.json()).toMatchObject({
      object: 'chat.completion',
      model: 'chat',
      choices: [{ message: { role: 'assistant' }, finish_reason: 'stop' }],
      usage: { completion_tokens: 20, prompt_tokens_details: { cached_tokens: 0 } },
    });
  });

  test('answers as a stream that ends with [DONE]', async () => {
    const text = await (await chat({ stream: true, stream_options: { include_usage: true } })).text();
    const events = text.trim().split('\n\n');
    expect(events.at(-1)).toBe('data: [DONE]');
    expect(events.filter((event) => event.includes('"content":"')).length).toBeGreaterThanOrEqual(20);
    expect(events.at(-2)).toContain('"completion_tokens":20');
  });

  test('guards /v1 with its key, and nothing else', async () => {
    const response = await engine.chat({ model: 'chat' });
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 401,
      body: { error: 'Unauthorized' },
    });
    expect(await statusOf(engine.chat({ model: 'chat' }, { headers: { authorization: 'Bearer no' } }))).toBe(401);
    for (const path of ['/health', '/metrics', '/version']) expect(await statusOf(fetch(engine.url + path))).toBe(200);
    const body = JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: 'x' }] });
    for (const path of ['/tokenize', '/invocations']) {
      expect(await statusOf(fetch(engine.url + path, { method: 'POST', body }))).toBe(200);
    }
  });

  test('lists the names that it serves', async () => {
    const response = await fetch(`${engine.url}/v1/models`, auth);
    expect(await response.json()).toMatchObject({ data: [{ id: 'chat', root: 'test/model', max_model_len: 2000 }] });
  });

  test.each([
    [{ model: 'other' }, 404, { type: 'NotFoundError', param: 'model', code: 404 }],
    [{ messages: [] }, 400, { type: 'BadRequestError', code: 400 }],
    [{ priority: 1 }, 400, { message: 'Got priority 1 but Priority scheduling is not enabled.' }],
    [{ cache_salt: '' }, 400, { param: 'cache_salt' }],
    [{ max_tokens: 2000 }, 400, { message: expect.stringContaining('maximum context length is 2000 tokens') }],
    [
      { tools: [{ type: 'function', function: { name: 'f' } }] },
      400,
      { message: expect.stringContaining('"auto" tool choice') },
    ],
  ])("answers %j with an error in vLLM's shape", async (body, status, error) => {
    const response = await chat(body);
    expect({ status: response.status, body: await response.json() }).toMatchObject({ status, body: { error } });
  });

  test('finds the blocks of an earlier prompt in its cache, unless the salt is another one', async () => {
    const prompt = { messages: [{ role: 'user', content: 'The same words as before, again and again. '.repeat(20) }] };
    const cached = async (body: object) => {
      const answer = (await (await chat({ ...prompt, ...body, max_tokens: 1 })).json()) as {
        usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } };
      };
      return answer.usage.prompt_tokens_details.cached_tokens / answer.usage.prompt_tokens;
    };
    expect(await cached({ cache_salt: 'a' })).toBe(0);
    expect(await cached({ cache_salt: 'a' })).toBeGreaterThan(0.9);
    expect(await cached({ cache_salt: 'b' })).toBe(0);
    expect(await engine.metric('vllm:prefix_cache_hits_total')).toBeGreaterThan(100);
  });
});

describe('load', () => {
  test('beyond the batch waits, shows in the metrics, and beyond the bound is refused at once', async () => {
    const engine = await ready(['--max-num-seqs', '2', '--max-num-queued-reqs', '5'], {
      situation: { model: { answerTokens: 200 } },
    });
    const abort = new AbortController();
    const answers = Array.from({ length: 5 }, () => engine.chat({}, { signal: abort.signal }));
    for (const answer of answers) answer.catch(() => {});
    await vi.waitFor(async () => {
      expect(await engine.metric('vllm:num_requests_running')).toBe(2);
      expect(await engine.metric('vllm:num_requests_waiting')).toBe(3);
    });
    expect(await engine.metric('vllm:kv_cache_usage_perc')).toBeGreaterThan(0);
    const refused = await engine.chat({ stream: true });
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ error: { code: 503, message: expect.stringContaining('busy') } });
    // A client that leaves makes room.
    abort.abort();
    await vi.waitFor(async () => {
      expect(
        (await engine.metric('vllm:num_requests_running')) + (await engine.metric('vllm:num_requests_waiting')),
      ).toBe(0);
    });
  });

  test('slows each stream down, but not in proportion', async () => {
    const engine = await ready([], {
      situation: { pace: { baseMs: 5, perSequenceMs: 1, prefillTokensPerSecond: 1e6 } },
    });
    const time = async (count: number) => {
      const start = performance.now();
      await Promise.all(Array.from({ length: count }, () => statusOf(engine.chat())));
      return performance.now() - start;
    };
    const alone = await time(1);
    const together = await time(16);
    expect(together).toBeGreaterThan(alone * 1.5);
    expect(together).toBeLessThan(alone * 10);
  });

  test('with little KV cache preempts, and answers all the same', async () => {
    const engine = await ready(['--num-gpu-blocks-override', '6'], { situation: { model: { answerTokens: 60 } } });
    const statuses = await Promise.all([1, 2, 3].map(() => statusOf(engine.chat())));
    expect(statuses).toEqual([200, 200, 200]);
    expect(await engine.metric('vllm:num_preemptions_total')).toBeGreaterThan(0);
  });

  test('lets the lower priority value go first', async () => {
    const engine = await ready(['--max-num-seqs', '1', '--scheduling-policy', 'priority'], {
      situation: { model: { answerTokens: 40 } },
    });
    const order: string[] = [];
    const first = statusOf(engine.chat());
    await vi.waitFor(async () => expect(await engine.metric('vllm:num_requests_running')).toBe(1));
    const late = statusOf(engine.chat({ priority: 5 })).then(() => order.push('late'));
    await vi.waitFor(async () => expect(await engine.metric('vllm:num_requests_waiting')).toBe(1));
    const soon = statusOf(engine.chat({ priority: -5 })).then(() => order.push('soon'));
    await Promise.all([first, late, soon]);
    expect(order).toEqual(['soon', 'late']);
  });
});

describe('life and death', () => {
  test('the port is closed until the weights are loaded', async () => {
    const engine = await startEngine([], { situation: { loadMs: 600 } });
    await vi.waitFor(() => expect(engine.output()).toContain('Loading test/model'), { timeout: 5_000 });
    await expect(fetch(`${engine.url}/health`)).rejects.toThrow();
    await engine.ready();
  });

  test('a port that the task does not map is not reached', async () => {
    const engine = await startEngine(['--port', '9000']);
    await vi.waitFor(() => expect(engine.output()).toContain('startup complete'), { timeout: 5_000 });
    await expect(fetch(`${engine.url}/health`)).rejects.toThrow();
  });

  test('an unknown flag ends it with status 2', async () => {
    const engine = await startEngine(['--max-model-length', '1']);
    expect(await engine.exit).toBe(2);
    expect(engine.output()).toContain('vllm serve: error: unrecognized arguments: --max-model-length');
  });

  test('SIGTERM lets a stream come to its end, and takes nothing new', async () => {
    const engine = await ready(['--shutdown-timeout', '20'], { situation: { model: { answerTokens: 100 } } });
    const response = await engine.chat({ stream: true });
    engine.child.kill('SIGTERM');
    await vi.waitFor(() => expect(fetch(`${engine.url}/health`)).rejects.toThrow());
    expect(await response.text()).toContain('data: [DONE]');
    expect(await engine.exit).toBe(0);
  });

  test('SIGTERM without a shutdown time-out cuts what runs', async () => {
    const engine = await ready([], { situation: { model: { answerTokens: 1_000 } } });
    const response = await engine.chat({ stream: true });
    engine.child.kill('SIGTERM');
    await expect(response.text()).rejects.toThrow();
    expect(await engine.exit).toBe(0);
  });

  test('a core that dies ends streams with an error event, and the process', async () => {
    const engine = await ready([], { situation: { model: { answerTokens: 1_000 } } });
    const response = await engine.chat({ stream: true });
    engine.child.kill('SIGUSR2');
    const events = (await response.text()).trim().split('\n\n');
    expect(events.at(-2)).toMatch(/^data: \{"error":\{"message":"EngineCore/);
    expect(events.at(-1)).toBe('data: [DONE]');
    expect(await engine.exit).toBe(1);
  });

  test('is gone when who started it is', async () => {
    const engine = await ready([]);
    engine.child.disconnect();
    expect(await engine.exit).toBe(0);
  });
});
