/**
 * A batch of 50,000 lines through the worker's own code, before dynalite and fauxqs in a process of their own: what its
 * works (the file looked through, a job made for each line, the files of results written) take of a worker's time,
 * memory and calls. Models are left out: what they answer is put into the table. Times of the stand-ins say little of
 * AWS's; processor time, memory and numbers of calls are the worker's own.
 *
 *   node bench/batch.ts [--lines 50000] [--result-bytes 2000]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BatchWriteItemCommand, CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import dynalite from 'dynalite';
import { buildApp } from 'fauxqs';
import { S3Blobs } from '../lambda/job/aws/blobs.ts';
import { marshalled } from '../lambda/job/aws/expression.ts';
import { SqsQueues } from '../lambda/job/aws/queues.ts';
import { DynamoJobs, ItemTable } from '../lambda/job/aws/table.ts';
import { type Batch, batchKey, finalize } from '../lambda/job/batch/batch.ts';
import { lineId } from '../lambda/job/batch/line-job.ts';
import { runBatch } from '../lambda/job/batch/run-batch.ts';
import { getBatch } from '../lambda/job/batch/work.ts';
import type { Item } from '../lambda/job/change.ts';

const { values } = parseArgs({
  options: {
    lines: { type: 'string', default: '50000' },
    'result-bytes': { type: 'string', default: '2000' },
    table: { type: 'string' },
    messaging: { type: 'string' },
  },
});
const LINES = Number(values.lines);
const RESULT_BYTES = Number(values['result-bytes']);
/** Of a worker, as `JobQueue` makes it: Node.js has nine tenths of it for its heap. */
const MEMORY_MIB = 1024;
const ID = `batch_${'0'.repeat(32)}`;
const PART_LINES = 2_000;

await (values.table === undefined ? stores() : work(values.table, values.messaging ?? ''));

async function stores(): Promise<void> {
  const table = dynalite({ createTableMs: 0 });
  table.listen(0, '127.0.0.1');
  await once(table, 'listening');
  const messaging = buildApp({ logger: false });
  await messaging.listen({ port: 0, host: '127.0.0.1' });
  const worker = fork(
    fileURLToPath(import.meta.url),
    [
      ...['--lines', values.lines, '--result-bytes', values['result-bytes']],
      ...['--table', `http://127.0.0.1:${(table.address() as AddressInfo).port}`],
      ...['--messaging', `http://127.0.0.1:${(messaging.server.address() as AddressInfo).port}`],
    ],
    { execArgv: [`--max-old-space-size=${Math.floor(MEMORY_MIB * 0.9)}`] },
  );
  const [code] = (await once(worker, 'exit')) as [number];
  table.closeAllConnections();
  table.close();
  messaging.server.closeAllConnections();
  await messaging.close();
  process.exitCode = code;
}

async function work(table: string, messaging: string): Promise<void> {
  const account = { region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' }, maxAttempts: 10 };
  const calls: Record<string, number> = {};
  const dynamoDb = new DynamoDBClient({ ...account, endpoint: table });
  const s3 = new S3Client({ ...account, endpoint: messaging, forcePathStyle: true });
  const sqs = new SQSClient({ ...account, endpoint: messaging });
  for (const client of [dynamoDb, s3, sqs] as DynamoDBClient[]) {
    client.middlewareStack.add(
      (next, { commandName = '' }) =>
        (args) => {
          calls[commandName] = (calls[commandName] ?? 0) + 1;
          return next(args);
        },
      { step: 'initialize' },
    );
  }
  await dynamoDb.send(
    new CreateTableCommand({
      TableName: 'jobs',
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: ['pk', 'sk'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  );
  await s3.send(new CreateBucketCommand({ Bucket: 'jobs' }));
  await sqs.send(new CreateQueueCommand({ QueueName: 'jobs' }));
  const items = new ItemTable('jobs', dynamoDb);
  const blobs = new S3Blobs('jobs', s3);
  const queue = `${messaging}/000000000000/jobs`;
  const queues = new SqsQueues({ jobs: queue, notices: queue }, sqs);
  const run = {
    ...{ items, jobs: new DynamoJobs(items), queues, blobs, now: Date.now },
    ...{ remainingMs: () => Number.POSITIVE_INFINITY, maxLineLength: 6_000_000 },
  };

  const parts: string[] = [];
  let bytes = 0;
  for (let first = 0; first < LINES; first += PART_LINES) {
    const text = Array.from({ length: Math.min(PART_LINES, LINES - first) }, (_, i) => `${line(first + i)}\n`).join('');
    bytes += text.length;
    parts.push(String(first));
    await blobs.put(`files/input/${first}`, text);
  }
  const now = Date.now();
  const batch: Batch = {
    ...{ id: ID, consumer: 'alice', tier: 'standard', status: 'validating', endpoint: '/v1/chat/completions' },
    ...{ inputFileId: 'file-input', inputKey: 'files/input', inputParts: JSON.stringify(parts) },
    ...{ createdAt: now, expiresAt: now + 86_400_000, ttl: Math.ceil(now / 1000) + 100_000, retentionMs: 86_400_000 },
  };
  await items.create(batchKey(ID), batch as unknown as Item, now);
  tell('input', { lines: LINES, bytes });

  await measured('looked through, and a job made for each line', calls, () => runBatch(ID, run));
  await answerAll(dynamoDb);
  await items.change(batchKey(ID), finalize(Date.now()));
  await measured('files written', calls, () => runBatch(ID, run));
  const { status, outputBytes } = (await getBatch(ID, run)) as Batch;
  tell('output', { status, bytes: outputBytes });
  for (const client of [dynamoDb, s3, sqs]) client.destroy();
}

function line(index: number): string {
  const messages = [{ role: 'user', content: `Number ${index}: ${'word '.repeat(60)}` }];
  const body = { model: 'chat', messages, max_completion_tokens: 400 };
  return JSON.stringify({ custom_id: `request-${index}`, method: 'POST', url: '/v1/chat/completions', body });
}

/** As if each line's job had been run. */
async function answerAll(client: DynamoDBClient): Promise<void> {
  const result = JSON.stringify({ choices: [{ message: { content: 'x'.repeat(RESULT_BYTES) } }] });
  for (let first = 0; first < LINES; first += 25) {
    const Items = Array.from({ length: Math.min(25, LINES - first) }, (_, i) => {
      const id = lineId(ID, first + i);
      const job = { pk: `job#${id}`, sk: 'job', id, status: 'succeeded', customId: `request-${first + i}`, result };
      return { PutRequest: { Item: marshalled(job) } };
    });
    await client.send(new BatchWriteItemCommand({ RequestItems: { jobs: Items } }));
  }
}

async function measured(what: string, calls: Record<string, number>, step: () => Promise<void>): Promise<void> {
  for (const name of Object.keys(calls)) delete calls[name];
  let residentMiB = 0;
  const sampler = setInterval(() => {
    residentMiB = Math.max(residentMiB, process.memoryUsage().rss / 1_048_576);
  }, 100);
  const cpu = process.cpuUsage();
  const start = performance.now();
  try {
    await step();
  } finally {
    clearInterval(sampler);
  }
  const { user, system } = process.cpuUsage(cpu);
  tell(what, {
    seconds: Math.round((performance.now() - start) / 100) / 10,
    processorSeconds: Math.round((user + system) / 1e5) / 10,
    residentMiB: Math.round(residentMiB),
    calls: { ...calls },
  });
}

function tell(what: string, figures: object): void {
  process.stdout.write(`${what}: ${JSON.stringify(figures)}\n`);
}
