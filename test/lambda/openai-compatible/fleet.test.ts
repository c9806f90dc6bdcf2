import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StickySessions } from '../../../lambda/backends/openai-compatible/sticky-sessions.ts';
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

  test('is forgotten when many others came after it, or after its time', async () => {
    const sessions = new StickySessions(50, 2);
    sessions.keep('a', '1');
    sessions.keep('b', '2');
    sessions.keep('a', '3');
    sessions.keep('c', '4');
    expect([sessions.get('a'), sessions.get('b'), sessions.get('c'), sessions.size]).toEqual(['3', undefined, '4', 2]);
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(sessions.get('a')).toBeUndefined();
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
