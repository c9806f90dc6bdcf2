import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AttributeValue,
  BatchGetItemCommand,
  ConditionalCheckFailedException,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import type { Change, Item } from '../change.ts';
import { asJob, itemOf, type Job } from '../job.ts';
import type { LineTable } from '../ports.ts';
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

export interface ListOptions {
  readonly limit: number;
  /** The list key of the last one of the page before. */
  readonly after: string | undefined;
  readonly now: number;
  /** Of what the index has. */
  readonly where?: (item: Item) => boolean;
}

/** Keys of one call: DynamoDB takes a hundred and gives 16 MB back, and an item may have 400 KB. */
const MAX_KEYS = 40;
const PAUSE_MS = 50;

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

  /** Those that are there, in any order. */
  async getAll(keys: readonly Key[]): Promise<Item[]> {
    const calls: Promise<Item[]>[] = [];
    for (let first = 0; first < keys.length; first += MAX_KEYS) {
      calls.push(this.#getSome(keys.slice(first, first + MAX_KEYS)));
    }
    return (await Promise.all(calls)).flat();
  }

  async #getSome(keys: readonly Key[]): Promise<Item[]> {
    const found: Item[] = [];
    let wanted: Array<Record<string, AttributeValue>> = keys.map(marshalled);
    for (let attempt = 0; ; attempt++) {
      const { Responses, UnprocessedKeys } = await this.client.send(
        new BatchGetItemCommand({ RequestItems: { [this.name]: { Keys: wanted, ConsistentRead: true } } }),
      );
      found.push(...(Responses?.[this.name] ?? []).map(unmarshalled));
      // What was too much at once, or too fast.
      wanted = UnprocessedKeys?.[this.name]?.Keys ?? [];
      if (wanted.length === 0) return found;
      await sleep(PAUSE_MS * 2 ** Math.min(attempt, 6) * (0.5 + Math.random() / 2));
    }
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

  /** Newest first, without those that are past their TTL and not deleted yet. */
  async list(
    list: string,
    { limit, after, now, where }: ListOptions,
  ): Promise<{ readonly items: readonly Item[]; readonly hasMore: boolean }> {
    const items: Item[] = [];
    let last = after;
    for (;;) {
      // One more than is wanted tells whether there are more.
      const wanted = limit + 1 - items.length;
      const { Items = [], LastEvaluatedKey } = await this.client.send(
        new QueryCommand({
          TableName: this.name,
          IndexName: 'list',
          KeyConditionExpression: last === undefined ? '#list = :list' : '#list = :list AND listKey < :after',
          ExpressionAttributeNames: { '#list': 'list' },
          ExpressionAttributeValues: { ':list': { S: list }, ...(last === undefined ? {} : { ':after': { S: last } }) },
          ScanIndexForward: false,
          Limit: wanted,
        }),
      );
      const found = Items.map(unmarshalled);
      items.push(...found.filter((item) => Number(item.ttl) * 1000 > now && (where?.(item) ?? true)));
      last = String(found.at(-1)?.listKey);
      if (LastEvaluatedKey === undefined || items.length > limit) {
        return { items: items.slice(0, limit), hasMore: items.length > limit };
      }
    }
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

export class DynamoJobs implements LineTable {
  readonly items: ItemTable;

  constructor(items: ItemTable) {
    this.items = items;
  }

  async get(id: string): Promise<Job | undefined> {
    const item = await this.items.get(keyOf(id));
    return item === undefined ? undefined : asJob(item);
  }

  /** Those that are there, by their ids. */
  async getAll(ids: readonly string[]): Promise<ReadonlyMap<string, Job>> {
    const found = await this.items.getAll(ids.map(keyOf));
    return new Map(found.map((item) => [String(item.id), asJob(item)]));
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
