import type { SqsQueues } from '../aws/queues.ts';
import type { ItemTable } from '../aws/table.ts';
import type { Blobs, LineTable } from '../ports.ts';
import { asBatch, type Batch, batchKey } from './batch.ts';
import type { Objects } from './files.ts';

export interface BatchDeps {
  readonly items: ItemTable;
  readonly jobs: LineTable;
  readonly queues: SqsQueues;
  readonly blobs: Blobs & Objects;
  readonly now: () => number;
}

/** A worker's time, and what it may take into its memory. */
export interface BatchRun extends BatchDeps {
  readonly remainingMs: () => number;
  readonly maxLineLength: number;
  /** Of a step that makes or ends jobs; a divisor of a counter's lines. @default SHARD_LINES */
  readonly jobsAtOnce?: number;
  /** Of a part of the files. @default 200: with results of half a megabyte each they are a hundred in memory */
  readonly resultsAtOnce?: number;
}

/** Kept back of the function's time: longer than a step of any work takes. */
const RESERVE_MS = 120_000;

/** Whether the rest of a work is left to another worker, who is told of it. */
export async function isHandedOn(batch: Batch, { remainingMs, queues }: BatchRun): Promise<boolean> {
  if (remainingMs() > RESERVE_MS) return false;
  await queues.batch(batch.id, 0);
  return true;
}

export async function getBatch(id: string, { items }: Pick<BatchDeps, 'items'>): Promise<Batch | undefined> {
  const item = await items.get(batchKey(id));
  return item === undefined ? undefined : asBatch(item);
}
