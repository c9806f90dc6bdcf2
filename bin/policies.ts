import {
  FailureKind,
  FallbackPolicy,
  type FallbackPolicyOptions,
  type IBackend,
  RouteTarget,
  RoutingPolicy,
  type RoutingRule,
} from '../lib/index.js';
import { seconds } from './backends.ts';
import {
  at,
  boolean,
  ContextError,
  type Decode,
  type Fields,
  fields,
  list,
  number,
  oneOf,
  record,
  required,
  text,
} from './decode.ts';

const circuitBreaker = {
  windowSeconds: number,
  minimumCalls: number,
  failureRate: number,
  consecutiveFailures: number,
  openTimeSeconds: number,
  maxOpenTimeSeconds: number,
  slowFirstTokenSeconds: number,
  skipTimeSeconds: number,
};

const fallbackFields = fields({
  failOverOn: list(oneOf(Object.values(FailureKind))),
  retryOn: list(oneOf(Object.values(FailureKind))),
  retries: number,
  retryBudget: number,
  backoffSeconds: number,
  maxRetryAfterSeconds: number,
  firstTokenTimeoutSeconds: number,
  hedgeAfterSeconds: number,
  circuitBreaker: fields(circuitBreaker),
  quality: fields({
    empty: boolean,
    contentFilter: boolean,
    invalidJson: boolean,
    schemaViolation: boolean,
    invalidToolArguments: boolean,
    repetition: boolean,
    truncation: boolean,
    patterns: list(text),
    holdBackCharacters: number,
  }),
  resumeStreams: boolean,
});

/** `models[…].fallback` */
export const fallback: Decode<FallbackPolicy> = (value, path) => {
  const { backoffSeconds, maxRetryAfterSeconds, firstTokenTimeoutSeconds, hedgeAfterSeconds, ...given } =
    fallbackFields(value, path);
  const options: FallbackPolicyOptions = {
    ...given,
    backoff: seconds(backoffSeconds),
    maxRetryAfter: seconds(maxRetryAfterSeconds),
    firstTokenTimeout: seconds(firstTokenTimeoutSeconds),
    hedgeAfter: seconds(hedgeAfterSeconds),
    circuitBreaker: given.circuitBreaker && breakerOptions(given.circuitBreaker),
  };
  return at(path, () => FallbackPolicy.of(options));
};

function breakerOptions(given: Fields<typeof circuitBreaker>): FallbackPolicyOptions['circuitBreaker'] {
  const { windowSeconds, openTimeSeconds, maxOpenTimeSeconds, slowFirstTokenSeconds, skipTimeSeconds, ...rest } = given;
  return {
    ...rest,
    window: seconds(windowSeconds),
    openTime: seconds(openTimeSeconds),
    maxOpenTime: seconds(maxOpenTimeSeconds),
    slowFirstToken: seconds(slowFirstTokenSeconds),
    skipTime: seconds(skipTimeSeconds),
  };
}

const routingFields = fields({
  cheap: text,
  simple: fields({
    maxPromptTokens: number,
    maxTurns: number,
    tools: boolean,
    jsonSchema: boolean,
    images: boolean,
    reasoning: boolean,
  }),
  rules: list(
    fields({
      name: text,
      route: oneOf(Object.values(RouteTarget)),
      patterns: list(text),
      features: list(text),
      tiers: list(text),
      consumers: list(text),
      metadata: record(list(text)),
    }),
  ),
  clientPriority: boolean,
});

/** A policy of the context, made once the model's backends are there to be referred to by their ids. */
export type RoutingFactory = (backends: readonly IBackend[]) => RoutingPolicy;

/** `models[…].routing` */
export const routing: Decode<RoutingFactory> = (value, path) => {
  const { cheap: id, rules, ...options } = routingFields(value, path);
  const cheapId = required(id, `${path}.cheap`);
  const ownRules = rules?.map(
    ({ name, route, ...conditions }, index): RoutingRule => ({
      ...conditions,
      name: required(name, `${path}.rules[${index}].name`),
      route: required(route, `${path}.rules[${index}].route`),
    }),
  );
  return (backends) => {
    const cheap = backends.find(({ backendId }) => backendId === cheapId);
    if (cheap === undefined) {
      const ids = backends.map(({ backendId }) => backendId).join(', ');
      throw new ContextError(`${path}.cheap must be the id of one of the model's backends (${ids}), got "${cheapId}"`);
    }
    return at(path, () => RoutingPolicy.of({ ...options, cheap, rules: ownRules }));
  };
};
