import type {
  AttributeValue,
  DynamoDBClient,
  QueryCommandInput,
  UpdateItemCommandInput,
} from '@aws-sdk/client-dynamodb';
import type { Item } from './account.ts';

/** The ledger can't be asked: it is down, too slow, throttled, or may not be written. */
export class LedgerUnavailable extends Error {
  override readonly name = 'LedgerUnavailable';
  /** Whether the write may have been carried out all the same. */
  readonly isAmbiguous: boolean;

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.name : 'unknown', { cause });
    this.isAmbiguous = !(cause instanceof Error && REFUSALS.has(cause.name));
  }
}

/** Answers of DynamoDB's after which nothing was written. */
const REFUSALS = new Set([
  'AccessDeniedException',
  'ItemCollectionSizeLimitExceededException',
  'LimitExceededException',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'ResourceNotFoundException',
  'ThrottlingException',
  'UnrecognizedClientException',
  'ValidationException',
]);

export type Updated =
  | { readonly ok: true; readonly item: Item | undefined }
  /** The condition didn't hold for this item. */
  | { readonly ok: false; readonly item: Item | undefined };

type Sdk = typeof import('./dynamodb-sdk.ts');

interface Opened {
  readonly sdk: Sdk;
  readonly client: DynamoDBClient;
  readonly updates: InstanceType<Sdk['DirectUpdates']>;
}

/**
 * The ledger's table. One attempt a call and no more: who calls knows whether a repetition is safe. The SDK is loaded with
 * the first call.
 */
export class LedgerTable {
  readonly name: string;
  readonly #timeoutMs: number;
  #opened: Promise<Opened> | undefined;

  constructor(name: string, timeoutMs: number) {
    this.name = name;
    this.#timeoutMs = timeoutMs;
  }

  /** Has the SDK loaded before somebody waits for it. A failure shows with the first call. */
  warm(): void {
    this.#open().catch(() => {});
  }

  /** @throws LedgerUnavailable */
  async update(input: UpdateItemCommandInput): Promise<Updated> {
    const { sdk, updates } = await this.#open();
    try {
      const { Attributes } = await updates.send(input);
      return { ok: true, item: Attributes };
    } catch (error) {
      if (!(error instanceof sdk.ConditionalCheckFailedException)) throw new LedgerUnavailable(error);
      // Without an item there is none; or it is a DynamoDB that doesn't send it along, as local ones don't.
      return { ok: false, item: error.Item ?? (await this.get(input.Key ?? {})) };
    }
  }

  /** @throws LedgerUnavailable */
  async put(item: Item): Promise<void> {
    const { sdk, client } = await this.#open();
    await client.send(new sdk.PutItemCommand({ TableName: this.name, Item: item }), this.#limits()).catch(unavailable);
  }

  /** As it is, not as it was a moment ago. @throws LedgerUnavailable */
  async get(key: Record<string, AttributeValue>): Promise<Item | undefined> {
    const { sdk, client } = await this.#open();
    const input = { TableName: this.name, Key: key, ConsistentRead: true };
    return (await client.send(new sdk.GetItemCommand(input), this.#limits()).catch(unavailable)).Item;
  }

  /** Page by page. @throws LedgerUnavailable */
  async *query(input: Omit<QueryCommandInput, 'TableName'>): AsyncGenerator<Item> {
    const { sdk, client } = await this.#open();
    let from: Item | undefined;
    do {
      const page = new sdk.QueryCommand({ ...input, TableName: this.name, ExclusiveStartKey: from });
      const { Items = [], LastEvaluatedKey } = await client.send(page, this.#limits()).catch(unavailable);
      yield* Items;
      from = LastEvaluatedKey;
    } while (from !== undefined);
  }

  #limits(): { readonly abortSignal: AbortSignal } {
    return { abortSignal: AbortSignal.timeout(this.#timeoutMs) };
  }

  #open(): Promise<Opened> {
    this.#opened ??= import('./dynamodb-sdk.ts').then((sdk) => {
      const client = sdk.createClient(this.#timeoutMs);
      return { sdk, client, updates: new sdk.DirectUpdates(client, this.#timeoutMs) };
    });
    return this.#opened;
  }
}

function unavailable(error: unknown): never {
  throw new LedgerUnavailable(error);
}
