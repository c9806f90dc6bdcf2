import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { LedgerTable } from '../../lambda/usage/table.ts';
import { UsageError } from './command.ts';

/** Options of commands that read the ledger. */
export const TABLE_OPTIONS = {
  table: { type: 'string' },
  local: { type: 'boolean' },
  state: { type: 'string' },
} as const;

export const TABLE_HELP = `  --table NAME          the ledger's table: output UsageTable of the stack, or LLM_LEDGER_TABLE
  --local               the ledger of 'npm start' on this machine
  --state FOLDER        state folder of that run (default .local)`;

/** A person waits for it, not a request. */
const TIMEOUT_MS = 30_000;

/**
 * The ledger that the options name. Region and credentials are the AWS SDK's business, as everywhere.
 *
 * @throws UsageError when they name none
 */
export function openTable(options: { table?: string; local?: boolean; state?: string }): LedgerTable {
  const table = options.local ? useLocalRun(options.state ?? '.local', options.table) : options.table;
  const name = table ?? process.env.LLM_LEDGER_TABLE;
  if (name === undefined || name === '') throw new UsageError('no ledger: pass --table NAME, or --local');
  return new LedgerTable(name, TIMEOUT_MS);
}

/** Points the SDK to the local run. @returns the name of its ledger's table */
function useLocalRun(folder: string, given: string | undefined): string | undefined {
  const file = join(folder, 'endpoint.json');
  if (!existsSync(file)) throw new UsageError(`${file} is not there: is 'npm start' running?`);
  const endpoint = JSON.parse(readFileSync(file, 'utf8')) as { dynamoDbUrl?: string; ledgerTable?: string };
  if (endpoint.dynamoDbUrl === undefined) throw new UsageError(`the local run of ${file} has no DynamoDB table`);
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_DYNAMODB: endpoint.dynamoDbUrl,
    AWS_REGION: process.env.AWS_REGION ?? 'us-east-1',
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
  });
  return given ?? endpoint.ledgerTable;
}

/** Not among what the handlers can do with the table: none of their roles may. */
export async function deleteItem({ name }: LedgerTable, key: Record<string, AttributeValue>): Promise<void> {
  const { DeleteItemCommand, DynamoDBClient } = await import('@aws-sdk/client-dynamodb');
  await new DynamoDBClient().send(new DeleteItemCommand({ TableName: name, Key: key }));
}
