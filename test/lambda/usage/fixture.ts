import { randomUUID } from 'node:crypto';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import dynalite from 'dynalite';
import { Ledger, type LedgerOptions } from '../../../lambda/usage/ledger.ts';
import type { Payer } from '../../../lambda/usage/limits.ts';
import { readUsage } from '../../../lambda/usage/read-usage.ts';
import type { UsageRecord } from '../../../lambda/usage/usage-record.ts';

export interface TestDynamoDb {
  readonly url: string;
  readonly client: DynamoDBClient;
  close(): Promise<void>;
}

/** DynamoDB on this machine, which the ledger's own client is told of. */
export async function startDynamoDb(): Promise<TestDynamoDb> {
  const server = dynalite({ createTableMs: 0 });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  Object.assign(process.env, {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_DYNAMODB: url,
  });
  const client = new DynamoDBClient({ endpoint: url });
  return {
    url,
    client,
    close: async () => {
      client.destroy();
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    },
  };
}

/** A table as the construct makes it. @returns its name */
export async function createLedgerTable(client: DynamoDBClient): Promise<string> {
  const TableName = `ledger-${randomUUID()}`;
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: ['pk', 'sk', 'm'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
      GlobalSecondaryIndexes: [
        {
          IndexName: 'by-month',
          KeySchema: [
            { AttributeName: 'm', KeyType: 'HASH' },
            { AttributeName: 'pk', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'KEYS_ONLY' },
        },
      ],
    }),
  );
  return TableName;
}

export const openTestLedger = (table: string, options: Partial<LedgerOptions> = {}): Ledger =>
  new Ledger({ table, reservationMs: 60_000, retentionDays: 400, timeoutMs: 30_000, ...options });

export const payer = (overrides: Partial<Payer> = {}): Payer => ({
  consumer: 'alice',
  thresholds: [0.5, 0.8, 1],
  ...overrides,
});

/** Usage of one backend. */
export const used = (costNano: number, tokens = 10) => ({
  ...{ model: 'chat', feature: 'search', user: 'u1', savedNano: 0 },
  bills: [{ backend: 'first', inputTokens: tokens, outputTokens: 0, cachedInputTokens: 0, costNano, estimated: false }],
});

export async function allUsage(ledger: Ledger, account: string, from: number, to: number): Promise<UsageRecord[]> {
  const records: UsageRecord[] = [];
  for await (const record of readUsage(ledger.table, account, { from, to })) records.push(record);
  return records;
}
