import { randomUUID } from 'node:crypto';
import type { Stack } from '../cloudformation/stack.ts';

export interface Message {
  readonly id: string;
  readonly topicArn: string;
  readonly subject: string;
  readonly body: string;
  /** Milliseconds since 1970, by the run's clock. */
  readonly time: number;
  /** `email ops@example.com`, as it would have been sent there. */
  readonly recipients: readonly string[];
}

export interface TopicsOptions {
  readonly now: () => number;
  readonly log: (label: string, line: string) => void;
  readonly invoke: (functionArn: string, event: unknown) => Promise<unknown>;
}

const KEPT = 100;

/** SNS: messages go to the console, to functions that subscribed, and nowhere else. */
export class Topics {
  readonly #subscriptions: ReadonlyArray<{ readonly topicArn: string; readonly protocol: string; readonly to: string }>;
  readonly #options: TopicsOptions;
  readonly #messages: Message[] = [];

  constructor(stacks: readonly Stack[], options: TopicsOptions) {
    this.#options = options;
    this.#subscriptions = stacks
      .flatMap((stack) => stack.ofType('AWS::SNS::Subscription'))
      .map((subscription) => ({
        topicArn: String(subscription.required('TopicArn')),
        protocol: String(subscription.required('Protocol')),
        to: String(subscription.property('Endpoint') ?? ''),
      }));
  }

  /** The latest first. */
  get messages(): readonly Message[] {
    return [...this.#messages];
  }

  /** @returns the message's id */
  async publish(topicArn: string, subject: string, body: string): Promise<string> {
    const { now, log, invoke } = this.#options;
    const of = this.#subscriptions.filter((subscription) => subscription.topicArn === topicArn);
    const recipients = of.map(({ protocol, to }) => `${protocol} ${to}`);
    const message: Message = { id: randomUUID(), topicArn, subject, body, time: now(), recipients };
    this.#messages.unshift(message);
    this.#messages.splice(KEPT);
    log('sns', `${subject}${recipients.length === 0 ? '' : ` (to ${recipients.join(', ')})`}`);
    for (const { to } of of.filter(({ protocol }) => protocol === 'lambda')) {
      // Asynchronous, as SNS does it; a function that fails has said so in its own log.
      void invoke(to, notification(message)).catch((error: unknown) => log('sns', `${to}: ${String(error)}`));
    }
    return message.id;
  }
}

/** https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html */
function notification({ id, topicArn, subject, body, time }: Message): unknown {
  return {
    Records: [
      {
        EventSource: 'aws:sns',
        EventVersion: '1.0',
        EventSubscriptionArn: `${topicArn}:${id}`,
        Sns: {
          Type: 'Notification',
          MessageId: id,
          TopicArn: topicArn,
          Subject: subject,
          Message: body,
          Timestamp: new Date(time).toISOString(),
          MessageAttributes: {},
        },
      },
    ],
  };
}
