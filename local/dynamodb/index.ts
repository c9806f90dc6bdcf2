import { once } from 'node:events';
import { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Stack } from '../cloudformation/stack.ts';
import { type TableDefinition, tablesOf } from './tables.ts';

export interface DynamoDb {
  /** For `AWS_ENDPOINT_URL_DYNAMODB`. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * DynamoDB with the templates' tables, in memory: dynalite, which speaks DynamoDB's protocol and checks conditions as
 * DynamoDB does. It has no transactions, no streams, and doesn't delete what its TTL says has expired.
 *
 * @returns `undefined` when the templates have no table
 */
export async function startDynamoDb(stacks: readonly Stack[]): Promise<DynamoDb | undefined> {
  const tables = tablesOf(stacks);
  if (tables.length === 0) return undefined;
  // Its packages are read only when there is a table.
  const { default: dynalite } = await import('dynalite');
  const server = dynalite({ createTableMs: 0 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    for (const table of tables) await createTable(url, table);
  } catch (error) {
    await close(server);
    throw error;
  }
  return { url, close: () => close(server) };
}

/** @throws Error with the table's name and what is wrong with it */
async function createTable(url: string, table: TableDefinition): Promise<void> {
  const created = await call(url, 'CreateTable', table);
  if (!created.ok) throw new Error(`table ${table.TableName}: ${await created.text()}`);
  // It is ACTIVE a moment later.
  for (;;) {
    const described = await call(url, 'DescribeTable', { TableName: table.TableName });
    const { Table } = (await described.json()) as { readonly Table?: { readonly TableStatus: string } };
    if (Table?.TableStatus === 'ACTIVE') return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** dynalite wants to see a signature, and doesn't check it. */
function call(url: string, operation: string, input: object): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `DynamoDB_20120810.${operation}`,
      'x-amz-date': '20260101T000000Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=local/20260101/local/dynamodb/aws4_request, SignedHeaders=a, Signature=a',
    },
    body: JSON.stringify(input),
  });
}

/** HTTP alone: dynalite closes its database, too, and what that still works off would then end this process. */
async function close(server: Server): Promise<void> {
  const closed = new Promise((resolve) => Server.prototype.close.call(server, resolve));
  server.closeAllConnections();
  await closed;
}
