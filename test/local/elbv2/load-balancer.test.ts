import { createServer, type RequestListener, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { App, Stack as CdkStack, Duration } from 'aws-cdk-lib';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import {
  ApplicationLoadBalancer,
  ApplicationProtocol,
  ApplicationTargetGroup,
  ListenerAction,
  ListenerCondition,
  TargetGroupLoadBalancingAlgorithmType,
  TargetType,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Clock } from '../../../local/clock.ts';
import { readAssembly } from '../../../local/cloudformation/assembly.ts';
import { evaluateStacks } from '../../../local/cloudformation/stack.ts';
import { loadBalancersOf, targetGroupsOf } from '../../../local/elbv2/from-stack.ts';
import { LoadBalancer } from '../../../local/elbv2/load-balancer.ts';
import { TargetGroup } from '../../../local/elbv2/target-group.ts';
import { temporaryFolder } from '../support/assembly.ts';

const closers: Array<() => unknown> = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Started {
  readonly url: string;
  readonly group: TargetGroup;
}

/** An ALB as a stack has it, its clock fifty times as fast. */
async function start(options: { sticky?: boolean; idle?: Duration; deregistration?: Duration } = {}): Promise<Started> {
  const app = new App({ outdir: temporaryFolder() });
  const stack = new CdkStack(app, 'Stack');
  const vpc = new Vpc(stack, 'Vpc', { natGateways: 0 });
  const group = new ApplicationTargetGroup(stack, 'Group', {
    vpc,
    port: 8000,
    protocol: ApplicationProtocol.HTTP,
    targetType: TargetType.INSTANCE,
    loadBalancingAlgorithmType: TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
    deregistrationDelay: options.deregistration ?? Duration.seconds(20),
    ...(options.sticky === true ? { stickinessCookieDuration: Duration.minutes(10) } : {}),
    healthCheck: {
      path: '/health',
      interval: Duration.seconds(5),
      timeout: Duration.seconds(2),
      healthyThresholdCount: 2,
      unhealthyThresholdCount: 2,
    },
  });
  const balancer = new ApplicationLoadBalancer(stack, 'Balancer', {
    vpc,
    ...(options.idle ? { idleTimeout: options.idle } : {}),
  });
  const listener = balancer.addListener('Listener', {
    port: 80,
    open: false,
    defaultAction: ListenerAction.fixedResponse(404, {
      contentType: 'application/json',
      messageBody: '{"no":"route"}',
    }),
  });
  listener.addAction('Allowed', {
    priority: 10,
    conditions: [ListenerCondition.pathPatterns(['/v1/chat/*', '/v1/models'])],
    action: ListenerAction.forward([group]),
  });
  const [evaluated] = evaluateStacks(readAssembly(app.synth().directory).stacks);
  if (evaluated === undefined) throw new Error('no stack');
  const clock = new Clock(50);
  const groups = targetGroupsOf(evaluated).map((definition) => new TargetGroup({ definition, clock }));
  const [definition] = loadBalancersOf(evaluated);
  const [first] = groups;
  if (definition === undefined || first === undefined) throw new Error('no load balancer');
  const loadBalancer = new LoadBalancer({ definition, groups: new Map(groups.map((g) => [g.definition.arn, g])) });
  await loadBalancer.listen();
  closers.push(
    () => loadBalancer.close(),
    () => first.close(),
  );
  return { url: `http://127.0.0.1:${loadBalancer.ports.get(80)}`, group: first };
}

/** A server that is healthy, and answers with its name after it was told to. */
async function target(
  name: string,
  listener?: RequestListener,
): Promise<{ port: number; server: Server; health: { status: number } }> {
  const health = { status: 200 };
  const server = createServer((incoming, response) => {
    if (incoming.url === '/health') response.writeHead(health.status).end();
    else if (listener !== undefined) listener(incoming, response);
    else response.end(name);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, server, health };
}

const healthy = (group: TargetGroup, count: number) =>
  vi.waitFor(() => expect(group.targets.filter(({ state }) => state === 'healthy')).toHaveLength(count));

const get = async (url: string, init?: RequestInit) => {
  const response = await fetch(url, init);
  return { status: response.status, text: await response.text(), headers: response.headers };
};

describe('routes', () => {
  test('lets the allowed paths through and answers the others itself', async () => {
    const { url, group } = await start();
    group.register(
      'a',
      (await target('a', (incoming, response) => response.end(JSON.stringify(incoming.headers)))).port,
    );
    await healthy(group, 1);
    const { status, text } = await get(`${url}/v1/chat/completions?x=1`, { method: 'POST', body: '{}' });
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-port': '80',
      'x-amzn-trace-id': expect.stringMatching(/^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$/),
    });
    for (const path of ['/metrics', '/tokenize', '/v1/models/x', '/V1/models', '/', '/health']) {
      expect(await get(url + path)).toMatchObject({ status: 404, text: '{"no":"route"}' });
    }
  });

  test('passes a stream on as it comes', async () => {
    const { url, group } = await start();
    let finish = (): void => {};
    const streaming = await target('a', (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
      finish = () => response.end('data: 2\n\n');
    });
    group.register('a', streaming.port);
    await healthy(group, 1);
    const response = await fetch(`${url}/v1/models`);
    const reader = response.body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('data: 1\n\n');
    finish();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('data: 2\n\n');
  });
});

describe('targets', () => {
  test('none, or none that is checked yet: 503', async () => {
    const { url, group } = await start();
    expect(await get(`${url}/v1/models`)).toMatchObject({ status: 503 });
    const starting = await target('a');
    starting.health.status = 503;
    group.register('a', starting.port);
    expect((await get(`${url}/v1/models`)).status).toBe(503);
    starting.health.status = 200;
    await healthy(group, 1);
    expect(await get(`${url}/v1/models`)).toMatchObject({ status: 200, text: 'a' });
  });

  test('the one with the fewest requests is next', async () => {
    const { url, group } = await start();
    const held: Array<() => void> = [];
    const hold = (name: string) => target(name, (_, response) => held.push(() => response.end(name)));
    group.register('a', (await hold('a')).port);
    group.register('b', (await hold('b')).port);
    await healthy(group, 2);
    const answers = Array.from({ length: 10 }, () => get(`${url}/v1/models`));
    await vi.waitFor(() => expect(held).toHaveLength(10));
    expect(group.targets.map(({ outstanding }) => outstanding)).toEqual([5, 5]);
    for (const release of held) release();
    await Promise.all(answers);
    expect(group.targets.map(({ outstanding }) => outstanding)).toEqual([0, 0]);
  });

  test('that fail their checks get no more requests until they pass again; when all fail, all get them', async () => {
    const { url, group } = await start();
    const a = await target('a');
    const b = await target('b');
    group.register('a', a.port);
    group.register('b', b.port);
    await healthy(group, 2);
    a.health.status = 500;
    await healthy(group, 1);
    const names = await Promise.all(Array.from({ length: 6 }, async () => (await get(`${url}/v1/models`)).text));
    expect(new Set(names)).toEqual(new Set(['b']));
    b.health.status = 500;
    await healthy(group, 0);
    expect((await get(`${url}/v1/models`)).status).toBe(200);
    a.health.status = 200;
    await healthy(group, 1);
    expect((await get(`${url}/v1/models`)).text).toBe('a');
  });

  test("a session's cookie leads back to its target, until that one is gone", async () => {
    const { url, group } = await start({ sticky: true });
    for (const name of ['a', 'b', 'c']) group.register(name, (await target(name)).port);
    await healthy(group, 3);
    const first = await get(`${url}/v1/models`);
    const cookies = first.headers.getSetCookie();
    expect(cookies.map((cookie) => cookie.split('=')[0])).toEqual(['AWSALB', 'AWSALBCORS']);
    const cookie = cookies[0]?.split(';')[0] ?? '';
    const again = () => get(`${url}/v1/models`, { headers: { cookie: `other=1; ${cookie}` } });
    for (let i = 0; i < 6; i += 1) expect((await again()).text).toBe(first.text);
    await group.deregister(first.text);
    expect((await again()).text).not.toBe(first.text);
    expect((await get(`${url}/v1/models`, { headers: { cookie: 'AWSALB=forged' } })).status).toBe(200);
  });

  test('a deregistered one finishes what it has, and gets nothing new', async () => {
    const { url, group } = await start();
    let release = (): void => {};
    group.register('a', (await target('a', (_, response) => (release = () => response.end('a')))).port);
    await healthy(group, 1);
    const answer = get(`${url}/v1/models`);
    await vi.waitFor(() => expect(group.targets[0]?.outstanding).toBe(1));
    let drained = false;
    const gone = group.deregister('a').then(() => (drained = true));
    expect((await get(`${url}/v1/models`)).status).toBe(503);
    expect(drained).toBe(false);
    release();
    expect(await answer).toMatchObject({ status: 200, text: 'a' });
    await gone;
    expect(group.targets).toEqual([]);
  });

  test('a deregistered one that does not finish is let go after the delay, in real time', async () => {
    const { url, group } = await start({ deregistration: Duration.seconds(1) });
    group.register('a', (await target('a', () => {})).port);
    await healthy(group, 1);
    fetch(`${url}/v1/models`).catch(() => {});
    await vi.waitFor(() => expect(group.targets[0]?.outstanding).toBe(1));
    const start_ = performance.now();
    await group.deregister('a');
    expect(performance.now() - start_).toBeGreaterThan(900);
  });
});

describe('failures of a target', () => {
  test('before its answer: 502', async () => {
    const { url, group } = await start();
    group.register('a', (await target('a', (incoming) => incoming.socket.destroy())).port);
    await healthy(group, 1);
    expect(await get(`${url}/v1/models`)).toMatchObject({ status: 502 });
  });

  test('in the middle of its answer: the body breaks off', async () => {
    const { url, group } = await start();
    const breaking = await target('a', (_, response) => {
      response.write('data: 1\n\n');
      setTimeout(() => response.destroy(), 20);
    });
    group.register('a', breaking.port);
    await healthy(group, 1);
    const response = await fetch(`${url}/v1/models`);
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
    await vi.waitFor(() => expect(group.targets[0]?.outstanding).toBe(0));
  });

  test('silence for longer than the idle time-out: 504 before the answer, a cut after its start', async () => {
    const { url, group } = await start({ idle: Duration.seconds(1) });
    group.register(
      'a',
      (await target('a', (incoming, response) => void (incoming.url?.endsWith('models') || response.write('x')))).port,
    );
    await healthy(group, 1);
    expect((await get(`${url}/v1/models`)).status).toBe(504);
    const cut = await fetch(`${url}/v1/chat/completions`);
    await expect(cut.text()).rejects.toThrow();
  });
});

test('a client that leaves is gone for the target, too', async () => {
  const { url, group } = await start();
  let closed = false;
  const watching = await target('a', (_, response) => {
    response.write('x');
    response.once('close', () => (closed = true));
  });
  group.register('a', watching.port);
  await healthy(group, 1);
  const leaving = request(`${url}/v1/models`, (response) => response.once('data', () => leaving.destroy()));
  leaving.on('error', () => {});
  leaving.end();
  await vi.waitFor(() => expect(closed).toBe(true));
  await vi.waitFor(() => expect(group.targets[0]?.outstanding).toBe(0));
});
