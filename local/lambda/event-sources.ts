import { setTimeout as sleep } from 'node:timers/promises';
import type { Resource, Stack } from '../cloudformation/stack.ts';
import { isArray, isObject } from '../cloudformation/template.ts';
import type { Message, SqsClient } from '../messaging/sqs-client.ts';
import type { Functions } from './functions.ts';
import { ThrottledError } from './invocation.ts';

interface Mapping {
  readonly functionArn: string;
  readonly queueArn: string;
  readonly queueName: string;
  readonly region: string;
  readonly batchSize: number;
  /** Invocations at once. */
  readonly maxConcurrency: number;
  /** The function says which messages failed; else all or none. */
  readonly reportsFailures: boolean;
}

/** Without a `MaximumConcurrency` AWS begins with five and goes on to 1,250. */
const DEFAULT_CONCURRENCY = 5;
/** SQS's longest poll. */
const WAIT_SECONDS = 20;
/** A queue, or a function, that refuses is asked again after so long. */
const PAUSE_MS = 500;

/**
 * Lambda's pollers: they take messages of a queue to a function, and delete those that it handled. A message that it
 * didn't handle comes again when its visibility has run out.
 */
export class EventSources {
  readonly #abort = new AbortController();
  readonly #loops: Promise<void>[];

  constructor(stacks: readonly Stack[], sqs: SqsClient, functions: Functions, log: (line: string) => void) {
    const mappings = stacks.flatMap((stack) => stack.ofType('AWS::Lambda::EventSourceMapping')).flatMap(mappingOf);
    for (const { functionArn } of mappings) functions.prepare(functionArn);
    this.#loops = mappings.map((mapping) => this.#poll(mapping, sqs, functions, log));
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.#loops);
  }

  async #poll(mapping: Mapping, sqs: SqsClient, functions: Functions, log: (line: string) => void): Promise<void> {
    const { signal } = this.#abort;
    const running = new Set<Promise<void>>();
    while (!signal.aborted) {
      if (running.size >= mapping.maxConcurrency) {
        await oneOf(running, signal);
        continue;
      }
      try {
        const messages = await sqs.receive(mapping.queueName, Math.min(10, mapping.batchSize), WAIT_SECONDS, signal);
        if (messages.length === 0) continue;
        const run = handle(mapping, messages, sqs, functions, log).finally(() => running.delete(run));
        running.add(run);
      } catch (error) {
        if (signal.aborted) return;
        log(`${mapping.queueName}: ${error instanceof Error ? error.message : error}`);
        await sleep(PAUSE_MS);
      }
    }
  }
}

async function handle(
  mapping: Mapping,
  messages: readonly Message[],
  sqs: SqsClient,
  functions: Functions,
  log: (line: string) => void,
): Promise<void> {
  try {
    const failed = await invoke(mapping, messages, functions);
    await sqs.remove(
      mapping.queueName,
      messages.filter(({ MessageId }) => !failed.has(MessageId)),
    );
  } catch (error) {
    // The function failed, or the run is ending: none of them is deleted.
    const ids = messages.map(({ MessageId }) => MessageId).join(' ');
    log(`${mapping.queueName}: ${error instanceof Error ? error.message : error}; not handled: ${ids}`);
  }
}

/** @returns ids of the messages that the function couldn't handle. @throws FunctionError */
async function invoke(mapping: Mapping, messages: readonly Message[], functions: Functions): Promise<Set<string>> {
  const event = { Records: messages.map((message) => recordOf(mapping, message)) };
  for (;;) {
    try {
      const response = await functions.invoke(mapping.functionArn, event);
      if (response.kind !== 'buffered' || !mapping.reportsFailures) return new Set();
      return failuresIn(JSON.parse(response.payload.toString()));
    } catch (error) {
      if (!(error instanceof ThrottledError)) throw error;
      await sleep(PAUSE_MS);
    }
  }
}

/**
 * @throws Error for what Lambda takes for the failure of the whole batch
 * @see https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
 */
function failuresIn(result: { batchItemFailures?: ReadonlyArray<{ itemIdentifier?: unknown }> | null } | null) {
  const ids = new Set<string>();
  for (const { itemIdentifier } of result?.batchItemFailures ?? []) {
    if (typeof itemIdentifier !== 'string' || itemIdentifier === '') {
      throw new Error('the function names a failed message by something that is no id');
    }
    ids.add(itemIdentifier);
  }
  return ids;
}

const recordOf = (mapping: Mapping, message: Message): object => ({
  messageId: message.MessageId,
  receiptHandle: message.ReceiptHandle,
  body: message.Body,
  attributes: message.Attributes ?? {},
  messageAttributes: message.MessageAttributes ?? {},
  md5OfBody: message.MD5OfBody,
  eventSource: 'aws:sqs',
  eventSourceARN: mapping.queueArn,
  awsRegion: mapping.region,
});

/** Of queues only; of other sources the gaps tell. */
function mappingOf(resource: Resource): Mapping[] {
  const queueArn = String(resource.property('EventSourceArn'));
  if (!queueArn.startsWith('arn:aws:sqs:') || resource.property('Enabled') === false) return [];
  const scaling = resource.property('ScalingConfig');
  const types = resource.property('FunctionResponseTypes');
  const fn = String(resource.required('FunctionName'));
  return [
    {
      functionArn: fn.startsWith('arn:') ? fn : `arn:aws:lambda:${resource.region}:${resource.account}:function:${fn}`,
      queueArn,
      queueName: queueArn.split(':').at(-1) ?? '',
      region: resource.region,
      batchSize: Number(resource.property('BatchSize') ?? 10),
      maxConcurrency: Number((isObject(scaling) ? scaling.MaximumConcurrency : undefined) ?? DEFAULT_CONCURRENCY),
      reportsFailures: isArray(types) && types.includes('ReportBatchItemFailures'),
    },
  ];
}

/** Until one of them is done, or all is over. */
async function oneOf(running: Iterable<Promise<void>>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = (): void => resolve();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.race([...running, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
