import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import dynalite from 'dynalite';
import { buildApp } from 'fauxqs';
import { S3Blobs } from '../../../../lambda/job/aws/blobs.ts';
import { SqsQueues } from '../../../../lambda/job/aws/queues.ts';
import { DynamoJobs, ItemTable } from '../../../../lambda/job/aws/table.ts';

const account = { region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };

/** The table of jobs, its index included, in dynalite. */
export async function startTable() {
  const server = dynalite({ createTableMs: 0 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new DynamoDBClient({
    ...account,
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  });
  const attribute = (name: string) => ({ AttributeName: name, AttributeType: 'S' as const });
  await client.send(
    new CreateTableCommand({
      TableName: 'jobs',
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: ['pk', 'sk', 'list', 'listKey'].map(attribute),
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
      GlobalSecondaryIndexes: [
        {
          IndexName: 'list',
          KeySchema: [
            { AttributeName: 'list', KeyType: 'HASH' },
            { AttributeName: 'listKey', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'ALL' },
        },
      ],
    }),
  );
  const items = new ItemTable('jobs', client);
  const close = async (): Promise<void> => {
    client.destroy();
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  return { client, items, jobs: new DynamoJobs(items), close };
}

/** A bucket and two queues, in fauxqs. */
export async function startMessaging() {
  const app = buildApp({ logger: false });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const endpoint = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const s3 = new S3Client({ ...account, endpoint, forcePathStyle: true });
  const sqs = new SQSClient({ ...account, endpoint });
  await s3.send(new CreateBucketCommand({ Bucket: 'jobs' }));
  for (const QueueName of ['jobs', 'notices']) await sqs.send(new CreateQueueCommand({ QueueName }));
  const urlOf = (name: string): string => `${endpoint}/000000000000/${name}`;
  return {
    s3,
    sqs,
    blobs: new S3Blobs('jobs', s3),
    queues: new SqsQueues({ jobs: urlOf('jobs'), notices: urlOf('notices') }, sqs),
    jobsUrl: urlOf('jobs'),
    close: async (): Promise<void> => {
      s3.destroy();
      sqs.destroy();
      app.server.closeAllConnections();
      await app.close();
    },
  };
}
