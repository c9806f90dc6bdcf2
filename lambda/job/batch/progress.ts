import { type AttributeValue, QueryCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { marshalled } from '../aws/expression.ts';
import type { ItemTable } from '../aws/table.ts';
import type { Job } from '../job.ts';

/** Lines that share a counter: it is read whole with each progress, and written with each line's end. */
export const SHARD_LINES = 500;

const shardKey = (batch: string, shard: number) => ({
  pk: `batch#${batch}`,
  sk: `shard#${String(shard).padStart(4, '0')}`,
});

export interface Progress {
  readonly done: number;
  readonly failed: number;
}

/** What a counter has to know of its batch. */
export interface Counted {
  readonly id: string;
  readonly total: number;
  readonly ttl: number;
}

/**
 * How many lines of a batch have ended. Counted as sets of line numbers, in which a line is once however often it is
 * put in: exact, although its message may come twice.
 */
export class BatchProgress {
  readonly #items: ItemTable;

  constructor(items: ItemTable) {
    this.#items = items;
  }

  /** @returns whether all lines beside it have ended as well, so that it is worth looking at the whole */
  async ended(job: Pick<Job, 'batch' | 'line' | 'status' | 'ttl'>, total: number): Promise<boolean> {
    const { batch: id = '', line = 0, ttl } = job;
    return this.#count({ id, total, ttl }, [line], job.status !== 'succeeded');
  }

  /** Some lines of one counter that ended without a result, in one write. */
  async unanswered(batch: Counted, lines: readonly number[]): Promise<void> {
    if (lines.length > 0) await this.#count(batch, lines, true);
  }

  async #count({ id, total, ttl }: Counted, lineNumbers: readonly number[], failed: boolean): Promise<boolean> {
    const shard = Math.floor((lineNumbers[0] ?? 0) / SHARD_LINES);
    const numbers: AttributeValue = { NS: lineNumbers.map(String) };
    const { Attributes = {} } = await this.#items.client.send(
      new UpdateItemCommand({
        TableName: this.#items.name,
        Key: marshalled(shardKey(id, shard)),
        UpdateExpression: `SET #ttl = :ttl ADD #done :lines${failed ? ', #failed :lines' : ''}`,
        ExpressionAttributeNames: { '#ttl': 'ttl', '#done': 'done', ...(failed ? { '#failed': 'failed' } : {}) },
        ExpressionAttributeValues: { ':ttl': { N: String(ttl) }, ':lines': numbers },
        ReturnValues: 'ALL_NEW',
      }),
    );
    const lines = Math.min(SHARD_LINES, total - shard * SHARD_LINES);
    return (Attributes.done?.NS?.length ?? 0) >= lines;
  }

  async of(batch: string): Promise<Progress> {
    let done = 0;
    let failed = 0;
    let start: Record<string, AttributeValue> | undefined;
    do {
      const { Items = [], LastEvaluatedKey } = await this.#items.client.send(
        new QueryCommand({
          TableName: this.#items.name,
          KeyConditionExpression: 'pk = :pk AND begins_with(sk, :shard)',
          ExpressionAttributeValues: { ':pk': { S: `batch#${batch}` }, ':shard': { S: 'shard#' } },
          ConsistentRead: true,
          ...(start === undefined ? {} : { ExclusiveStartKey: start }),
        }),
      );
      for (const item of Items) {
        done += item.done?.NS?.length ?? 0;
        failed += item.failed?.NS?.length ?? 0;
      }
      start = LastEvaluatedKey;
    } while (start !== undefined);
    return { done, failed };
  }
}
