import { App, Duration, Stack } from 'aws-cdk-lib';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Clock } from '../../local/clock.ts';
import { readAssembly } from '../../local/cloudformation/assembly.ts';
import { evaluateStacks } from '../../local/cloudformation/stack.ts';
import { MetricStore } from '../../local/cloudwatch/metric-store.ts';
import { startMessaging } from '../../local/messaging/index.ts';
import { publishQueueMetrics } from '../../local/messaging/queue-metrics.ts';

test('a queue tells how many messages it holds, and how old the oldest is', async () => {
  const app = new App();
  new Queue(new Stack(app, 'Test'), 'Queue', { queueName: 'work', visibilityTimeout: Duration.minutes(5) });
  const stacks = evaluateStacks(readAssembly(app.synth().directory).stacks, {});
  const messaging = await startMessaging(stacks);
  if (messaging === undefined) throw new Error('no queue');
  onTestFinished(() => messaging.close());
  const clock = new Clock(60);
  const store = new MetricStore(clock);
  const value = (name: string, statistic = 'Maximum', from = 0) =>
    store.statistic(
      { namespace: 'AWS/SQS', name, dimensions: { QueueName: 'work' } },
      statistic,
      from,
      clock.now() + 1,
    );
  onTestFinished(publishQueueMetrics(stacks, { sqs: messaging.sqs, store, clock }));

  const { sqs } = messaging;
  await vi.waitFor(() => expect(value('ApproximateNumberOfMessagesVisible')).toBe(0), { timeout: 20_000 });
  expect(value('ApproximateAgeOfOldestMessage')).toBeUndefined();
  for (const [index, DelaySeconds] of [0, 0, 0, 900].entries()) {
    await sqs.call('SendMessage', { QueueUrl: sqs.urlOf('work'), MessageBody: String(index), DelaySeconds });
  }
  const [message] = await sqs.receive('work', 1, 0, new AbortController().signal);
  await vi.waitFor(() => expect(value('ApproximateNumberOfMessagesVisible')).toBe(2), { timeout: 20_000 });
  expect(value('ApproximateNumberOfMessagesNotVisible')).toBe(1);
  expect(value('ApproximateNumberOfMessagesDelayed')).toBe(1);
  // What is in flight is not deleted yet.
  const received = clock.now();
  await vi.waitFor(() => expect(value('ApproximateAgeOfOldestMessage', 'Minimum', received)).toBeGreaterThan(0.5), {
    timeout: 20_000,
  });
  expect(message).toBeDefined();
});
