import type { Usage } from '../backends/backend.ts';
import type { CacheOutcome, EmbeddingBill } from '../cache/contract.ts';
import type { BackendConfig } from '../contract/config.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import type { Attempt } from '../failover/attempt.ts';
import type { RouteDecision } from '../routing/decision.ts';
import type { Charge, LedgerEvent } from '../usage/admission.ts';
import type { ContentLog } from './content-log.ts';
import type { ApiError } from './errors.ts';
import type { Bill } from './metering.ts';

/** What is known of a chat completion when it is over, however it ended. */
export interface RequestRecord {
  readonly requestId: string;
  readonly invocationId: string | undefined;
  readonly startedAt: number;
  durationMs: number;
  /** Of the HTTP response. */
  status: number;
  stream?: boolean;
  consumer?: string;
  tier?: string;
  user?: string | undefined;
  feature?: string | undefined;
  featureDimension?: string;
  model?: string;
  /** Never logged: what is logged is compared with it. */
  request?: ChatCompletionRequest;
  /** That answered, or whose answer broke off. */
  backend?: string;
  /** What the routing policy said, where the model has one. */
  route?: RouteDecision | undefined;
  /** The backends that could have answered, in their order. */
  candidates?: readonly BackendConfig[];
  /** Every call to a backend, in the order in which they began. */
  attempts: readonly Attempt[];
  /** What they cost, each by itself. */
  bills: readonly Bill[];
  /** Backends that were passed over before one answered: those that failed, and those that were known to be down. */
  fallbacks: number;
  skipped?: readonly string[];
  /** No model answered: the client got an error, or a fixed reply. */
  allBackendsFailed?: boolean;
  /** Of all bills. */
  usage?: Usage;
  usageEstimated?: boolean;
  costUsd?: number;
  /** Its place in the ledger, once it is admitted. */
  charge?: Charge;
  /** It cost something, for which its consumer doesn't pay: a job's run that lost the job to another one. */
  uncharged?: boolean;
  /** What the log has to tell of the ledger. */
  readonly ledgerEvents: LedgerEvent[];
  /** What became of it in the cache, and what that saved. */
  cache?: CacheRecord;
  /** What it cost to look for similar requests; part of `costUsd`. */
  embedding?: EmbeddingBill;
  finishReason?: string | undefined;
  timeToFirstTokenMs?: number;
  /** Only where the owner asked for it. */
  content?: ContentLog;
  /** Why it failed: also in mid-stream, when the status had gone out already. */
  error?: ApiError;
}

export interface CacheRecord {
  readonly outcome: CacheOutcome;
  /** Of a hit: what the answer cost when it was made. */
  readonly savedUsd?: number;
  /** Of a stored answer. */
  readonly ageMs?: number;
  /** The cache wasn't there, or was late. */
  readonly unavailable?: boolean;
  /** Similar requests were looked for. */
  readonly searched?: boolean;
  readonly searchFailed?: boolean;
  /** Cosine of the nearest of them. */
  readonly score?: number;
}
