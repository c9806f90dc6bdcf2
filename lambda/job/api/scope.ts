import type { ServingConfig } from '../../contract/config.ts';
import { ApiError } from '../../serving/errors.ts';
import type { GatewayEvent } from '../../serving/gateway.ts';
import type { Caller } from '../../serving/identify.ts';
import type { JsonAnswer, RouteBase } from '../../serving/router.ts';
import type { S3Blobs } from '../aws/blobs.ts';
import type { SqsQueues } from '../aws/queues.ts';
import type { ItemTable } from '../aws/table.ts';
import type { Job } from '../job.ts';
import type { WebhookSecrets } from '../notice/secrets.ts';
import type { UrlRules } from '../notice/webhook-url.ts';
import type { LineTable } from '../ports.ts';

/** What the routes about jobs work with. */
export interface JobsDeps {
  readonly jobs: LineTable;
  readonly items: ItemTable;
  readonly queues: SqsQueues;
  readonly blobs: S3Blobs;
  readonly secrets: WebhookSecrets;
  readonly ended: (job: Job) => Promise<void>;
  readonly retentionMs: number;
  readonly urlRules: UrlRules;
  readonly now: () => number;
}

export interface JobsScope extends JobsDeps {
  readonly config: ServingConfig;
  readonly event: GatewayEvent;
  readonly caller: Caller;
  /** Ends the request of a caller, or for a model, that is paused. @throws ApiError 403, 503 */
  refusePaused(model?: string): Promise<void>;
  readonly params: Readonly<Record<string, string>>;
}

/** Bytes instead of an object: a file's content. */
export interface FileAnswer {
  readonly contentType: string;
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface JobsRoute extends RouteBase {
  /** @throws ApiError */
  answer(scope: JobsScope): Promise<JsonAnswer | FileAnswer>;
}

/** Of another consumer as of nobody: who asks learns nothing from it. */
export const notFound = (what: string, id: string): ApiError =>
  new ApiError(404, `No ${what} found with id '${id.slice(0, 100)}'.`, { param: 'id', code: 'not_found' });

const MAX_PAGE = 100;

/** `limit` and `after` of a list. @throws ApiError 400 */
export function pageOf(event: GatewayEvent): { readonly limit: number; readonly after: string | undefined } {
  const { limit = '20', after } = event.queryStringParameters ?? {};
  const number = Number(limit);
  if (!Number.isInteger(number) || number < 1 || number > MAX_PAGE) {
    throw new ApiError(400, `Invalid 'limit': expected a whole number between 1 and ${MAX_PAGE}.`, {
      param: 'limit',
      code: 'invalid_value',
    });
  }
  return { limit: number, after: after || undefined };
}

/** A page in the form that the OpenAI SDKs turn. */
export const listOf = (data: ReadonlyArray<{ readonly id: string }>, hasMore: boolean): object => ({
  object: 'list',
  data,
  first_id: data[0]?.id ?? null,
  last_id: data.at(-1)?.id ?? null,
  has_more: hasMore,
});

/** Unix seconds, as OpenAI's objects have them. */
export const seconds = (ms: number | undefined): number | null => (ms === undefined ? null : Math.floor(ms / 1000));
