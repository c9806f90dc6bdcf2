import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { STANDARD_POLICY } from '../../lambda/failover/policy.ts';
import { model, openAiBackend, servingConfig } from '../lambda/support/serving.ts';
import { sleep, Upstream } from '../lambda/support/upstream.ts';
import { FAULTS, HEALTHY_TEXT, healthy } from './catalog.ts';
import { ask } from './drive.ts';
import { startGateway, type TestGateway } from './gateway.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const REQUESTS = 1000;
const AT_ONCE = 25;
const DEADLINES = { connectMs: 500, firstTokenMs: 100, betweenTokensMs: 100 };

let faulty: Upstream;
let good: Upstream;
let gateway: TestGateway;
let index = 0;

beforeAll(async () => {
  const answers = FAULTS.flatMap(({ answer }) => answer ?? []);
  faulty = await Upstream.start((response, request, incoming) => {
    index += 1;
    return answers[index % answers.length]?.(response, request, incoming);
  });
  good = await Upstream.start(healthy);
  // Without a breaker each request meets a fault.
  const { breaker: _, ...fallback } = STANDARD_POLICY;
  const backends = [
    openAiBackend(faulty.url, { id: 'faulty', deadlines: DEADLINES }),
    // A busy machine is no fault.
    openAiBackend(good.url, {
      id: 'second',
      deadlines: { connectMs: 2000, firstTokenMs: 5000, betweenTokensMs: 5000 },
    }),
  ];
  const limits = { wholeAnswerTimeoutMs: 400 };
  gateway = await startGateway(servingConfig([model(backends, { fallback })], { limits }));
});
afterAll(() => Promise.all([gateway.close(), faulty.stop(), good.stop()]));

async function storm(requests: number): Promise<void> {
  let left = requests;
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await ask(gateway, left % 2 === 0);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

const connections = async (): Promise<number> => {
  await sleep(1200);
  const count = (upstream: Upstream) =>
    new Promise<number>((resolve, reject) =>
      upstream.server.getConnections((error, n) => (error ? reject(error) : resolve(n))),
    );
  return (await count(faulty)) + (await count(good));
};
const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

test('after 1,000 faulty requests no socket, no timer and no memory is held, and the next one is answered', async () => {
  await storm(150);
  const before = { connections: await connections(), timers: timers(), heap: heapMiB() };
  gateway.log.length = 0;
  await storm(REQUESTS);
  expect(gateway.log.filter(({ message }) => message === 'chat completion')).toHaveLength(REQUESTS);
  gateway.log.length = 0;
  faulty.requests.length = 0;
  good.requests.length = 0;
  // Kept-alive connections, at most one for each of the requests at once.
  expect(await connections()).toBeLessThanOrEqual(Math.max(before.connections, 2 * AT_ONCE));
  expect(timers()).toBeLessThanOrEqual(before.timers + 5);
  expect(heapMiB() - before.heap).toBeLessThan(15);
  faulty.answer = healthy;
  expect((await ask(gateway, true)).text).toBe(HEALTHY_TEXT);
}, 120_000);

function heapMiB(): number {
  // Twice: what finalizers let go of.
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().heapUsed / 2 ** 20;
}
