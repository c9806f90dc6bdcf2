import { buffer, text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { accountConcurrency } from '../../../local/lambda/account.ts';
import {
  FunctionError,
  type InvocationResponse,
  RequestTooLargeError,
  ThrottledError,
} from '../../../local/lambda/invocation.ts';
import type { LocalFunction } from '../../../local/lambda/local-function.ts';
import { functionOf } from './handlers.ts';

async function json(fn: LocalFunction, event: unknown = {}): Promise<unknown> {
  return parse(await fn.invoke(event));
}

async function parse(response: InvocationResponse): Promise<unknown> {
  if (response.kind !== 'buffered') throw new Error('expected a buffered answer');
  return JSON.parse(response.payload.toString('utf8'));
}

const PID = 'export const handler = async () => process.pid;';

test('a handler gets the event and the context, and its result is the answer', async () => {
  const { fn } = functionOf(
    `export const handler = async (event, context) => ({
      event, name: context.functionName, memory: context.memoryLimitInMB, arn: context.invokedFunctionArn,
      remaining: context.getRemainingTimeInMillis(), id: context.awsRequestId });`,
    { name: 'greeter', memoryMb: 256, timeoutMs: 5000 },
  );
  const answer = (await json(fn, { text: 'žluť ✓' })) as Record<string, unknown>;
  expect(answer).toMatchObject({ event: { text: 'žluť ✓' }, name: 'greeter', memory: '256', arn: fn.arn });
  expect(answer.id).toMatch(/^[0-9a-f-]{36}$/);
  expect(answer.remaining).toBeLessThanOrEqual(5000);
  expect(answer.remaining).toBeGreaterThan(3000);
});

test("a function has its own environment and nothing of this process's", async () => {
  vi.stubEnv('AWS_PROFILE', 'production');
  vi.stubEnv('SOME_SECRET', 'x');
  const { fn } = functionOf('export const handler = async () => process.env;', { environment: { TABLE: 'ledger' } });
  const environment = (await json(fn)) as Record<string, string>;
  vi.unstubAllEnvs();
  expect(environment).toMatchObject({ TABLE: 'ledger', AWS_REGION: 'us-east-1', _HANDLER: 'index.handler' });
  expect(environment).not.toHaveProperty('AWS_PROFILE');
  expect(environment).not.toHaveProperty('SOME_SECRET');
  expect(environment).not.toHaveProperty('HOME');
});

test('one process serves one invocation after another', async () => {
  const { fn } = functionOf(PID);
  const pids = [await json(fn), await json(fn), await json(fn)];
  expect(new Set(pids).size).toBe(1);
  expect(fn.pids).toEqual([pids[0]]);
});

test('a process serves one invocation at a time: those at once get processes of their own', async () => {
  const { fn } = functionOf(
    `export const handler = async () => { await new Promise((r) => setTimeout(r, 300)); return process.pid; };`,
  );
  const pids = await Promise.all([json(fn), json(fn), json(fn)]);
  expect(new Set(pids).size).toBe(3);
});

const TICKS = `
  export const handler = awslambda.streamifyResponse(async (event, stream) => {
    stream = awslambda.HttpResponseStream.from(stream, { statusCode: 200, headers: { 'x-a': 'b' } });
    for (let i = 0; i < (event.count ?? 3); i++) {
      stream.write('tick ' + i + ' ');
      await new Promise((resolve) => setTimeout(resolve, event.gap ?? 200));
    }
    stream.end();
  });`;

test('a stream has its prelude, and its chunks arrive when they are written', async () => {
  const { fn } = functionOf(TICKS);
  const { body, contentType } = await fn.invokeStreaming({});
  expect(contentType).toBe('application/vnd.awslambda.http-integration-response');
  const start = Date.now();
  const arrivals: number[] = [];
  let bytes = Buffer.alloc(0);
  for await (const chunk of body) {
    bytes = Buffer.concat([bytes, chunk as Buffer]);
    if (String(chunk).includes('tick')) arrivals.push(Date.now() - start);
  }
  expect(bytes.toString()).toBe(`{"statusCode":200,"headers":{"x-a":"b"}}${'\0'.repeat(8)}tick 0 tick 1 tick 2 `);
  expect(arrivals).toHaveLength(3);
  expect((arrivals[2] ?? 0) - (arrivals[0] ?? 0)).toBeGreaterThan(250);
});

test('a stream that nobody reads on runs to its end, and its process is used again', async () => {
  const { fn } = functionOf(
    `let ended = 0;
    export const handler = awslambda.streamifyResponse(async (event, stream) => {
      if (event.ask) { stream.write(String(ended)); stream.end(); return; }
      for (let i = 0; i < 40; i++) { stream.write('x'.repeat(65536)); await new Promise((r) => setTimeout(r, 5)); }
      stream.end();
      ended++;
    });`,
  );
  const { body } = await fn.invokeStreaming({});
  body.destroy();
  await vi.waitFor(async () => expect(await text((await fn.invokeStreaming({ ask: true })).body)).toBe('1'), {
    timeout: 5000,
    interval: 200,
  });
});

test('an error after the first chunk fails the stream with its type and message', async () => {
  const { fn } = functionOf(
    `export const handler = awslambda.streamifyResponse(async (event, stream) => {
      stream.write('half');
      await new Promise((r) => setTimeout(r, 50));
      throw new TypeError('model fell over');
    });`,
  );
  const { body } = await fn.invokeStreaming({});
  const error = await text(body).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(FunctionError);
  expect(error).toMatchObject({ type: 'TypeError', message: 'model fell over' });
  // The runtime client goes on to its next invocation.
  await expect((await fn.invokeStreaming({})).body.take(1).toArray()).resolves.toHaveLength(1);
});

test('an error that a handler throws is reported, and its process is used again', async () => {
  const { fn, logs } = functionOf(
    `export const handler = async (event) => { if (event.bad) throw new RangeError('no such thing'); return process.pid; };`,
  );
  const pid = await json(fn);
  await expect(fn.invoke({ bad: true })).rejects.toMatchObject({ type: 'RangeError', message: 'no such thing' });
  expect(await json(fn)).toBe(pid);
  expect(logs.join('\n')).toContain('no such thing');
});

test('a failed initialization fails the invocation with what was thrown', async () => {
  const { fn } = functionOf(`throw new Error('config is missing'); export const handler = async () => 1;`);
  await expect(fn.invoke({})).rejects.toMatchObject({ type: 'Error', message: 'config is missing' });
  await vi.waitFor(() => expect(fn.pids).toEqual([]));
});

test('a handler that does not exist fails the invocation', async () => {
  const { fn } = functionOf(PID, { handler: 'index.other' });
  await expect(fn.invoke({})).rejects.toMatchObject({ type: 'Runtime.HandlerNotFound' });
});

test.runIf(process.platform === 'linux')(
  'of several invocations in a multi-concurrent environment that runs out of memory all fail, and it is replaced',
  async () => {
    const { fn } = functionOf(
      `export const handler = async (event) => {
      if (event.bytes) globalThis.kept = Buffer.alloc(event.bytes, 1);
      await new Promise((r) => setTimeout(r, event.ms ?? 0));
      return process.pid;
    };`,
      { concurrency: 2, memoryMb: 512, environment: { AWS_LAMBDA_NODEJS_WORKER_COUNT: '1' } },
    );
    const pid = await json(fn);
    const outcomes = await Promise.allSettled([json(fn, { bytes: 600e6, ms: 10_000 }), json(fn, { ms: 10_000 })]);
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.type)).toEqual([
      'Runtime.OutOfMemory',
      'Runtime.OutOfMemory',
    ]);
    expect(await json(fn)).not.toBe(pid);
  },
);

test('an invocation longer than the time-out fails, and its process is replaced', async () => {
  const { fn } = functionOf(
    `export const handler = async (event) => event.hang ? new Promise((r) => setTimeout(r, 60000)) : process.pid;`,
    { timeoutMs: 1000 },
  );
  const pid = await json(fn);
  await expect(fn.invoke({ hang: true })).rejects.toMatchObject({
    type: 'Sandbox.Timedout',
    message: expect.stringContaining('Task timed out after 1.00 seconds'),
  });
  expect(await json(fn)).not.toBe(pid);
});

test('a time-out in mid-stream fails the stream', async () => {
  const { fn } = functionOf(TICKS, { timeoutMs: 1500 });
  const { body } = await fn.invokeStreaming({ count: 100 });
  await expect(buffer(body)).rejects.toMatchObject({ type: 'Sandbox.Timedout' });
});

test('a process that exits in the middle of an invocation fails it and is replaced', async () => {
  const { fn } = functionOf(
    `export const handler = async (event) => { if (event.crash) process.exit(3); return process.pid; };`,
  );
  const pid = await json(fn);
  await expect(fn.invoke({ crash: true })).rejects.toMatchObject({
    type: 'Runtime.ExitError',
    message: 'Runtime exited with error: exit status 3',
  });
  expect(await json(fn)).not.toBe(pid);
});

test.runIf(process.platform === 'linux')('a process that outgrows its memory is ended', async () => {
  const { fn } = functionOf(
    `export const handler = async () => { globalThis.kept = Buffer.alloc(300e6, 1); await new Promise((r) => setTimeout(r, 5000)); };`,
    { memoryMb: 256 },
  );
  await expect(fn.invoke({})).rejects.toMatchObject({ type: 'Runtime.OutOfMemory' });
});

test('an event over 6 MB is refused before a process sees it', async () => {
  const { fn } = functionOf(PID);
  await expect(fn.invoke({ text: 'x'.repeat(6 * 1024 * 1024) })).rejects.toBeInstanceOf(RequestTooLargeError);
  expect(fn.pids).toEqual([]);
});

test('an answer over 6 MB fails the invocation', async () => {
  const { fn } = functionOf(`export const handler = async () => 'x'.repeat(6 * 1024 * 1024);`);
  await expect(fn.invoke({})).rejects.toMatchObject({ type: 'Function.ResponseSizeTooLarge' });
});

test('invocations beyond the cap are throttled, and room that was freed is used again', async () => {
  const account = accountConcurrency(2);
  const { fn } = functionOf(
    `export const handler = async () => { await new Promise((r) => setTimeout(r, 300)); return 'done'; };`,
    { account },
  );
  const [first, second, third] = await Promise.allSettled([json(fn), json(fn), json(fn)]);
  expect([first?.status, second?.status]).toEqual(['fulfilled', 'fulfilled']);
  expect(third).toMatchObject({ status: 'rejected', reason: expect.any(ThrottledError) });
  await vi.waitFor(async () => expect(await json(fn)).toBe('done'));
});

test('the cap counts processes over all functions: one that takes many invocations is one, an unused one makes room', async () => {
  const account = accountConcurrency(2);
  const slow = `export const handler = async () => { await new Promise((r) => setTimeout(r, 300)); return process.pid; };`;
  const { fn: many } = functionOf(slow, { account, concurrency: 8 });
  const { fn: second } = functionOf(PID, { account });
  const { fn: third } = functionOf(PID, { account });
  const pids = Promise.all(Array.from({ length: 8 }, () => json(many)));
  await json(second);
  await vi.waitFor(async () => expect(await json(third)).toEqual(expect.any(Number)));
  expect(new Set(await pids).size).toBe(1);
  await vi.waitFor(() => expect([many, second, third].map((fn) => fn.pids.length)).toEqual([1, 0, 1]));
});

test('an idle process is ended, and the next invocation starts another', async () => {
  const { fn } = functionOf(PID, { idleMs: 100 });
  const pid = await json(fn);
  await vi.waitFor(() => expect(fn.pids).toEqual([]), { timeout: 3000 });
  expect(await json(fn)).not.toBe(pid);
});

test('closing ends every process, a busy one too', async () => {
  const { fn } = functionOf(`export const handler = () => new Promise(() => { setInterval(() => {}, 1000); });`);
  const hanging = fn.invoke({});
  hanging.catch(() => {});
  await vi.waitFor(() => expect(fn.pids).toHaveLength(1));
  await sleep(200);
  const [pid] = fn.pids;
  await fn.close();
  await expect(hanging).rejects.toBeInstanceOf(FunctionError);
  expect(() => process.kill(pid ?? 0, 0)).toThrow('ESRCH');
});

test('a multi-concurrent environment takes many invocations at once in one process', async () => {
  const { fn } = functionOf(
    `export const handler = async () => { await new Promise((r) => setTimeout(r, 300)); return process.pid; };`,
    { concurrency: 8, environment: { AWS_LAMBDA_NODEJS_WORKER_COUNT: '2' } },
  );
  const pids = await Promise.all(Array.from({ length: 8 }, () => json(fn)));
  expect(new Set(pids).size).toBe(1);
});

test('a time-out in a multi-concurrent environment fails that invocation alone', async () => {
  const { fn } = functionOf(
    `export const handler = async (event) => { await new Promise((r) => setTimeout(r, event.ms)); return process.pid; };`,
    { concurrency: 8, timeoutMs: 1500, environment: { AWS_LAMBDA_NODEJS_WORKER_COUNT: '1' } },
  );
  const pid = await json(fn, { ms: 0 });
  const [late, fine] = await Promise.allSettled([json(fn, { ms: 10_000 }), json(fn, { ms: 1000 })]);
  expect(late.status).toBe('rejected');
  expect(fine).toMatchObject({ status: 'fulfilled', value: pid });
  expect(await json(fn, { ms: 0 })).toBe(pid);
});

/**
 * aws-lambda-ric 4.0.2 gives each of its worker threads one socket for streamed answers: of several that one worker
 * streams at once, all but the first wait for its end. A handler that lifts that limit streams them all.
 */
const WITHOUT_SOCKET_LIMIT = `
  import http from 'node:http';
  const { addRequest } = http.Agent.prototype;
  http.Agent.prototype.addRequest = function (request, options, ...rest) {
    if (options.path?.startsWith('/2018-06-01/runtime/invocation/')) this.maxSockets = Infinity;
    return addRequest.call(this, request, options, ...rest);
  };`;

test.each([
  ['one after the other as the runtime client is', '', 1000, Number.POSITIVE_INFINITY],
  ['at once without its limit of sockets', WITHOUT_SOCKET_LIMIT, 0, 900],
])('a worker of a multi-concurrent environment streams its answers %s', async (_, prologue, atLeast, below) => {
  const { fn } = functionOf(prologue + TICKS, { concurrency: 4, environment: { AWS_LAMBDA_NODEJS_WORKER_COUNT: '1' } });
  await text((await fn.invokeStreaming({ count: 1, gap: 0 })).body);
  const start = Date.now();
  const firsts = await Promise.all(
    [1, 2, 3, 4].map(async () => {
      const { body } = await fn.invokeStreaming({ count: 5, gap: 200 });
      await body.take(1).toArray();
      return Date.now() - start;
    }),
  );
  expect(fn.pids).toHaveLength(1);
  // The last first chunk: after the other answers' ends, each a second long, or with theirs.
  expect(Math.max(...firsts)).toBeGreaterThanOrEqual(atLeast);
  expect(Math.max(...firsts)).toBeLessThan(below);
});
