export interface Message {
  readonly MessageId: string;
  readonly ReceiptHandle: string;
  readonly MD5OfBody: string;
  readonly Body: string;
  readonly Attributes?: Readonly<Record<string, string>>;
  readonly MessageAttributes?: Readonly<Record<string, unknown>>;
}

interface Sent {
  readonly sentTimestamp: number;
}

/** SQS's JSON protocol, as far as this side of it needs: no signature is checked. */
export class SqsClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  urlOf(queueName: string): string {
    return `${this.#url}/000000000000/${queueName}`;
  }

  /** @throws Error with the operation's name and SQS's own words */
  async call(operation: string, input: object, signal?: AbortSignal): Promise<Record<string, unknown>> {
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${operation}` },
      body: JSON.stringify(input),
      ...(signal === undefined ? {} : { signal }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${operation}: ${text}`);
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  }

  /** Waits for a message for some seconds. */
  async receive(
    queueName: string,
    most: number,
    waitSeconds: number,
    signal: AbortSignal,
  ): Promise<readonly Message[]> {
    const input = {
      QueueUrl: this.urlOf(queueName),
      MaxNumberOfMessages: most,
      WaitTimeSeconds: waitSeconds,
      AttributeNames: ['All'],
      MessageAttributeNames: ['All'],
    };
    const { Messages = [] } = (await this.call('ReceiveMessage', input, signal)) as { Messages?: readonly Message[] };
    return Messages;
  }

  async remove(queueName: string, messages: readonly Message[]): Promise<void> {
    if (messages.length === 0) return;
    await this.call('DeleteMessageBatch', {
      QueueUrl: this.urlOf(queueName),
      Entries: messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle })),
    });
  }

  /** Milliseconds since the oldest message was sent that isn't deleted and doesn't wait for its delay. */
  async oldestMs(queueName: string): Promise<number | undefined> {
    const response = await fetch(`${this.#url}/_fauxqs/queues/${queueName}`);
    if (!response.ok) throw new Error(`queue ${queueName}: status ${response.status}`);
    const { messages } = (await response.json()) as {
      messages: { ready: Sent[]; inflight: Array<{ message: Sent }> };
    };
    const sent = [...messages.ready, ...messages.inflight.map(({ message }) => message)];
    return sent.length === 0 ? undefined : Date.now() - Math.min(...sent.map(({ sentTimestamp }) => sentTimestamp));
  }

  /** Messages that could be received, that were and are not deleted, and that wait for their delay. */
  async depth(
    queueName: string,
  ): Promise<{ readonly visible: number; readonly inFlight: number; readonly delayed: number }> {
    const { Attributes } = (await this.call('GetQueueAttributes', {
      QueueUrl: this.urlOf(queueName),
      AttributeNames: ['All'],
    })) as { Attributes: Record<string, string> };
    return {
      visible: Number(Attributes.ApproximateNumberOfMessages),
      inFlight: Number(Attributes.ApproximateNumberOfMessagesNotVisible),
      delayed: Number(Attributes.ApproximateNumberOfMessagesDelayed),
    };
  }
}
