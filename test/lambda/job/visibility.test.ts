import { ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { handleEach, type SqsRecord } from '../../../lambda/job/aws/messages.ts';
import { Visibility } from '../../../lambda/job/aws/visibility.ts';
import { failedMs } from '../../../lambda/job/retry.ts';
import { startMessaging } from './support/stores.ts';

let messaging: Awaited<ReturnType<typeof startMessaging>>;
beforeAll(async () => {
  messaging = await startMessaging();
});
afterAll(() => messaging.close());

async function received(count: number): Promise<SqsRecord[]> {
  const { sqs, jobsUrl: QueueUrl } = messaging;
  for (let i = 0; i < count; i++) await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: String(i) }));
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: count, VisibilityTimeout: 900 }),
  );
  return Messages.map(({ MessageId = '', ReceiptHandle = '', Body = '' }) => ({
    messageId: MessageId,
    receiptHandle: ReceiptHandle,
    body: Body,
  }));
}

/** Seconds until each of them comes again. */
async function hiddenFor(records: readonly SqsRecord[]): Promise<number[]> {
  const response = await fetch(messaging.jobsUrl.replace('000000000000', '_fauxqs/queues'));
  const { messages } = (await response.json()) as {
    messages: { inflight: Array<{ receiptHandle: string; visibilityDeadline: number }> };
  };
  return records.map(({ receiptHandle }) => {
    const deadline = messages.inflight.find((each) => each.receiptHandle === receiptHandle)?.visibilityDeadline ?? 0;
    return (deadline - Date.now()) / 1000;
  });
}

const visibilityOf = (random: () => number): Visibility => new Visibility(messaging.jobsUrl, random, messaging.sqs);

test('messages of one worker that dies come again after two minutes at most, and not together', async () => {
  const records = await received(5);
  const randoms = [0.1, 0.9, 0.5, 0.3, 0.7];
  const visibility = visibilityOf(() => randoms.shift() ?? 0);
  for (const record of records) await visibility.keep(record);
  const seconds = (await hiddenFor(records)).sort((a, b) => a - b);
  expect(seconds[0]).toBeGreaterThan(60);
  expect(seconds.at(-1)).toBeLessThanOrEqual(120);
  for (const [index, later] of seconds.slice(1).entries()) expect(later - (seconds[index] ?? 0)).toBeGreaterThan(3);
});

test('a message that has come again meanwhile, to somebody else, is no failure: its job says whose it is', async () => {
  const [record] = await received(1);
  const stale = { ...record, receiptHandle: 'of-the-receive-before' } as SqsRecord;
  const visibility = visibilityOf(() => 0);
  const ran: string[] = [];
  const { batchItemFailures } = await handleEach(
    { Records: [stale] },
    async (each) => {
      await visibility.keep(each);
      ran.push(each.body);
    },
    () => {},
  );
  expect({ ran, batchItemFailures }).toEqual({ ran: ['0'], batchItemFailures: [] });
});

test('what failed for a reason of ours is put off before the worker answers, for longer each time', async () => {
  const [first, tenth] = await received(2);
  const records = [first, { ...tenth, attributes: { ApproximateReceiveCount: '10' } }] as SqsRecord[];
  const visibility = visibilityOf(() => 1);
  const { batchItemFailures } = await handleEach(
    { Records: records },
    () => Promise.reject(new Error('the table is out of reach')),
    (record) => visibility.putOff(record),
  );
  expect(batchItemFailures).toHaveLength(2);
  const [soon = 0, late = 0] = await hiddenFor(records);
  expect(soon).toBeGreaterThan(0);
  expect(soon).toBeLessThanOrEqual(30);
  expect(late).toBeGreaterThan(600);
  expect(late).toBeLessThanOrEqual(900);
});

test('an outage of an hour makes no dead letter', () => {
  // Of the twenty receives that a message has; at the worst of luck.
  const waits = Array.from({ length: 19 }, (_, index) => failedMs(index + 1, 0));
  expect(waits.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThan(3_600_000);
});
