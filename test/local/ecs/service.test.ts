import { Duration } from 'aws-cdk-lib';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import type { Stack } from '../../../local/cloudformation/stack.ts';
import { fleetStack, type StartedFleet, startFleet } from '../support/fleet.ts';

const patience = { timeout: 45_000, interval: 20 };
const healthy = ({ fleet }: StartedFleet, count: number) =>
  vi.waitFor(() => expect(fleet.service.healthyTasks).toHaveLength(count), patience);

const gone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

describe('a service', () => {
  let stack: Stack;
  beforeAll(() => {
    stack = fleetStack({ tasks: 2, flags: ['--served-model-name', 'test/model'] });
  });

  test('starts its tasks, which serve behind the load balancer with the key of their secret', async () => {
    const started = await startFleet(stack);
    expect((await started.chat()).status).toBe(503);
    await healthy(started, 2);
    expect((await started.chat()).status).toBe(200);
    expect((await started.chat({}, { headers: {} })).status).toBe(401);
    expect((await fetch(`${started.fleet.url}/metrics`)).status).toBe(404);
    expect(started.log.some((line) => /^Stack|Service.*startup complete: simulated/.test(line))).toBe(true);
  });

  test('replaces a task that crashes; others serve meanwhile', async () => {
    const started = await startFleet(stack);
    await healthy(started, 2);
    const [victim] = started.fleet.service.tasks;
    victim?.kill();
    await vi.waitFor(() => expect(started.fleet.service.tasks).not.toContain(victim));
    expect((await started.chat()).status).toBe(200);
    await healthy(started, 2);
    expect(started.log.some((line) => line.includes(`task ${victim?.id} has ended by itself`))).toBe(true);
  });

  test('that is made smaller lets a stream end before it stops the task', async () => {
    const started = await startFleet(stack, { model: { answerTokens: 150 } });
    await healthy(started, 2);
    const streams = await Promise.all([1, 2, 3, 4].map(() => started.chat({ stream: true })));
    started.fleet.service.setDesired(0, 'a test');
    await vi.waitFor(() => expect(started.fleet.service.healthyTasks).toHaveLength(0), patience);
    expect((await started.chat()).status).toBe(503);
    for (const stream of streams) expect(await stream.text()).toContain('data: [DONE]');
    await vi.waitFor(() => expect(started.fleet.service.tasks).toHaveLength(0), patience);
  });

  test('leaves no process behind', async () => {
    const started = await startFleet(stack);
    await healthy(started, 2);
    const { pids } = started.fleets;
    expect(pids).toHaveLength(2);
    await started.fleets.close();
    expect(pids.every(gone)).toBe(true);
    await expect(started.chat()).rejects.toThrow();
  });

  test("has its agents' metrics in the store: gauges as they are, counters as what was added", async () => {
    const started = await startFleet(stack);
    await healthy(started, 2);
    const streams = await Promise.all(
      Array.from({ length: 6 }, () => started.chat({ stream: true, max_tokens: 2000 })),
    );
    const value = (name: string, statistic: string) =>
      started.store.statistic({ namespace: 'Test', name, dimensions: { fleet: 'test' } }, statistic, 0, Infinity);
    await Promise.all(streams.map((stream) => stream.text()));
    await vi.waitFor(() => expect(value('vllm:generation_tokens_total', 'Sum')).toBe(120), patience);
    expect(value('vllm:num_requests_running', 'Minimum')).toBe(0);
  });
});

describe('a deployment', () => {
  test('keeps all tasks that must be healthy, and ends with new ones only', async () => {
    const started = await startFleet(fleetStack({ tasks: 2 }));
    await healthy(started, 2);
    const before = started.fleet.service.tasks;
    let least = Number.POSITIVE_INFINITY;
    let most = 0;
    const watch = setInterval(() => {
      least = Math.min(least, started.fleet.service.healthyTasks.length);
      most = Math.max(most, started.fleet.service.tasks.length);
    }, 5);
    await started.fleet.service.deploy();
    clearInterval(watch);
    expect(least).toBeGreaterThanOrEqual(2);
    expect(most).toBeLessThanOrEqual(4);
    await vi.waitFor(() => expect(started.fleet.service.tasks).toHaveLength(2), patience);
    for (const task of before) expect(started.fleet.service.tasks).not.toContain(task);
  });

  test('with fixed GPUs stops the old tasks first', async () => {
    const started = await startFleet(fleetStack({ tasks: 2, minHealthyPercent: 0, maxHealthyPercent: 100 }));
    await healthy(started, 2);
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, started.fleet.service.tasks.length);
    }, 5);
    await started.fleet.service.deploy();
    clearInterval(watch);
    expect(most).toBe(2);
    expect(started.fleet.service.healthyTasks).toHaveLength(2);
  });

  test('of a command that fails is rolled back, and the old tasks go on serving', async () => {
    const started = await startFleet(fleetStack({ tasks: 1 }), { speed: 400 });
    await healthy(started, 1);
    const { engine } = started.fleet.service.definition.task;
    await started.fleet.service.deploy({
      engine: { ...engine, command: [...engine.command, '--max-model-length', '1'] },
    });
    expect(started.log.some((line) => line.includes('rolled back'))).toBe(true);
    expect(started.log.some((line) => line.includes('unrecognized arguments: --max-model-length'))).toBe(true);
    expect((await started.chat()).status).toBe(200);
  });

  test('that never worked is given up, and no more tasks are started', async () => {
    const started = await startFleet(fleetStack({ flags: ['--no-such-flag'] }), { speed: 400 });
    const failed = () => started.log.some((line) => line.includes('the deployment has failed'));
    await vi.waitFor(() => expect(failed()).toBe(true), patience);
    expect(started.fleet.service.tasks).toHaveLength(0);
    expect((await started.chat()).status).toBe(503);
  });
});

test('what does not drain in time is killed', async () => {
  const stack = fleetStack({ stopTimeout: Duration.seconds(1), flags: ['--shutdown-timeout', '60'] });
  const started = await startFleet(stack, { model: { answerTokens: 5_000 } });
  await healthy(started, 1);
  const [task] = started.fleet.service.tasks;
  const response = await fetch(`${started.fleet.url}/v1/models`, { headers: { authorization: 'Bearer fleet-key' } });
  expect(response.status).toBe(200);
  const stream = await started.chat({ stream: true });
  // As if the deregistration delay were over.
  if (task?.pid !== undefined) process.kill(task.pid, 'SIGTERM');
  const stopped = task?.stop();
  await stream.body?.cancel();
  await stopped;
  expect(started.fleet.service.tasks).not.toContain(task);
});

test('containers without a stand-in are listed', async () => {
  const { fleets } = await startFleet(fleetStack());
  expect(fleets.gaps).toEqual([
    {
      what: 'container Shipper (fluent/fluent-bit)',
      count: 1,
      meaning: 'it is not run, and counts as having done its work',
    },
  ]);
});

test('a container that nobody knows runs as the template describes it', async () => {
  const started = await startFleet(fleetStack({ image: 'example.com/mine:1', keyVariable: 'MY_KEY' }));
  await healthy(started, 1);
  expect((await started.chat()).status).toBe(200);
  const refused = await started.chat({}, { headers: { authorization: 'Bearer no' } });
  expect(refused.status).toBe(401);
  const metric = { namespace: 'Test', name: 'vllm:num_requests_running', dimensions: { fleet: 'test' } };
  await vi.waitFor(() => {
    const now = started.clock.now();
    expect(started.store.statistic(metric, 'Average', now - 3_600_000, now)).toBeGreaterThanOrEqual(0);
  }, 10_000);
});
