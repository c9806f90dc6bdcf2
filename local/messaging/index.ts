import { buildApp } from 'fauxqs';
import type { Resource, Stack } from '../cloudformation/stack.ts';
import { isObject, type Json } from '../cloudformation/template.ts';
import { SqsClient } from './sqs-client.ts';

/** SQS and S3 with the templates' queues and buckets, in memory: fauxqs, which speaks both protocols. */
export interface Messaging {
  /** For `AWS_ENDPOINT_URL_SQS` and `AWS_ENDPOINT_URL_S3`. */
  readonly url: string;
  readonly sqs: SqsClient;
  /** A queue's URL on AWS, as functions' variables hold it, becomes the one here. */
  localized(value: string): string;
  close(): Promise<void>;
}

/** Attributes of a queue that behave here as on AWS, by the template's properties. */
const ATTRIBUTES = ['VisibilityTimeout', 'DelaySeconds', 'MessageRetentionPeriod', 'ReceiveMessageWaitTimeSeconds'];

/** @returns `undefined` when the templates have neither a queue nor a bucket */
export async function startMessaging(stacks: readonly Stack[]): Promise<Messaging | undefined> {
  const queues = stacks.flatMap((stack) => stack.ofType('AWS::SQS::Queue'));
  const buckets = stacks.flatMap((stack) => stack.ofType('AWS::S3::Bucket'));
  if (queues.length + buckets.length === 0) return undefined;
  const app = buildApp({ logger: false });
  // Not by `startFauxqs`, which listens to the whole network.
  await app.listen({ port: 0, host: '127.0.0.1' });
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('fauxqs has no port');
  const url = `http://127.0.0.1:${address.port}`;
  const close = async (): Promise<void> => {
    app.server.closeAllConnections();
    await app.close();
  };
  const sqs = new SqsClient(url);
  try {
    for (const bucket of buckets) await createBucket(url, bucket.ref);
    // A queue's dead-letter queue has to be there first.
    for (const queue of [...queues].sort((a, b) => Number(redrives(a)) - Number(redrives(b)))) {
      await sqs.call('CreateQueue', { QueueName: nameOf(queue), Attributes: attributesOf(queue) });
    }
  } catch (error) {
    await close();
    throw error;
  }
  const localUrls = new Map(queues.map((queue) => [queue.ref, sqs.urlOf(nameOf(queue))]));
  return { url, sqs, localized: (value) => localUrls.get(value) ?? value, close };
}

const nameOf = (queue: Resource): string => queue.attribute('QueueName');

const redrives = (queue: Resource): boolean => queue.property('RedrivePolicy') !== undefined;

function attributesOf(queue: Resource): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const name of ATTRIBUTES) {
    const value = queue.property(name);
    if (value !== undefined) attributes[name] = String(value);
  }
  const redrive = queue.property('RedrivePolicy');
  if (isObject(redrive)) attributes.RedrivePolicy = JSON.stringify(localRedrive(redrive));
  return attributes;
}

/** fauxqs has one account. */
function localRedrive(redrive: { readonly [key: string]: Json }): Record<string, Json> {
  const arn = String(redrive.deadLetterTargetArn);
  return { ...redrive, deadLetterTargetArn: `arn:aws:sqs:us-east-1:000000000000:${arn.split(':').at(-1)}` };
}

async function createBucket(url: string, name: string): Promise<void> {
  const response = await fetch(`${url}/${name}`, { method: 'PUT' });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`bucket ${name}: status ${response.status}`);
}
