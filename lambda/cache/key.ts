import { createHash } from 'node:crypto';
import type { CacheScope } from '../../lib/private/serving-config.ts';
import type { ModelConfig } from '../contract/config.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import type { CacheAsk, Owner } from './contract.ts';

/** Parameters that say how, by whom or for what an answer is asked for, and change nothing in it. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  'model',
  'stream',
  'stream_options',
  'user',
  'safety_identifier',
  'metadata',
  'store',
  'service_tier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'priority',
  // Folded into one limit.
  'max_tokens',
  'max_completion_tokens',
]);

/** Values that say what is so anyway, by OpenAI's definition of the protocol; other defaults are the backends' own. */
const DEFAULTS: Readonly<Record<string, string>> = {
  n: '1',
  logprobs: 'false',
  response_format: '{"type":"text"}',
  tools: '[]',
  stop: '[]',
  logit_bias: '{}',
};

/**
 * What of a request changes its answer, as one text: two requests with the same one may have the same answer. Fields of
 * the request and of its messages come in the order of their names; inside (a tool's JSON schema) the order stays, for
 * models see it.
 */
export function canonicalRequest(request: ChatCompletionRequest, maxOutputTokens: number | undefined): string {
  const asked = request.max_completion_tokens ?? request.max_tokens ?? undefined;
  const limits = [asked, maxOutputTokens].filter((limit) => limit !== undefined);
  const fields = Object.entries(request)
    .filter(([name, value]) => value != null && !WITHOUT_EFFECT.has(name))
    .map(([name, value]) => [name, name === 'messages' ? request.messages.map(sorted) : value] as const)
    .filter(([name, value]) => DEFAULTS[name] !== JSON.stringify(value))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  // Without a limit of the client's own, a backend's context decides as well.
  return JSON.stringify([fields, limits.length === 0 ? null : Math.min(...limits), asked !== undefined]);
}

const sorted = (message: object): object =>
  Object.fromEntries(
    Object.entries(message)
      .filter(([, value]) => value != null)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );

const versions = new WeakMap<ModelConfig, string>();

/** Changes with whatever of the configuration changes a model's answers; prices and deadlines don't. */
export function modelVersion(model: ModelConfig): string {
  let version = versions.get(model);
  if (version === undefined) {
    const { name, backends, maxOutputTokens, routing } = model;
    const answering = backends.map(({ price: _, deadlines: __, ...rest }) => rest);
    version = digest(JSON.stringify([name, maxOutputTokens ?? null, routing?.cheap ?? null, answering]));
    versions.set(model, version);
  }
  return version;
}

/** Whose answers these are. */
export function ownerOf(scope: CacheScope, { consumer, kind, tier }: Owner): readonly string[] {
  if (scope === 'global') return ['global'];
  if (scope === 'tier') return ['tier', tier];
  return [kind, consumer];
}

/**
 * The hash under which an answer is kept. JSON keeps the parts apart, so that no name or prompt can be chosen to look
 * like another's key.
 */
export function cacheKey(ask: CacheAsk, deployment: string, scope: CacheScope, version: string): string {
  return digest(
    JSON.stringify([
      'llm-answer-1',
      deployment,
      ownerOf(scope, ask.owner),
      modelVersion(ask.model),
      version,
      ask.variant ?? null,
      canonicalRequest(ask.request, ask.maxOutputTokens),
    ]),
  );
}

/**
 * What has to be the same for two requests to be similar: all that is in a key, with the text that is compared left out of
 * the request. A request can't be found from another context, whatever its vector.
 *
 * @param rest the request without that text
 * @param sense what the text and its comparison have to have in common beside that
 */
export function semanticContext(
  ask: CacheAsk,
  deployment: string,
  { scope, version }: { readonly scope: CacheScope; readonly version: string },
  rest: ChatCompletionRequest,
  sense: readonly unknown[],
): string {
  const parts = [
    'llm-semantic-1',
    deployment,
    ownerOf(scope, ask.owner),
    modelVersion(ask.model),
    version,
    ask.variant ?? null,
    canonicalRequest(rest, ask.maxOutputTokens),
    sense,
  ];
  // Hexadecimal: a tag of a search must hold nothing that its query would have to escape.
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');
