import type { Clock } from '../clock.ts';
import type { Resource, Stack } from '../cloudformation/stack.ts';
import type { MetricStore } from '../cloudwatch/metric-store.ts';
import type { SqsClient } from './sqs-client.ts';

/** SQS tells CloudWatch each minute; here it is looked at more often, but not more than once in a real second. */
const PERIOD_MS = 10_000;

/** Tells CloudWatch's stand-in of the templates' queues what SQS tells CloudWatch. @returns what ends it */
export function publishQueueMetrics(
  stacks: readonly Stack[],
  options: { readonly sqs: SqsClient; readonly store: MetricStore; readonly clock: Clock },
): () => void {
  const { sqs, store, clock } = options;
  const names = stacks.flatMap((stack) => stack.ofType('AWS::SQS::Queue')).map(nameOf);
  return clock.every(Math.max(PERIOD_MS, 1000 * clock.speed), async () => {
    for (const QueueName of names) await publish(QueueName, sqs, store);
  });
}

async function publish(QueueName: string, sqs: SqsClient, store: MetricStore): Promise<void> {
  const put = (name: string, value: number | undefined): void => {
    if (value !== undefined) store.put({ namespace: 'AWS/SQS', name, dimensions: { QueueName } }, value);
  };
  try {
    const { visible, inFlight, delayed } = await sqs.depth(QueueName);
    put('ApproximateNumberOfMessagesVisible', visible);
    put('ApproximateNumberOfMessagesNotVisible', inFlight);
    put('ApproximateNumberOfMessagesDelayed', delayed);
    put('ApproximateAgeOfOldestMessage', maybeSeconds(await sqs.oldestMs(QueueName)));
  } catch {
    // The run ends, and its queues with it.
  }
}

const maybeSeconds = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1000);

const nameOf = (queue: Resource): string => queue.attribute('QueueName');
