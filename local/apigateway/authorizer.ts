import { buffer } from 'node:stream/consumers';
import { isObject, type Json } from '../cloudformation/template.ts';
import { FunctionError, type InvocationResponse } from '../lambda/invocation.ts';
import type { GatewayContext } from './context.ts';
import type { AuthorizerDefinition, RestApiDefinition } from './definition.ts';
import { GatewayError } from './gateway-error.ts';
import { evaluatePolicy } from './policy.ts';
import { methodArn, requestEvent } from './proxy-event.ts';
import type { GatewayRequest } from './request.ts';
import type { Route } from './router.ts';

/** Invokes a function by its ARN, with or without a qualifier. */
export type Invoke = (functionArn: string, event: unknown) => Promise<InvocationResponse>;

export interface Authorization {
  /** What the integration gets as `requestContext.authorizer`; values are strings. */
  readonly context: Readonly<Record<string, string>>;
  /** The API key's value, where the authorizer is the source of API keys. */
  readonly usageIdentifierKey: string | undefined;
}

interface Verdict extends Authorization {
  readonly policy: Json;
}

const MAX_CACHED = 10_000;

/** Asks Lambda authorizers, and keeps what they said by the identity that they were asked about. */
export class Authorizers {
  readonly #api: RestApiDefinition;
  readonly #invoke: Invoke;
  readonly #now: () => number;
  readonly #cache = new Map<string, { readonly verdict: Verdict; readonly until: number }>();

  constructor(api: RestApiDefinition, invoke: Invoke, now: () => number = Date.now) {
    this.#api = api;
    this.#invoke = invoke;
    this.#now = now;
  }

  /** @throws GatewayError */
  async authorize(
    authorizer: AuthorizerDefinition,
    request: GatewayRequest,
    route: Route,
    context: GatewayContext,
  ): Promise<Authorization> {
    const identity = authorizer.identitySources.map((source) => context.mapped(source) ?? '');
    const absent = identity.some((value) => value === '');
    const malformed =
      authorizer.identityValidation !== undefined &&
      !new RegExp(`^(?:${authorizer.identityValidation})$`).test(identity[0] ?? '');
    if (absent || malformed) throw new GatewayError('UNAUTHORIZED');
    const asked = this.#now();
    const verdict = await this.#verdict(authorizer, identity, request, route);
    context.set('authorizer.latency', this.#now() - asked);
    context.set('authorizer.status', 200);
    let decision: ReturnType<typeof evaluatePolicy>;
    try {
      decision = evaluatePolicy(verdict.policy, methodArn(this.#api, request));
    } catch (cause) {
      throw new GatewayError('AUTHORIZER_CONFIGURATION_ERROR', { cause });
    }
    if (decision === 'explicit-deny') {
      const message =
        'User is not authorized to access this resource with an explicit deny in an identity-based policy';
      throw new GatewayError('ACCESS_DENIED', { message });
    }
    if (decision === 'deny') throw new GatewayError('ACCESS_DENIED');
    for (const [name, value] of Object.entries(verdict.context)) context.set(`authorizer.${name}`, value);
    return verdict;
  }

  async #verdict(
    authorizer: AuthorizerDefinition,
    identity: readonly string[],
    request: GatewayRequest,
    route: Route,
  ): Promise<Verdict> {
    const cached = authorizer.cacheSeconds > 0 && identity.length > 0;
    const key = JSON.stringify([authorizer.id, ...identity]);
    const known = cached ? this.#cache.get(key) : undefined;
    if (known !== undefined && known.until > this.#now()) return known.verdict;
    const arn = methodArn(this.#api, request);
    const event =
      authorizer.type === 'TOKEN'
        ? { type: 'TOKEN', methodArn: arn, authorizationToken: identity[0] ?? '' }
        : { type: 'REQUEST', methodArn: arn, ...requestEvent(this.#api, request, route, {}) };
    const verdict = verdictOf(await this.#answer(authorizer.functionArn, event));
    if (cached) this.#keep(key, verdict, authorizer.cacheSeconds);
    return verdict;
  }

  /** Callers choose the identities: what is over is dropped before there are too many. */
  #keep(key: string, verdict: Verdict, seconds: number): void {
    const now = this.#now();
    if (this.#cache.size >= MAX_CACHED) {
      for (const [known, { until }] of this.#cache) if (until <= now) this.#cache.delete(known);
    }
    if (this.#cache.size < MAX_CACHED) this.#cache.set(key, { verdict, until: now + seconds * 1000 });
  }

  async #answer(functionArn: string, event: unknown): Promise<Json> {
    try {
      const response = await this.#invoke(functionArn, event);
      const payload = response.kind === 'buffered' ? response.payload : await buffer(response.body);
      return JSON.parse(payload.toString('utf8')) as Json;
    } catch (cause) {
      // An authorizer says 401 by failing with exactly this message.
      if (cause instanceof FunctionError && cause.message === 'Unauthorized') throw new GatewayError('UNAUTHORIZED');
      throw new GatewayError('AUTHORIZER_CONFIGURATION_ERROR', { cause });
    }
  }
}

function verdictOf(answer: Json): Verdict {
  const invalid = (what: string): GatewayError =>
    new GatewayError('AUTHORIZER_CONFIGURATION_ERROR', { cause: new Error(`the authorizer's answer: ${what}`) });
  if (!isObject(answer)) throw invalid('no object');
  const { principalId, policyDocument, context = {}, usageIdentifierKey } = answer;
  if (typeof principalId !== 'string') throw invalid('principalId is no string');
  if (!isObject(policyDocument)) throw invalid('no policyDocument');
  if (context !== null && !isObject(context)) throw invalid('context is no map');
  const values = Object.entries(context ?? {});
  const nested = values.find(([, value]) => typeof value === 'object' && value !== null);
  if (nested !== undefined) throw invalid(`context.${nested[0]} is no string, number or boolean`);
  return {
    policy: policyDocument,
    context: { ...Object.fromEntries(values.map(([name, value]) => [name, String(value)])), principalId },
    usageIdentifierKey: typeof usageIdentifierKey === 'string' ? usageIdentifierKey : undefined,
  };
}
