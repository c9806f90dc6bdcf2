import type { AddressInfo } from 'node:net';
import { CreateQueueCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { buildApp } from 'fauxqs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DeadLetters } from '../../../bin/llm/jobs/dead-letters.ts';

const app = buildApp({ logger: false });
let sqs: SQSClient;
let url: string;
const before = { ...process.env };

beforeAll(async () => {
  await app.listen({ port: 0, host: '127.0.0.1' });
  const endpoint = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  Object.assign(process.env, {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'a',
    AWS_SECRET_ACCESS_KEY: 'b',
    AWS_ENDPOINT_URL_SQS: endpoint,
  });
  sqs = new SQSClient({});
  await sqs.send(new CreateQueueCommand({ QueueName: 'dead' }));
  const redrive = { deadLetterTargetArn: 'arn:aws:sqs:us-east-1:000000000000:dead', maxReceiveCount: 20 };
  await sqs.send(new CreateQueueCommand({ QueueName: 'jobs', Attributes: { RedrivePolicy: JSON.stringify(redrive) } }));
  url = `${endpoint}/000000000000`;
});
afterAll(async () => {
  process.env = before;
  sqs.destroy();
  app.server.closeAllConnections();
  await app.close();
});

test('takes up what is ours, past what is not', async () => {
  for (const MessageBody of ['no json', 'null', '[]', '{"job":7}', '{"job":"job_1"}', '{"batch":"batch_1"}']) {
    await sqs.send(new SendMessageCommand({ QueueUrl: `${url}/dead`, MessageBody }));
  }
  let unreadable = 0;
  const count = await new DeadLetters(`${url}/jobs`).redrive(undefined, () => void unreadable++);
  expect({ count, unreadable }).toEqual({ count: 2, unreadable: 4 });
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl: `${url}/jobs`, MaxNumberOfMessages: 10 }),
  );
  expect(Messages.map(({ Body }) => Body).sort()).toEqual(['{"batch":"batch_1"}', '{"job":"job_1"}']);
});
