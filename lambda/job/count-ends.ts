import type { Change } from './change.ts';
import { isFinal, type Job, type JobStatus } from './job.ts';
import type { LineTable } from './ports.ts';

/** Metrics of the gateway, without a dimension. The names stand in `lib/private/serving-metrics.ts` too. */
export const METRIC_OF_END = {
  succeeded: 'JobsSucceeded',
  failed: 'JobsFailed',
  cancelled: 'JobsCancelled',
  expired: 'JobsExpired',
} as const satisfies Partial<Record<JobStatus, string>>;

export interface CountOptions {
  /** The CloudWatch namespace of the gateway's metrics. */
  readonly namespace: string;
  readonly log: (line: string) => unknown;
}

/**
 * A table whose jobs' ends are counted: a line in the log for each write that ended one, in CloudWatch's embedded metric
 * format. A job ends by exactly one write, so that it is counted once, whoever ends it. One whose write's answer was lost
 * isn't counted.
 */
export class CountedJobs implements LineTable {
  readonly #table: LineTable;
  readonly #options: CountOptions;

  constructor(table: LineTable, options: CountOptions) {
    this.#table = table;
    this.#options = options;
  }

  get(id: string): Promise<Job | undefined> {
    return this.#table.get(id);
  }

  getAll(ids: readonly string[]): Promise<ReadonlyMap<string, Job>> {
    return this.#table.getAll(ids);
  }

  create(job: Job, now: number): Promise<boolean> {
    return this.#table.create(job, now);
  }

  async change(id: string, change: Change): Promise<Job | undefined> {
    const job = await this.#table.change(id, change);
    if (job !== undefined && change.set?.endedAt !== undefined && isFinal(job)) this.#options.log(this.#line(job));
    return job;
  }

  #line(job: Job): string {
    const { namespace } = this.#options;
    const timestamp = job.endedAt ?? Date.now();
    const Name = METRIC_OF_END[job.status as keyof typeof METRIC_OF_END];
    return JSON.stringify({
      timestamp: new Date(timestamp).toISOString(),
      level: 'INFO',
      message: 'job ended',
      job: job.id,
      kind: job.kind,
      consumer: job.consumer,
      model: job.model,
      status: job.status,
      attempts: job.attempts,
      seconds: (timestamp - job.createdAt) / 1000,
      [Name]: 1,
      _aws: {
        Timestamp: timestamp,
        CloudWatchMetrics: [{ Namespace: namespace, Dimensions: [[]], Metrics: [{ Name, Unit: 'Count' }] }],
      },
    });
  }
}
