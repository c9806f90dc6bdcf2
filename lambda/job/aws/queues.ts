import { SendMessageBatchCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { Job } from '../job.ts';
import type { JobQueues } from '../ports.ts';

/** Seconds; what waits longer is sent again when the message comes. SQS's limit of DelaySeconds. */
const MAX_DELAY = 900;

/** SQS's limit of a call. */
const MAX_ENTRIES = 10;

/** What stands in a message: names of items, never content. */
export type Message = { readonly job: string } | { readonly notice: string } | { readonly batch: string };

/** @throws Error for what is none */
export function messageOf(body: string): Message {
  const message = JSON.parse(body) as Partial<Record<'job' | 'notice' | 'batch', unknown>>;
  if (typeof message.job === 'string') return { job: message.job };
  if (typeof message.notice === 'string') return { notice: message.notice };
  if (typeof message.batch === 'string') return { batch: message.batch };
  throw new Error('the message names nothing');
}

export interface QueueUrls {
  readonly jobs: string;
  readonly notices: string;
}

/**
 * Standard queues. `MessageGroupId` makes them fair: while one consumer has thousands of messages waiting, the others'
 * come through; and each batch is a group by itself, so that it doesn't hold up its own consumer's jobs either.
 */
export class SqsQueues implements JobQueues {
  readonly #client: SQSClient;
  readonly #urls: QueueUrls;

  constructor(urls: QueueUrls, client: SQSClient = new SQSClient({ customUserAgent: 'cdk-llm-serving' })) {
    this.#urls = urls;
    this.#client = client;
  }

  run(job: Pick<Job, 'id' | 'consumer' | 'batch'>, delayMs: number): Promise<void> {
    return this.#send(this.#urls.jobs, { job: job.id }, job.batch ?? job.consumer, delayMs);
  }

  /** Jobs of one batch, to be run at once. @throws Error when some of them were not taken */
  async runAll(jobs: ReadonlyArray<Pick<Job, 'id' | 'consumer' | 'batch'>>): Promise<void> {
    const calls: Promise<void>[] = [];
    for (let first = 0; first < jobs.length; first += MAX_ENTRIES) {
      calls.push(this.#sendSome(jobs.slice(first, first + MAX_ENTRIES)));
    }
    await Promise.all(calls);
  }

  async #sendSome(jobs: ReadonlyArray<Pick<Job, 'id' | 'consumer' | 'batch'>>): Promise<void> {
    const { Failed = [] } = await this.#client.send(
      new SendMessageBatchCommand({
        QueueUrl: this.#urls.jobs,
        Entries: jobs.map(({ id, consumer, batch }, index) => ({
          Id: String(index),
          MessageBody: JSON.stringify({ job: id } satisfies Message),
          MessageGroupId: batch ?? consumer,
        })),
      }),
    );
    const [failure] = Failed;
    if (failure !== undefined) throw new Error(`${Failed.length} messages were not taken: ${failure.Code}`);
  }

  batch(id: string, delayMs: number): Promise<void> {
    return this.#send(this.#urls.jobs, { batch: id }, id, delayMs);
  }

  notify(job: Pick<Job, 'id' | 'consumer'>, delayMs: number): Promise<void> {
    return this.#send(this.#urls.notices, { notice: job.id }, job.consumer, delayMs);
  }

  async #send(url: string, message: Message, group: string, delayMs: number): Promise<void> {
    await this.#client.send(
      new SendMessageCommand({
        QueueUrl: url,
        MessageBody: JSON.stringify(message),
        MessageGroupId: group,
        DelaySeconds: Math.min(MAX_DELAY, Math.ceil(Math.max(0, delayMs) / 1000)),
      }),
    );
  }
}
