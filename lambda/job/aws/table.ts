import {
  type AttributeValue,
  ConditionalCheckFailedException,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import type { Change, Item } from '../change.ts';
import { asJob, itemOf, type Job } from '../job.ts';
import type { JobTable } from '../ports.ts';
import { expressionsOf, type Key, marshalled, unmarshalled } from './expression.ts';

export const JOB = 'job';

const keyOf = (id: string): Key => ({ pk: `job#${id}`, sk: JOB });

/** Sorts as the numbers do: 15 digits reach far beyond any date. */
const sortable = (ms: number): string => String(ms).padStart(15, '0');

/** Lists hold what a consumer asked for by itself; the lines of a batch are its batch's. */
export const listAttributes = (owner: string, kind: string, createdAt: number, id: string): Item => ({
  list: `${kind}#${owner}`,
  listKey: `${sortable(createdAt)}#${id}`,
});

/** One table holds everything about jobs: two keys, one index of lists. */
export class ItemTable {
  readonly name: string;
  readonly client: DynamoDBClient;

  constructor(name: string, client: DynamoDBClient = new DynamoDBClient({ customUserAgent: 'cdk-llm-serving' })) {
    this.name = name;
    this.client = client;
  }

  async get(key: Key): Promise<Item | undefined> {
    const { Item } = await this.client.send(
      new GetItemCommand({ TableName: this.name, Key: marshalled(key), ConsistentRead: true }),
    );
    return Item === undefined ? undefined : unmarshalled(Item);
  }

  /** @returns whether it is new: an item that is past its TTL counts as gone, since it is deleted days later */
  async create(key: Key, item: Item, now: number): Promise<boolean> {
    return this.#unlessRefused(
      new PutItemCommand({
        TableName: this.name,
        Item: marshalled({ ...item, ...key }),
        ConditionExpression: 'attribute_not_exists(pk) OR #ttl < :now',
        ExpressionAttributeNames: { '#ttl': 'ttl' },
        ExpressionAttributeValues: { ':now': { N: String(Math.floor(now / 1000)) } },
      }),
    ).then((done) => done !== undefined);
  }

  /** @returns the item as it is now; `undefined` when the condition didn't hold */
  async change(key: Key, change: Change): Promise<Item | undefined> {
    const updated = await this.#unlessRefused(
      new UpdateItemCommand({
        TableName: this.name,
        Key: marshalled(key),
        ReturnValues: 'ALL_NEW',
        ...expressionsOf(change),
      }),
    );
    return updated === undefined
      ? undefined
      : unmarshalled((updated as { Attributes?: Record<string, AttributeValue> }).Attributes ?? {});
  }

  /** Newest first. `after` is the list key of the last one of the page before. */
  async list(list: string, limit: number, after: string | undefined): Promise<{ items: Item[]; hasMore: boolean }> {
    const { Items = [], LastEvaluatedKey } = await this.client.send(
      new QueryCommand({
        TableName: this.name,
        IndexName: 'list',
        KeyConditionExpression: after === undefined ? '#list = :list' : '#list = :list AND listKey < :after',
        ExpressionAttributeNames: { '#list': 'list' },
        ExpressionAttributeValues: {
          ':list': { S: list },
          ...(after === undefined ? {} : { ':after': { S: after } }),
        },
        ScanIndexForward: false,
        Limit: limit,
      }),
    );
    return { items: Items.map(unmarshalled), hasMore: LastEvaluatedKey !== undefined };
  }

  async #unlessRefused(command: PutItemCommand | UpdateItemCommand): Promise<object | undefined> {
    try {
      return await this.client.send(command as PutItemCommand);
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return undefined;
      throw error;
    }
  }
}

export class DynamoJobs implements JobTable {
  readonly items: ItemTable;

  constructor(items: ItemTable) {
    this.items = items;
  }

  async get(id: string): Promise<Job | undefined> {
    const item = await this.items.get(keyOf(id));
    return item === undefined ? undefined : asJob(item);
  }

  async create(job: Job, now: number): Promise<boolean> {
    const listed = job.kind === 'line' ? {} : listAttributes(job.consumer, job.kind, job.createdAt, job.id);
    return this.items.create(keyOf(job.id), { ...itemOf(job), ...listed }, now);
  }

  async change(id: string, change: Change): Promise<Job | undefined> {
    const item = await this.items.change(keyOf(id), change);
    return item === undefined ? undefined : asJob(item);
  }
}
