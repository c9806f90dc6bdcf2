import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { FleetConfig } from '../../../lib/private/serving-config.ts';
import { deploy, HELLO, model, openAiBackend, servingConfig, staticBackend } from '../support/serving.ts';
import { type Answerer, answerStatus, answerText, chunk, ROLE, sse, Upstream } from '../support/upstream.ts';

const FLEET: FleetConfig = {
  name: 'main',
  metricsNamespace: 'LlmServing/Fleet',
  engine: 'vllm',
  cacheSalt: true,
  priority: 'lower-first',
  stickySeconds: 3600,
  retryAfterMs: 30_000,
};
/** What a load balancer of AWS answers itself. */
const balancer = (status: number) => answerStatus(status, '<html></html>', { server: 'awselb/2.0' });

let up: Upstream;
beforeEach(async () => {
  up = await Upstream.start(answerText('hello'));
});
afterEach(() => up.stop());

const CONSUMERS = { LLM_CONSUMERS: 'key123=alice:standard,key456=bob:standard' };
const backend = (fleet: Partial<FleetConfig> = {}) => openAiBackend(up.url, { fleet: { ...FLEET, ...fleet } });

function serve(fleet: Partial<FleetConfig> = {}, priority?: number) {
  const tiers = [{ name: 'standard', ...(priority !== undefined && { priority }) }];
  return deploy(servingConfig([model([backend(fleet)])], { tiers }), CONSUMERS);
}

describe('what the gateway adds to a request of a fleet', () => {
  test('keeps consumers apart in the prefix cache', async () => {
    const { chat } = serve();
    await chat(HELLO);
    await chat(HELLO, { apiKeyId: 'key456' });
    expect(up.requests.map(({ body }) => body.cache_salt)).toEqual(['alice', 'bob']);
  });

  test('is nothing that the engine does not take', async () => {
    const { chat } = serve({ cacheSalt: false, priority: undefined }, 5);
    await chat(HELLO);
    expect(up.requests[0]?.body).not.toHaveProperty('cache_salt');
    expect(up.requests[0]?.body).not.toHaveProperty('priority');
  });

  test.each([
    ['lower-first', 5, -5],
    ['higher-first', 5, 5],
    ['lower-first', -3, 3],
  ] as const)("is the tier's priority, for an engine that serves %s: %d as %d", async (order, priority, sent) => {
    await serve({ priority: order }, priority).chat(HELLO);
    expect(up.requests[0]?.body.priority).toBe(sent);
  });

  test('is no priority for a tier without one', async () => {
    await serve().chat(HELLO);
    expect(up.requests[0]?.body).not.toHaveProperty('priority');
  });

  test.each(['cache_salt', 'priority'])('is not for clients to set: %s', async (field) => {
    const answer = await serve().chat({ ...HELLO, [field]: 1 });
    expect(answer.status).toBe(400);
    expect(up.requests).toEqual([]);
  });
});

describe('a conversation', () => {
  /** Each task says who it is, as the load balancer does. */
  const task =
    (name: string): Answerer =>
    (response, ...rest) => {
      response.setHeader('set-cookie', [
        `AWSALB=${name}; Expires=x; Path=/`,
        `AWSALBCORS=${name}; SameSite=None`,
        'a=b',
      ]);
      return answerText('hello')(response, ...rest);
    };
  const cookies = () => up.requests.map(({ headers }) => headers.cookie);
  const turn = (...texts: string[]) => ({
    model: 'chat',
    messages: texts.map((content, index) => ({ role: index % 2 === 0 ? 'user' : 'assistant', content })),
  });

  test('goes on where its last answer came from', async () => {
    up.answer = task('one');
    const { chat } = serve();
    await chat(turn('hi'));
    await chat(turn('hi', 'hello', 'more'));
    await chat(turn('hi', 'hello', 'more', 'hello', 'and more'));
    expect(cookies()).toEqual([undefined, 'AWSALB=one; AWSALBCORS=one', 'AWSALB=one; AWSALBCORS=one']);
  });

  test('streamed goes on there too', async () => {
    up.answer = task('one');
    const { chat } = serve();
    await chat({ ...turn('hi'), stream: true });
    await chat({ ...turn('hi', 'hello', 'more'), stream: true });
    expect(cookies()[1]).toBe('AWSALB=one; AWSALBCORS=one');
  });

  test('that begins like another one begins anywhere', async () => {
    up.answer = task('one');
    const { chat } = serve();
    await chat(turn('hi'));
    await chat(turn('hi'));
    expect(cookies()).toEqual([undefined, undefined]);
  });

  test('of another consumer is another one', async () => {
    up.answer = task('one');
    const { chat } = serve();
    await chat(turn('hi'));
    await chat(turn('hi', 'hello', 'more'), { apiKeyId: 'key456' });
    expect(cookies()).toEqual([undefined, undefined]);
  });

  test("is found by the client's own id, and follows it to another task", async () => {
    up.answer = task('one');
    const { chat } = serve();
    const session = { headers: { 'X-Session-Id': 'abc' } };
    await chat(turn('hi'), session);
    up.answer = task('two');
    await chat(turn('something else'), session);
    await chat(turn('hi'), session);
    await chat(turn('hi'), { headers: { 'x-session-id': 'def' } });
    expect(cookies()).toEqual([undefined, 'AWSALB=one; AWSALBCORS=one', 'AWSALB=two; AWSALBCORS=two', undefined]);
  });

  test('begins anew when its task is full or gone', async () => {
    up.answer = task('one');
    const { chat } = serve();
    const session = { headers: { 'x-session-id': 'abc' } };
    await chat(turn('hi'), session);
    up.answer = balancer(503);
    await chat(turn('hi'), session);
    up.answer = task('two');
    await chat(turn('hi'), session);
    expect(cookies()).toEqual([undefined, 'AWSALB=one; AWSALBCORS=one', undefined]);
  });
});

describe('a long prompt', () => {
  const SYSTEM = 'You are the assistant of a bank. '.repeat(100);
  const withSystem = (text: string, fields: object = {}) => ({
    model: 'chat',
    messages: [
      { role: 'system', content: SYSTEM },
      { role: 'user', content: text },
    ],
    ...fields,
  });
  const cookies = () => up.requests.map(({ headers }) => headers.cookie);
  const task =
    (name: string): Answerer =>
    (response, ...rest) => {
      response.setHeader('set-cookie', [`AWSALB=${name}; Path=/`]);
      return answerText('hello')(response, ...rest);
    };

  test('goes where its beginning is', async () => {
    up.answer = task('one');
    const { chat } = serve();
    await chat(withSystem('What is my balance?'));
    await chat(withSystem('Send ten euros to Bob.'));
    await chat(withSystem('Something else', { messages: [{ role: 'user', content: 'x'.repeat(3_000) }] }));
    expect(cookies()).toEqual([undefined, 'AWSALB=one', undefined]);
  });

  test('of another consumer goes anywhere: what it would find there is kept apart', async () => {
    up.answer = task('one');
    const { chat } = serve();
    await chat(withSystem('Hello'));
    await chat(withSystem('Hello'), { apiKeyId: 'key456' });
    expect(cookies()).toEqual([undefined, undefined]);
  });

  test('with other tools begins otherwise', async () => {
    up.answer = task('one');
    const { chat } = serve();
    await chat(withSystem('Hello'));
    await chat(withSystem('Hello', { tools: [{ type: 'function', function: { name: 'pay' } }] }));
    expect(cookies()).toEqual([undefined, undefined]);
  });

  test('or a short one is found by prompt_cache_key', async () => {
    up.answer = task('one');
    const { chat } = serve();
    await chat({ ...HELLO, prompt_cache_key: 'k' });
    await chat({ model: 'chat', messages: [{ role: 'user', content: 'Another one' }], prompt_cache_key: 'k' });
    await chat({ ...HELLO, prompt_cache_key: 'l' });
    expect(cookies()).toEqual([undefined, 'AWSALB=one', undefined]);
  });

  test('yields to the load balancer while its task has more than its share', async () => {
    const held: Array<() => void> = [];
    up.answer = (response, ...rest) => {
      held.push(() => task('one')(response, ...rest));
    };
    const { chat } = serve({ maxTasks: 4 });
    const first = chat(withSystem('0'));
    await vi.waitFor(() => expect(held).toHaveLength(1));
    held.shift()?.();
    await first;
    const many = Array.from({ length: 8 }, (_, i) => chat(withSystem(String(i + 1))));
    await vi.waitFor(() => expect(held).toHaveLength(8));
    for (const release of held) release();
    await Promise.all(many);
    // Eight in flight over four tasks: two on each.
    expect(
      cookies()
        .slice(1)
        .filter((cookie) => cookie !== undefined),
    ).toHaveLength(2);
  });

  describe('with a memory that processes share', () => {
    const memory = () => {
      const values = new Map<string, string>();
      return {
        values,
        get: async (key: string) => values.get(key),
        set: async (key: string, value: string) => {
          values.set(key, value);
        },
      };
    };
    const serveWith = (sharedHints: ReturnType<typeof memory>) =>
      deploy(servingConfig([model([backend()])]), CONSUMERS, { sharedHints });

    test('goes where another process has found its beginning', async () => {
      up.answer = task('one');
      const shared = memory();
      await serveWith(shared).chat(withSystem('Hello'));
      await serveWith(shared).chat(withSystem('Another'));
      expect(cookies()).toEqual([undefined, 'AWSALB=one']);
      expect([...shared.values.keys()].every((key) => key.startsWith('affinity:main:'))).toBe(true);
      expect(JSON.stringify([...shared.values])).not.toContain('bank');
    });

    test('takes nothing out of it that is no cookie of a load balancer', async () => {
      up.answer = task('one');
      const shared = memory();
      await serveWith(shared).chat(withSystem('Hello'));
      for (const key of shared.values.keys()) shared.values.set(key, 'AWSALB=x; evil=1\r\nx-admin: 1');
      await serveWith(shared).chat(withSystem('Another'));
      expect(cookies()).toEqual([undefined, undefined]);
    });
  });
});

describe('a fleet that does not answer', () => {
  const demand = (log: ReadonlyArray<Record<string, unknown>>) =>
    log
      .filter(({ message }) => message === 'fleet demand')
      .map(({ fleet, Demand, Unserved }) => ({ fleet, Demand, Unserved }));

  test.each([502, 503, 504])(
    'because it has no task (%d of the load balancer) is a 503 with a time to come back',
    async (status) => {
      up.answer = balancer(status);
      const { chat, log } = serve();
      const answer = await chat({ ...HELLO, stream: true });
      expect(answer.status).toBe(503);
      expect(answer.headers['retry-after']).toBe('30');
      expect(answer.json.error).toMatchObject({ type: 'server_error', code: 'backend_overloaded', param: null });
      expect(demand(log)).toEqual([{ fleet: 'main', Demand: 1, Unserved: 1 }]);
    },
  );

  test('because its engine is full says to come back soon', async () => {
    up.answer = answerStatus(503, { error: { message: 'queue is full', type: 'x', param: null, code: 503 } });
    const answer = await serve().chat(HELLO);
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '2']);
  });

  test("is not excused where an engine's own answer is at fault", async () => {
    up.answer = answerStatus(500, { error: { message: 'dead', type: 'x', param: null, code: 500 } });
    expect((await serve().chat(HELLO)).status).toBe(502);
  });

  test('is passed over, and asked for all the same', async () => {
    up.answer = balancer(503);
    const { chat, log } = deploy(servingConfig([model([backend(), staticBackend('later')])]), CONSUMERS);
    const answer = await chat(HELLO);
    expect([answer.status, answer.headers['x-llm-backend']]).toEqual([200, 'sorry']);
    expect(demand(log)).toEqual([{ fleet: 'main', Demand: 1, Unserved: 1 }]);
  });

  test('is not asked for by a request that an earlier backend has answered', async () => {
    const { chat, log } = deploy(servingConfig([model([staticBackend(), backend()])]), CONSUMERS);
    await chat(HELLO);
    expect(demand(log)).toEqual([]);
  });

  test('has served a request that it refused, or that it answered', async () => {
    const { chat, log } = serve();
    await chat(HELLO);
    up.answer = answerStatus(400);
    await chat(HELLO);
    const served = { fleet: 'main', Demand: 1, Unserved: 0 };
    expect(demand(log)).toEqual([served, served]);
  });

  test('has served a stream that breaks off', async () => {
    up.answer = (response) => {
      sse(response).write(ROLE + chunk({ content: 'a' }));
      setTimeout(() => response.destroy(), 20);
    };
    const { chat, log } = serve();
    const answer = await chat({ ...HELLO, stream: true });
    expect(answer.body).toContain('"error"');
    expect(demand(log)).toEqual([{ fleet: 'main', Demand: 1, Unserved: 0 }]);
  });

  test('writes the demand as a metric of the fleet alone', async () => {
    const { chat, log } = serve();
    await chat(HELLO);
    const line: Record<string, unknown> | undefined = log.find(({ message }) => message === 'fleet demand');
    expect(line?._aws).toMatchObject({
      CloudWatchMetrics: [
        {
          Namespace: 'LlmServing/Fleet',
          Dimensions: [['fleet']],
          Metrics: [
            { Name: 'Demand', Unit: 'Count' },
            { Name: 'Unserved', Unit: 'Count' },
          ],
        },
      ],
    });
  });
});
