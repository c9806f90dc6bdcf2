import type { Change } from './change.ts';
import type { Job } from './job.ts';

/** The table of jobs. Each call is one write to one item, or one consistent read. */
export interface JobTable {
  get(id: string): Promise<Job | undefined>;
  /** @returns whether it is a new one: false when there is one of this id that isn't past its TTL */
  create(job: Job, now: number): Promise<boolean>;
  /** @returns the job as it is now; `undefined` when the condition didn't hold, or there is no such job */
  change(id: string, change: Change): Promise<Job | undefined>;
}

/** One whose jobs can be read many at a time, too: the lines of a batch. */
export interface LineTable extends JobTable {
  /** Those that are there, by their ids. */
  getAll(ids: readonly string[]): Promise<ReadonlyMap<string, Job>>;
}

/** Queues deliver at least once, in any order, and no message is lost that wasn't acknowledged. */
export interface JobQueues {
  /** @param delayMs as far as a queue can; who gets the message too early sends it again */
  run(job: Pick<Job, 'id' | 'consumer' | 'batch'>, delayMs: number): Promise<void>;
  notify(job: Pick<Job, 'id' | 'consumer'>, delayMs: number): Promise<void>;
}

/** Texts that are too long for an item. A key is written once and never changed. */
export interface Blobs {
  put(key: string, text: string): Promise<void>;
  /** @throws Error when there is none */
  get(key: string): Promise<string>;
}
