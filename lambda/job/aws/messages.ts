/** What a function reads of the event that SQS's event source mapping makes. */
export interface SqsEvent {
  readonly Records: readonly SqsRecord[];
}

export interface SqsRecord {
  readonly messageId: string;
  readonly receiptHandle: string;
  readonly body: string;
  readonly attributes?: { readonly ApproximateReceiveCount?: string };
}

/** Only these messages come again; the others are deleted. */
export interface SqsResult {
  readonly batchItemFailures: ReadonlyArray<{ readonly itemIdentifier: string }>;
}

/**
 * Handles each message by itself, all at once. One that fails doesn't take the others with it.
 *
 * @param failed what is to be said of one that failed; it comes again when its visibility has run out
 */
export async function handleEach(
  event: SqsEvent,
  handle: (record: SqsRecord) => Promise<void>,
  failed: (record: SqsRecord, error: unknown) => void | Promise<void>,
): Promise<SqsResult> {
  const failures = await Promise.all(
    event.Records.map(async (record) => {
      try {
        await handle(record);
        return [];
      } catch (error) {
        await failed(record, error);
        return [{ itemIdentifier: record.messageId }];
      }
    }),
  );
  return { batchItemFailures: failures.flat() };
}

/** An interval that never has two calls at once, and whose failures are its own matter: the next call may succeed. */
export function every(ms: number, call: () => Promise<void>): () => void {
  let isBusy = false;
  const timer = setInterval(() => {
    if (isBusy) return;
    isBusy = true;
    call()
      .catch(() => {})
      .finally(() => {
        isBusy = false;
      });
  }, ms);
  return () => clearInterval(timer);
}
