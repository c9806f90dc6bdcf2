import { App, Stack as CdkStack, Duration } from 'aws-cdk-lib';
import { Function as CdkFunction, Code, type FunctionProps, Runtime } from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource, type SqsEventSourceProps } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { afterEach, expect, test, vi } from 'vitest';
import { readAssembly } from '../../../local/cloudformation/assembly.ts';
import { evaluateStacks } from '../../../local/cloudformation/stack.ts';
import { EventSources } from '../../../local/lambda/event-sources.ts';
import { Functions } from '../../../local/lambda/functions.ts';
import { startMessaging } from '../../../local/messaging/index.ts';
import { temporaryFolder } from '../support/assembly.ts';
import { codeFolder } from './handlers.ts';

const patience = { timeout: 30_000, interval: 20 };

const closers: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A line `JSON` of the log for each message that the handler got. Its body says what becomes of it. */
const HANDLER = `
  const told = (line) => process.stdout.write(JSON.stringify(line) + '\\n');
  export const handler = async (event) => {
    const failed = [];
    for (const record of event.Records) {
      const { attributes, ...rest } = record;
      const message = JSON.parse(record.body);
      const start = Date.now();
      if (message.ms) await new Promise((resolve) => setTimeout(resolve, message.ms));
      told({ ...rest, name: message.name, received: Number(attributes.ApproximateReceiveCount),
        batch: event.Records.length, start, end: Date.now() });
      if (message.throws) throw new Error('as it was told');
      if (message.fails) failed.push({ itemIdentifier: message.id ?? record.messageId });
    }
    return { batchItemFailures: failed };
  };`;

interface Handled {
  readonly name: string;
  readonly received: number;
  readonly batch: number;
  readonly start: number;
  readonly end: number;
}

interface Message {
  readonly name: string;
  readonly ms?: number;
  readonly fails?: boolean;
  /** Instead of the message's own. */
  readonly id?: string;
  readonly throws?: boolean;
}

/** A queue of two chances and four seconds' visibility, before a function. The messages are there when it begins. */
async function start(
  messages: readonly Message[],
  options: {
    readonly source?: SqsEventSourceProps;
    readonly fn?: Partial<FunctionProps>;
    readonly visibility?: Duration;
  } = {},
) {
  const app = new App({ outdir: temporaryFolder() });
  const stack = new CdkStack(app, 'Stack');
  const deadLetters = new Queue(stack, 'Dead', { queueName: 'dead' });
  const visibilityTimeout = options.visibility ?? Duration.seconds(4);
  const queue = new Queue(stack, 'Queue', {
    queueName: 'work',
    visibilityTimeout,
    deadLetterQueue: { queue: deadLetters, maxReceiveCount: 2 },
  });
  const fn = new CdkFunction(stack, 'Fn', {
    runtime: Runtime.NODEJS_24_X,
    handler: 'index.handler',
    code: Code.fromAsset(codeFolder(HANDLER)),
    timeout: visibilityTimeout,
    ...options.fn,
  });
  fn.addEventSource(new SqsEventSource(queue, { reportBatchItemFailures: true, ...options.source }));
  const stacks = evaluateStacks(readAssembly(app.synth().directory).stacks);
  const messaging = await startMessaging(stacks);
  if (messaging === undefined) throw new Error('the stack has no queue');
  closers.push(() => messaging.close());
  const { sqs } = messaging;
  const handled: Handled[] = [];
  const functions = new Functions(stacks, {
    environment: {},
    log: (_, line) => {
      if (line.startsWith('{')) handled.push(JSON.parse(line) as Handled);
    },
  });
  closers.push(() => functions.close());
  if (messages.length > 0) {
    await sqs.call('SendMessageBatch', {
      QueueUrl: sqs.urlOf('work'),
      Entries: messages.map((message, index) => ({ Id: String(index), MessageBody: JSON.stringify(message) })),
    });
  }
  const said: string[] = [];
  const sources = new EventSources(stacks, sqs, functions, (line) => said.push(line));
  closers.push(() => sources.close());
  /** A function's lines may come later than its answer. */
  const drained = (calls: number, dead: number): Promise<void> =>
    vi.waitFor(async () => {
      expect(await sqs.depth('work')).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
      expect((await sqs.depth('dead')).visible).toBe(dead);
      expect(handled).toHaveLength(calls);
    }, patience);
  const times = (name: string): number => handled.filter((each) => each.name === name).length;
  return { sqs, sources, handled, said, drained, times };
}

test('a function gets a batch in the form of SQS, and what it handled is deleted', async () => {
  const { handled, drained } = await start([{ name: 'a' }, { name: 'b' }, { name: 'c' }]);
  await drained(3, 0);
  expect(handled.map(({ name }) => name).sort()).toEqual(['a', 'b', 'c']);
  expect(handled[0]).toMatchObject({
    messageId: expect.any(String),
    receiptHandle: expect.any(String),
    body: expect.stringContaining('"name"'),
    messageAttributes: {},
    md5OfBody: expect.stringMatching(/^[0-9a-f]{32}$/),
    eventSource: 'aws:sqs',
    eventSourceARN: expect.stringMatching(/^arn:aws:sqs:[^:]+:\d{12}:work$/),
    awsRegion: expect.any(String),
    received: 1,
    batch: 3,
  });
});

test('no batch is larger than was asked for', async () => {
  const { handled, drained } = await start(
    Array.from({ length: 7 }, (_, i) => ({ name: String(i) })),
    { source: { batchSize: 2 } },
  );
  await drained(7, 0);
  expect(Math.max(...handled.map(({ batch }) => batch))).toBe(2);
});

test('of a batch only what failed comes again, and is a dead letter after its last chance', async () => {
  const { handled, drained, times } = await start([{ name: 'good' }, { name: 'bad', fails: true }]);
  await drained(3, 1);
  expect(times('good')).toBe(1);
  expect(handled.filter(({ name }) => name === 'bad').map(({ received }) => received)).toEqual([1, 2]);
  const [first, second] = handled.filter(({ name }) => name === 'bad');
  // Not before its visibility has run out, which began when it was received: a cold start before the function saw it.
  expect((second?.start ?? 0) - (first?.start ?? 0)).toBeGreaterThan(2000);
});

test('a function that throws has handled nothing of its batch', async () => {
  const { drained, times, said } = await start([{ name: 'good' }, { name: 'bad', throws: true }]);
  await drained(4, 2);
  expect(times('good')).toBe(2);
  expect(said).toContainEqual(expect.stringMatching(/^work: as it was told; not handled: ([\da-f-]{36} ?){2}$/));
});

test('a function that names what failed by no id has handled nothing either', async () => {
  const { drained, times, said } = await start([{ name: 'good' }, { name: 'bad', fails: true, id: '' }]);
  await drained(4, 2);
  expect(times('good')).toBe(2);
  expect(said).toContainEqual(expect.stringContaining('no id'));
});

test('without partial failures what a function returns says nothing: all is deleted', async () => {
  const { drained, times } = await start([{ name: 'good' }, { name: 'bad', fails: true }], {
    source: { reportBatchItemFailures: false },
  });
  await drained(2, 0);
  expect(times('bad')).toBe(1);
});

test('as many run at once as the mapping says, and no more', async () => {
  const { handled, drained } = await start(
    Array.from({ length: 9 }, (_, i) => ({ name: String(i), ms: 500 })),
    { source: { batchSize: 1, maxConcurrency: 3 }, visibility: Duration.seconds(60) },
  );
  await drained(9, 0);
  const running = handled.map(({ start: at }) => handled.filter((other) => other.start <= at && at < other.end).length);
  expect(Math.max(...running)).toBe(3);
});

test('those that the function has no room for wait, and none is lost', async () => {
  const { handled, drained } = await start(
    Array.from({ length: 6 }, (_, i) => ({ name: String(i), ms: 50 })),
    {
      source: { batchSize: 1, maxConcurrency: 4 },
      fn: { reservedConcurrentExecutions: 1 },
      visibility: Duration.seconds(60),
    },
  );
  await drained(6, 0);
  expect(handled.map(({ name, received }) => `${name} ${received}`).sort()).toEqual(
    ['0', '1', '2', '3', '4', '5'].map((name) => `${name} 1`),
  );
});

test('nobody else gets a message while its function runs', async () => {
  const { sqs, drained } = await start([{ name: 'a', ms: 500 }], {
    source: { maxConcurrency: 2 },
    visibility: Duration.seconds(60),
  });
  await vi.waitFor(async () => expect((await sqs.depth('work')).inFlight).toBe(1), patience);
  expect(await sqs.receive('work', 10, 0, AbortSignal.timeout(10_000))).toEqual([]);
  await drained(1, 0);
});

test('a function that runs into its time-out has handled nothing', async () => {
  const { drained, said } = await start([{ name: 'long', ms: 60_000 }]);
  await drained(0, 1);
  await vi.waitFor(() => expect(said.filter((line) => line.includes('timed out'))).toHaveLength(2), patience);
});

test('a mapping that is disabled is let be, and closing waits for no poll', async () => {
  const { sqs, sources, handled } = await start([{ name: 'a' }], { source: { enabled: false } });
  await sources.close();
  expect((await sqs.depth('work')).visible).toBe(1);
  expect(handled).toEqual([]);
  const other = await start([]);
  const before = performance.now();
  await other.sources.close();
  // A poll that finds nothing takes 20 seconds.
  expect(performance.now() - before).toBeLessThan(10_000);
});

test('closing waits for no function', async () => {
  const { sqs, sources, handled } = await start([{ name: 'long', ms: 30_000 }], {
    source: { batchSize: 1, maxConcurrency: 2 },
    visibility: Duration.seconds(60),
  });
  await vi.waitFor(async () => expect((await sqs.depth('work')).inFlight).toBe(1), patience);
  const before = performance.now();
  await sources.close();
  expect(performance.now() - before).toBeLessThan(10_000);
  expect(handled).toEqual([]);
});
