import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';

/** What stands in a dead letter of one of our queues. */
interface Letter {
  readonly job?: string;
  readonly notice?: string;
  readonly batch?: string;
  readonly consumer?: string;
}

/** Seconds in which a letter is sent again and deleted; should that fail, it is back afterwards. */
const VISIBILITY = 30;

/** Whoever may send to a queue may send anything. */
function letterOf(body: string): Letter | undefined {
  try {
    const letter = JSON.parse(body) as Letter | null;
    return [letter?.job, letter?.notice, letter?.batch].some((id) => typeof id === 'string')
      ? (letter as Letter)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The dead-letter queue of a queue. */
export class DeadLetters {
  readonly #queueUrl: string;
  readonly #client = new SQSClient({});

  constructor(queueUrl: string) {
    this.#queueUrl = queueUrl;
  }

  /** Sends each letter to the queue that it came from. @returns how many */
  async redrive(
    before: (letter: Letter) => Promise<void> = async () => {},
    /** Told of each that is none of ours: it stays where it is. */
    unreadable: () => void = () => {},
  ): Promise<number> {
    const url = await this.#url();
    if (url === undefined) return 0;
    let count = 0;
    for (;;) {
      const { Messages = [] } = await this.#client.send(
        new ReceiveMessageCommand({ QueueUrl: url, MaxNumberOfMessages: 10, VisibilityTimeout: VISIBILITY }),
      );
      if (Messages.length === 0) return count;
      for (const { Body = '{}', ReceiptHandle } of Messages) {
        const letter = letterOf(Body);
        if (letter === undefined) {
          unreadable();
          continue;
        }
        const { job, notice, batch, consumer } = letter;
        await before({ ...(notice === undefined ? {} : { notice }) });
        await this.#client.send(
          new SendMessageCommand({
            QueueUrl: this.#queueUrl,
            MessageBody: JSON.stringify({ job, notice, batch }),
            MessageGroupId: consumer ?? 'redrive',
          }),
        );
        await this.#client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle }));
        count++;
      }
    }
  }

  /** In the same account and region as its queue, where the CDK made both. */
  async #url(): Promise<string | undefined> {
    const { Attributes } = await this.#client.send(
      new GetQueueAttributesCommand({ QueueUrl: this.#queueUrl, AttributeNames: ['RedrivePolicy'] }),
    );
    const { deadLetterTargetArn } = JSON.parse(Attributes?.RedrivePolicy ?? '{}') as { deadLetterTargetArn?: string };
    return deadLetterTargetArn && this.#queueUrl.replace(/[^/]+$/, deadLetterTargetArn.split(':').at(-1) ?? '');
  }
}
