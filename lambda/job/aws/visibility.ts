import { ChangeMessageVisibilityCommand, SQSClient } from '@aws-sdk/client-sqs';
import { failedMs } from '../retry.ts';
import type { SqsRecord } from './messages.ts';

/** Seconds after which the message of a worker that died comes again, at most: some renewals of the lease. */
const VISIBILITY = 120;
/** Of them are random: what died together doesn't come back together. */
const SPREAD = 30;

/** How long the messages of a worker are hidden from the others. */
export class Visibility {
  readonly #queueUrl: string;
  readonly #random: () => number;
  readonly #client: SQSClient;

  constructor(
    queueUrl: string,
    random: () => number = Math.random,
    client: SQSClient = new SQSClient({ customUserAgent: 'cdk-llm-serving' }),
  ) {
    this.#queueUrl = queueUrl;
    this.#random = random;
    this.#client = client;
  }

  /**
   * The worker lives. The queue's own visibility is longer than a function may run: too long to wait when it dies.
   *
   * Never fails: without it a death is noticed later, and that is no reason not to run a job. A message that was hidden
   * too short has come again, and its job is run by whoever claims it first.
   */
  async keep(record: SqsRecord): Promise<void> {
    await this.#hide(record, VISIBILITY - this.#random() * SPREAD);
  }

  /** It failed for a reason of ours, and comes again. */
  async putOff(record: SqsRecord): Promise<void> {
    const receives = Number(record.attributes?.ApproximateReceiveCount ?? 1);
    await this.#hide(record, failedMs(receives, this.#random()) / 1000);
  }

  async #hide({ receiptHandle }: SqsRecord, seconds: number): Promise<void> {
    const input = {
      QueueUrl: this.#queueUrl,
      ReceiptHandle: receiptHandle,
      VisibilityTimeout: Math.round(seconds),
    };
    await this.#client.send(new ChangeMessageVisibilityCommand(input)).catch(() => {});
  }
}
