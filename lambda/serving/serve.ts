import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { SharedHints } from '../backends/openai-compatible/fleet.ts';
import { createRegistry } from '../backends/registry.ts';
import type { Cache } from '../cache/contract.ts';
import type { ServingConfig } from '../contract/config.ts';
import { Health, type SharedBreakers } from '../failover/health.ts';
import type { LedgerRoom } from '../usage/index.ts';
import type { UsageRecord } from '../usage/usage-record.ts';
import { answerChat } from './chat.ts';
import { ClientResponse, type WithPrelude } from './client-response.ts';
import { ApiError } from './errors.ts';
import type { GatewayEvent, StreamingHandler } from './gateway.ts';
import { identifyCaller } from './identify.ts';
import { ledgerLine, ledgerOf, registeredConsumer, settleInLedger, usage, usageRecordOf } from './ledger-steps.ts';
import { getModel, listModels } from './models.ts';
import type { RequestRecord } from './record.ts';
import { commonHeaders, errorHeaders, requestIdOf } from './response-headers.ts';
import { MethodNotAllowed, type Route, Router } from './router.ts';
import { settle, stackOf } from './settle.ts';

export interface ServingDeps {
  /** Takes a line of the log, a JSON object. */
  log(line: string): void;
  /** `awslambda.HttpResponseStream.from` */
  readonly withPrelude: WithPrelude;
  /** Whose a request is. @default - the consumer of the API key that API Gateway let in */
  readonly identify?: typeof identifyCaller;
  /** Answers that processes share. Without it each request is answered anew. */
  readonly cache?: Cache;
  /** Where processes tell each other which backends are down. Without it, or the cache, each finds out for itself. */
  readonly sharedBreakers?: SharedBreakers;
  /** Where usage is kept. @default - what the configuration says */
  readonly ledger?: LedgerRoom | Promise<LedgerRoom | undefined>;
  /** Where processes tell each other which task of a fleet has which prefix. Without it, or the cache, each finds out for itself. */
  readonly sharedHints?: SharedHints;
  /**
   * Takes over a chat completion's account, when it is over, however it ended: whoever writes its cost down elsewhere
   * does that before the ledger gets it. @default - it is settled at once
   */
  takeAccount?(event: GatewayEvent, account: Account): void;
}

/** What a chat completion cost, which is still to be put into the ledger and the log. */
export interface Account {
  readonly record: RequestRecord;
  /** For the ledger; nothing where there is none, or nobody has to be paid. */
  readonly usage: UsageRecord | undefined;
  /**
   * @param charged whether its consumer pays for it; else only what was reserved is given back
   * @returns false when the ledger was out of reach
   */
  settle(charged: boolean): Promise<boolean>;
}

const ROUTES: readonly Route[] = [
  { method: 'POST', path: '/v1/chat/completions', walk: 'chat' },
  {
    method: 'GET',
    path: '/v1/models',
    answer: ({ event, config, registered }) => ({ body: listModels(event, config, registered) }),
  },
  {
    method: 'GET',
    path: '/v1/models/{model+}',
    answer: ({ event, config, params, registered }) => ({
      body: getModel(event, params.model ?? '', config, registered),
    }),
  },
  { method: 'GET', path: '/v1/usage', answer: usage },
  { method: 'GET', path: '/health', answer: () => ({ body: { status: 'ok' } }) },
];

/**
 * The handler of every route. Safe for any number of invocations at once: what belongs to one lives in this function's
 * call, and what is shared (configuration, backends' connections) belongs to none.
 */
export function createServing(config: ServingConfig, deps: ServingDeps): StreamingHandler {
  const registry = createRegistry(deps.sharedHints ?? deps.cache?.values);
  const health = new Health(deps.sharedBreakers ?? deps.cache?.breakers);
  const router = new Router(ROUTES);
  const ledgerRoom = Promise.resolve(deps.ledger ?? ledgerOf(config));
  const identify = deps.identify ?? identifyCaller;

  return async (event, stream, context) => {
    const start = performance.now();
    const startedAt = Date.now();
    const client = new ClientResponse(stream, deps.withPrelude);
    const requestId = requestIdOf(event);
    const headers = commonHeaders(event, requestId, config);
    let record: RequestRecord | undefined;
    try {
      const { route, params } = router.find(event);
      const ledger = await ledgerRoom;
      if ('walk' in route) {
        const invocationId = context.awsRequestId;
        record = {
          requestId,
          invocationId,
          startedAt,
          durationMs: 0,
          status: 0,
          attempts: [],
          bills: [],
          ledgerEvents: [],
          fallbacks: 0,
        };
        const { cache } = deps;
        const { ledgerEvents } = record;
        const registered = await registeredConsumer(event, config, ledger, (told) => ledgerEvents.push(told));
        await answerChat({
          ...{ config, registry, health, cache, identify, event, context, client, record, start, headers },
          ...{ registered, ledger },
        });
      } else {
        const registered = await registeredConsumer(event, config, ledger);
        const answer = await route.answer({ config, event, requestId, params, registered, ledger });
        client.commit(answer.status ?? 200, { ...headers, ...answer.headers, 'content-type': 'application/json' });
        void client.write(JSON.stringify(answer.body), client.gone);
      }
    } catch (thrown) {
      const error = thrown instanceof ApiError ? thrown : internalError(thrown, requestId);
      if (record !== undefined) record.error = error;
      if (!client.committed) {
        const allow: Record<string, string> = error instanceof MethodNotAllowed ? { allow: error.allow } : {};
        client.commit(error.status, { ...headers, ...errorHeaders(error), ...allow });
        void client.write(JSON.stringify(error.body), client.gone);
      }
    } finally {
      client.end();
      if (record !== undefined) {
        record.durationMs = performance.now() - start;
        record.status = client.status ?? 0;
        const account = accountOf(record);
        // The client has its answer: it doesn't wait for this.
        if (deps.takeAccount === undefined) await account.settle(true);
        else deps.takeAccount(event, account);
      }
    }
  };

  function accountOf(record: RequestRecord): Account {
    const usage = usageRecordOf(record, randomBytes(9).toString('base64url'));
    return {
      record,
      usage,
      async settle(charged) {
        let isSettled = true;
        if (!charged && usage !== undefined) record.uncharged = true;
        try {
          const events = await settleInLedger(record, charged ? usage : undefined);
          isSettled = !events.some((event) => event.kind === 'error' && event.step === 'settle');
          record.ledgerEvents.push(...events);
        } catch (thrown) {
          isSettled = false;
          internalError(thrown, record.requestId);
        }
        try {
          report(record);
        } catch (thrown) {
          internalError(thrown, record.requestId);
        }
        return isSettled;
      },
    };
  }

  /** Content, where the owner wants it, has a line of its own, made when the one that counts is out. */
  function report(record: RequestRecord): void {
    for (const event of record.ledgerEvents) {
      deps.log(ledgerLine(event, record, config.metrics.namespace));
    }
    for (const line of settle(record, { namespace: config.metrics.namespace, logContent: config.logContent })) {
      deps.log(line);
    }
    if (record.content !== undefined) deps.log(record.content.line(record.requestId));
  }

  /** A fault of ours: its place goes to the log, its message (which may hold what it choked on) nowhere. */
  function internalError(thrown: unknown, requestId: string): ApiError {
    const error = thrown instanceof Error ? thrown : new Error('not an error');
    deps.log(
      JSON.stringify({
        timestamp: new Date().toISOString(),
        level: 'ERROR',
        message: 'internal error',
        request_id: requestId,
        error: error.name,
        at: stackOf(error),
      }),
    );
    return new ApiError(500, `Internal error. (request ${requestId})`, { code: 'internal_error', cause: thrown });
  }
}
