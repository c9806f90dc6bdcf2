import {
  ConditionalCheckFailedException,
  DescribeTableCommand,
  DynamoDBClient,
  QueryCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { App, Stack } from 'aws-cdk-lib';
import { AttributeType, Table, TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import { CfnFunction } from 'aws-cdk-lib/aws-lambda';
import { afterAll, expect, test } from 'vitest';
import { UsageLedger } from '../../../lib';
import { readAssembly } from '../../../local/cloudformation/assembly.ts';
import { gapsOf } from '../../../local/cloudformation/gaps.ts';
import { evaluateStacks } from '../../../local/cloudformation/stack.ts';
import { startDynamoDb } from '../../../local/dynamodb/index.ts';
import { type TableDefinition, tablesOf } from '../../../local/dynamodb/tables.ts';

const stack = new Stack(new App(), 'Tables');
const string = (name: string) => ({ name, type: AttributeType.STRING });
const ledger = new TableV2(stack, 'Ledger', {
  ...{ partitionKey: string('pk'), sortKey: string('sk'), timeToLiveAttribute: 'expires' },
  globalSecondaryIndexes: [{ indexName: 'by-owner', partitionKey: string('owner'), sortKey: string('sk') }],
});
new Table(stack, 'Jobs', { tableName: 'jobs', partitionKey: string('id'), readCapacity: 1, writeCapacity: 1 });
const { directory } = (stack.node.root as App).synth();
const stacks = evaluateStacks(readAssembly(directory).stacks);
const name = stacks[0]?.ofType('AWS::DynamoDB::GlobalTable')[0]?.ref ?? '';
const dynamoDb = await startDynamoDb(stacks);
const client = new DynamoDBClient({
  ...{ endpoint: dynamoDb?.url ?? '', region: 'us-east-1' },
  credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
});
afterAll(async () => {
  client.destroy();
  await dynamoDb?.close();
});

test("has the template's tables, ready for use, with their keys and indexes", async () => {
  const described = await client.send(new DescribeTableCommand({ TableName: name }));
  expect(described.Table).toMatchObject({
    TableStatus: 'ACTIVE',
    KeySchema: [{ AttributeName: 'pk' }, { AttributeName: 'sk' }],
    GlobalSecondaryIndexes: [{ IndexName: 'by-owner', KeySchema: [{ AttributeName: 'owner' }, {}] }],
  });
  expect((await client.send(new DescribeTableCommand({ TableName: 'jobs' }))).Table?.TableStatus).toBe('ACTIVE');
  expect(ledger.tableName).not.toBe(name);
});

test('lets through of many conditional updates at once exactly those whose condition holds', async () => {
  const updates = Array.from({ length: 50 }, () =>
    client.send(
      new UpdateItemCommand({
        ...{ TableName: name, Key: { pk: { S: 'a' }, sk: { S: '1' } } },
        UpdateExpression: 'ADD spent :one SET #o = :o',
        ConditionExpression: 'attribute_not_exists(spent) OR spent < :most',
        ExpressionAttributeNames: { '#o': 'owner' },
        ExpressionAttributeValues: { ':one': { N: '1' }, ':most': { N: '20' }, ':o': { S: 'me' } },
      }),
    ),
  );
  const results = await Promise.allSettled(updates);
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(20);
  const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  expect(refused.every((error) => error instanceof ConditionalCheckFailedException)).toBe(true);
  const { Items } = await client.send(
    new QueryCommand({
      ...{ TableName: name, IndexName: 'by-owner', KeyConditionExpression: '#o = :o' },
      ...{ ExpressionAttributeNames: { '#o': 'owner' }, ExpressionAttributeValues: { ':o': { S: 'me' } } },
    }),
  );
  expect(Items).toMatchObject([{ spent: { N: '20' } }]);
});

test('says what a table does not do here', () => {
  expect(gapsOf(stacks)).toEqual([
    expect.objectContaining({ what: 'AWS::DynamoDB::GlobalTable TimeToLiveSpecification', count: 1 }),
  ]);
});

/** The order of attributes' definitions says nothing. */
const byName = ({ AttributeDefinitions, ...table }: TableDefinition) => ({
  ...table,
  attributes: [AttributeDefinitions]
    .flat()
    .map((definition) => JSON.stringify(definition))
    .sort(),
});

test("a ledger that another stack holds gets a table with the keys of this package's own", () => {
  const importing = new Stack(new App(), 'Importing');
  new CfnFunction(importing, 'Handler', {
    ...{ code: { zipFile: '-' }, runtime: 'nodejs24.x', handler: 'index.handler' },
    role: 'arn:aws:iam::111122223333:role/r',
    environment: { variables: { LLM_LEDGER_TABLE: 'llm-usage' } },
  });
  const owning = new Stack(new App(), 'Owning');
  new UsageLedger(owning, 'Ledger', { tableName: 'llm-usage' });
  const [imported, own] = [importing, owning].map((each) =>
    tablesOf(evaluateStacks(readAssembly((each.node.root as App).synth().directory).stacks)).map(byName),
  );
  expect(imported).toHaveLength(1);
  expect(imported).toEqual(own);
});

test('starts nothing where no table is', async () => {
  expect(await startDynamoDb([])).toBeUndefined();
});

test('can be closed while updates of one item wait for each other: nothing throws into the process', async () => {
  const other = await startDynamoDb(stacks);
  const hasty = new DynamoDBClient({
    ...{ endpoint: other?.url ?? '', region: 'us-east-1', maxAttempts: 1 },
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });
  const updates = Array.from({ length: 100 }, () =>
    hasty.send(
      new UpdateItemCommand({
        ...{ TableName: name, Key: { pk: { S: 'a' }, sk: { S: '1' } } },
        UpdateExpression: 'ADD spent :one',
        ExpressionAttributeValues: { ':one': { N: '1' } },
      }),
    ),
  );
  const settled = Promise.allSettled(updates);
  // The first has come through, so that the others are on their way.
  await Promise.race(updates);
  await other?.close();
  hasty.destroy();
  await settled;
  // What was under way in the database goes on for a moment; an exception there would fail this file.
  await new Promise((resolve) => setTimeout(resolve, 50));
});
