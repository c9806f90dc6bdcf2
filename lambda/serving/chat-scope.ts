import type { Registry } from '../backends/registry.ts';
import type { Cache } from '../cache/contract.ts';
import type { Consumer, ServingConfig } from '../contract/config.ts';
import type { Health } from '../failover/health.ts';
import type { LedgerRoom } from '../usage/index.ts';
import type { ClientResponse } from './client-response.ts';
import type { GatewayEvent, InvocationContext } from './gateway.ts';
import type { identifyCaller } from './identify.ts';
import type { RequestRecord } from './record.ts';

/** What a chat completion runs with. */
export interface ChatScope {
  readonly config: ServingConfig;
  readonly registry: Registry;
  readonly health: Health;
  readonly cache: Cache | undefined;
  readonly identify: typeof identifyCaller;
  readonly event: GatewayEvent;
  readonly context: InvocationContext;
  readonly client: ClientResponse;
  /** Filled in as things become known, for the log, whatever happens. */
  readonly record: RequestRecord;
  /** By `performance.now()`. */
  readonly start: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The consumer of a key that is in the ledger. */
  readonly registered?: Consumer | undefined;
  readonly ledger?: LedgerRoom | undefined;
}
