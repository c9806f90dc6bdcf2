import { createHash } from 'node:crypto';
import { Token } from 'aws-cdk-lib';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { IBackend } from '../../model/backend';
import {
  type AnthropicBackendOptions,
  MaxTokensParameter,
  type OpenAiBackendOptions,
  type OpenAiCompatibleBackendOptions,
  type VertexAiBackendOptions,
} from '../../model/openai-compatible';
import { TokenPrice } from '../../model/token-price';
import type { BackendBinding, BackendContext } from '../backend-binding';
import type { BackendAuthConfig } from '../serving-config';
import { backendIdOf, commonConfig, DeployValues } from './base';

/**
 * What Anthropic's compatibility layer says it ignores, as far as it changes an answer (what only attributes or stores
 * a request, such as `user` and `metadata`, may be ignored). `n` must be 1 there.
 * https://platform.claude.com/docs/en/api/openai-sdk
 */
const ANTHROPIC_UNSUPPORTED = [
  'audio',
  'frequency_penalty',
  'logit_bias',
  'logprobs',
  'modalities',
  'n',
  'prediction',
  'presence_penalty',
  'reasoning_effort',
  'response_format',
  'seed',
  'top_logprobs',
];

/**
 * What Vertex AI's chat completions endpoint doesn't list among the parameters it supports, and so ignores.
 * https://cloud.google.com/vertex-ai/generative-ai/docs/migrate/openai/overview
 */
const VERTEX_UNSUPPORTED = [
  'audio',
  'logit_bias',
  'logprobs',
  'modalities',
  'parallel_tool_calls',
  'prediction',
  'top_logprobs',
];

export function openAiCompatible(url: string, options: OpenAiCompatibleBackendOptions): IBackend {
  const parsed = parseUrl(url, options.allowHttp ?? false);
  return new OpenAiCompatibleBackend({
    ...options,
    baseUrl: url,
    id: backendIdOf(options.backendId, 'openai-compatible', placeOf(parsed), options.model ?? ''),
    price: options.price ?? defaultPrice(url, parsed, options.model),
    auth: options.apiKey && {
      type: 'secret',
      secret: options.apiKey,
      ...(options.apiKeyField !== undefined && { jsonField: options.apiKeyField }),
      ...(options.apiKeyHeader !== undefined && { header: options.apiKeyHeader }),
    },
  });
}

export function openAi(model: string, options: OpenAiBackendOptions): IBackend {
  requireModel(model);
  return new OpenAiCompatibleBackend({
    ...options,
    baseUrl: 'https://api.openai.com/v1',
    model,
    id: backendIdOf(options.backendId, 'openai', model),
    price: options.price ?? TokenPrice._lookup({ id: 'openai' }, model),
    auth: keyAuth(options.apiKey, options.apiKeyField),
    headers: {
      ...(options.organization !== undefined && { 'openai-organization': options.organization }),
      ...(options.project !== undefined && { 'openai-project': options.project }),
    },
    maxTokensParameter: MaxTokensParameter.MAX_COMPLETION_TOKENS,
  });
}

export function anthropic(model: string, options: AnthropicBackendOptions): IBackend {
  requireModel(model);
  return new OpenAiCompatibleBackend({
    ...options,
    baseUrl: 'https://api.anthropic.com/v1',
    model,
    id: backendIdOf(options.backendId, 'anthropic', model),
    price: options.price ?? TokenPrice._lookup({ id: 'anthropic' }, model),
    auth: keyAuth(options.apiKey, options.apiKeyField),
    unsupportedParameters: options.unsupportedParameters ?? ANTHROPIC_UNSUPPORTED,
  });
}

export function vertexAi(model: string, options: VertexAiBackendOptions): IBackend {
  requireModel(model);
  const location = options.location ?? 'global';
  for (const [prop, value] of [
    ['projectId', options.projectId],
    ['location', location],
  ] as const) {
    if (!Token.isUnresolved(value) && !/^[a-z0-9][a-z0-9.:-]*$/.test(value)) {
      throw new Error(`${prop} must be an id of Google Cloud (lower-case letters, digits, "-"), got "${value}"`);
    }
  }
  // The global endpoint has no location in its host.
  const host = location === 'global' ? 'aiplatform.googleapis.com' : `${location}-aiplatform.googleapis.com`;
  const name = model.includes('/') ? model : `google/${model}`;
  return new OpenAiCompatibleBackend({
    ...options,
    baseUrl: `https://${host}/v1/projects/${options.projectId}/locations/${location}/endpoints/openapi`,
    model: name,
    id: backendIdOf(options.backendId, 'vertex', name),
    price: options.price ?? TokenPrice._lookup({ id: 'google' }, name.replace(/^google\//, '')),
    auth: {
      type: 'google',
      secret: options.credentials,
      ...(options.credentialsField !== undefined && { jsonField: options.credentialsField }),
    },
    unsupportedParameters: options.unsupportedParameters ?? VERTEX_UNSUPPORTED,
  });
}

interface Auth {
  readonly type: 'secret' | 'google';
  readonly secret: ISecret;
  readonly jsonField?: string;
  readonly header?: string;
}

interface Settings extends OpenAiCompatibleBackendOptions {
  readonly baseUrl: string;
  readonly id: string;
  readonly price: TokenPrice;
  readonly auth?: Auth;
}

class OpenAiCompatibleBackend implements IBackend {
  public readonly backendId: string;
  public readonly price: TokenPrice;

  /** @internal */
  public readonly _internet?: string;

  constructor(private readonly settings: Settings) {
    this.backendId = settings.id;
    this.price = settings.price;
    this._internet = publicHost(settings.baseUrl);
    if (settings.apiKey === undefined) {
      for (const prop of ['apiKeyField', 'apiKeyHeader'] as const) {
        if (settings[prop] !== undefined) throw new Error(`${prop} needs apiKey: the secret that holds the key`);
      }
    }
    for (const [name, value] of Object.entries(settings.headers ?? {})) {
      if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name))
        throw new Error(`headers has "${name}", which is no header name`);
      if (/^(authorization|api-key|x-api-key)$/i.test(name)) {
        throw new Error(`headers must not hold "${name}": put the key into a secret and pass it as apiKey`);
      }
      if (Token.isUnresolved(value) || /[\r\n\0]/.test(value)) {
        throw new Error(`the value of header "${name}" must be a single line that is known at synth`);
      }
    }
    commonConfig(this.backendId, this.price, settings);
  }

  /** @internal */
  public _bind(context: BackendContext): BackendBinding {
    const { settings } = this;
    const deploy = new DeployValues(this.backendId);
    return {
      config: {
        kind: 'openai-compatible',
        ...commonConfig(this.backendId, this.price, settings),
        baseUrl: deploy.putIfToken('URL', settings.baseUrl.replace(/\/+$/, '')),
        ...(settings.model !== undefined && { model: settings.model }),
        auth: this.bindAuth(context, deploy),
        headers: settings.headers ?? {},
        unsupportedParameters: settings.unsupportedParameters ?? [],
        maxTokensParameter: settings.maxTokensParameter ?? MaxTokensParameter.MAX_TOKENS,
        streamUsage: settings.streamUsage ?? true,
        ...(settings.continueFinalMessage !== undefined && { continueFinalMessage: settings.continueFinalMessage }),
      },
      environment: deploy.environment,
    };
  }

  private bindAuth(context: BackendContext, deploy: DeployValues): BackendAuthConfig {
    if (this.settings.auth === undefined) return { type: 'none' };
    const { secret, ...auth } = this.settings.auth;
    secret.grantRead(context.grantee);
    return { ...auth, secretArn: deploy.put('SECRET', secret.secretArn) };
  }
}

/** The host of a URL when it isn't one that is certainly reached inside a VPC; undefined for those and for tokens. */
function publicHost(url: string): string | undefined {
  if (Token.isUnresolved(url) || !URL.canParse(url)) return undefined;
  const { hostname, protocol } = new URL(url);
  const isPrivate =
    // `allowHttp` is for servers of one's own VPC.
    protocol === 'http:' ||
    /^(localhost|127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|\[)/.test(hostname) ||
    /\.(internal|local|amazonaws\.com)$/.test(hostname) ||
    !hostname.includes('.');
  return isPrivate ? undefined : hostname;
}

function keyAuth(secret: ISecret, jsonField: string | undefined): Auth {
  return { type: 'secret', secret, ...(jsonField !== undefined && { jsonField }) };
}

function requireModel(model: string): void {
  if (Token.isUnresolved(model) || model.trim() === '') {
    throw new Error(`the provider's name of the model must be a plain, non-empty string, got "${model}"`);
  }
}

/** A loopback server is the user's own machine, in a local run: nobody is billed. */
function defaultPrice(url: string, parsed: URL | undefined, model: string | undefined): TokenPrice {
  if (parsed !== undefined && isLoopback(parsed.hostname)) return TokenPrice.free();
  return TokenPrice._lookup({ url: parsed === undefined ? 'a URL that is not known at synth' : url }, model ?? '');
}

export function parseUrl(url: string, allowHttp: boolean): URL | undefined {
  if (Token.isUnresolved(url)) return undefined;
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new Error(`the URL of an OpenAI-compatible backend must be absolute (https://host/v1), got "${url}"`);
  }
  if (parsed.protocol !== 'https:' && parsed.protocol !== 'http:') {
    throw new Error(`the URL of an OpenAI-compatible backend must begin with https: or http:, got "${url}"`);
  }
  if (parsed.username !== '' || parsed.password !== '' || parsed.search !== '' || parsed.hash !== '') {
    throw new Error(
      `the URL of an OpenAI-compatible backend must have no credentials, query or fragment (pass keys as apiKey), got one for host "${parsed.host}"`,
    );
  }
  if (/\/chat\/completions\/?$/.test(parsed.pathname)) {
    throw new Error(`the URL of an OpenAI-compatible backend must end before /chat/completions, got "${url}"`);
  }
  if (parsed.protocol === 'http:' && !isLoopback(parsed.hostname) && !allowHttp) {
    throw new Error(
      `the URL "${url}" is unencrypted: use https:, or set allowHttp: true if the server is inside your own VPC`,
    );
  }
  return parsed;
}

/** Tells servers apart without telling where they are: clients see a backend's id. */
export function placeOf(url: URL | undefined): string {
  return url === undefined ? 'endpoint' : createHash('sha256').update(url.href).digest('hex').slice(0, 8);
}

export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
