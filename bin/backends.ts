import { Duration, type Stack } from 'aws-cdk-lib';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import {
  Backend,
  BedrockJsonSchema,
  BedrockReasoning,
  BedrockServiceTier,
  type IBackend,
  LlmServingStack,
  type LongContextPrice,
  MaxTokensParameter,
  TokenPrice,
} from '../lib/index.js';
import {
  asObject,
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

const price: Decode<TokenPrice> = (value, path) => {
  if (value === 'free') return TokenPrice.free();
  const { longContext, ...usd } = fields({ ...tokenPrices, longContext: list(longContextPrice) })(value, path);
  const prices = { ...usd, ...requiredPrices(usd, path) };
  return at(path, () => TokenPrice.perMillion({ ...prices, longContext }));
};

const tokenPrices = { inputUsd: number, outputUsd: number, cachedInputUsd: number, cacheWriteUsd: number };

const longContextPrice: Decode<LongContextPrice> = (value, path) => {
  const usd = fields({ ...tokenPrices, aboveInputTokens: number })(value, path);
  const aboveInputTokens = required(usd.aboveInputTokens, `${path}.aboveInputTokens`);
  return { ...usd, ...requiredPrices(usd, path), aboveInputTokens };
};

const requiredPrices = ({ inputUsd, outputUsd }: Fields<typeof tokenPrices>, path: string) => ({
  inputUsd: required(inputUsd, `${path}.inputUsd`),
  outputUsd: required(outputUsd, `${path}.outputUsd`),
});

const common = {
  id: text,
  price,
  contextWindow: number,
  maxOutputTokens: number,
  connectTimeoutSeconds: number,
  firstTokenTimeoutSeconds: number,
  betweenTokensTimeoutSeconds: number,
  wholeAnswerTimeoutSeconds: number,
};

const bedrock = fields({
  ...common,
  bedrock: text,
  region: text,
  foundationModelId: text,
  profileRegions: list(text),
  guardrailId: text,
  guardrailVersion: text,
  serviceTier: oneOf(Object.values(BedrockServiceTier)),
  promptCaching: boolean,
  jsonSchema: oneOf(Object.values(BedrockJsonSchema)),
  reasoning: oneOf(Object.values(BedrockReasoning)),
  images: boolean,
  tools: boolean,
});
const openAiCompatible = fields({
  ...common,
  openAiCompatible: text,
  model: text,
  apiKeySecret: text,
  apiKeyField: text,
  apiKeyHeader: text,
  headers: record(text),
  unsupportedParameters: list(text),
  maxTokensParameter: oneOf(Object.values(MaxTokensParameter)),
  streamUsage: boolean,
  continueFinalMessage: boolean,
  allowHttp: boolean,
});
const openAi = fields({
  ...common,
  openAi: text,
  apiKeySecret: text,
  apiKeyField: text,
  organization: text,
  project: text,
});
const anthropic = fields({ ...common, anthropic: text, apiKeySecret: text, apiKeyField: text });
const vertexAi = fields({
  ...common,
  vertexAi: text,
  projectId: text,
  location: text,
  credentialsSecret: text,
  credentialsField: text,
});
const fleet = fields({ ...common, fleet: text, expectedTokensPerHour: number });
const staticReply = fields({ id: text, staticReply: text });
const rules = fields({ id: text, rules: list(fields({ pattern: text, reply: text })), otherwise: text });

/** A backend of the context, made once its stack is there to import secrets into. */
export type BackendFactory = (stack: Stack) => IBackend;

/** By the key that says what it is. */
const KINDS: Readonly<Record<string, Decode<BackendFactory>>> = {
  bedrock: (value, path) => {
    const { bedrock: modelId, guardrailId, guardrailVersion, ...options } = bedrock(value, path);
    if (guardrailVersion !== undefined && guardrailId === undefined) {
      throw new ContextError(`${path}.guardrailVersion needs guardrailId`);
    }
    return () =>
      Backend.bedrock(required(modelId, `${path}.bedrock`), {
        ...commonOptions(options),
        ...(guardrailId !== undefined && { guardrail: { guardrailId, guardrailVersion } }),
      });
  },
  openAiCompatible: (value, path) => {
    const { openAiCompatible: url, apiKeySecret, ...options } = openAiCompatible(value, path);
    return (stack) =>
      Backend.openAiCompatible(required(url, `${path}.openAiCompatible`), {
        ...commonOptions(options),
        ...(apiKeySecret !== undefined && { apiKey: secretOf(stack, apiKeySecret) }),
      });
  },
  openAi: (value, path) => {
    const { openAi: model, apiKeySecret, ...options } = openAi(value, path);
    const secret = required(apiKeySecret, `${path}.apiKeySecret`);
    return (stack) =>
      Backend.openAi(required(model, `${path}.openAi`), { ...commonOptions(options), apiKey: secretOf(stack, secret) });
  },
  anthropic: (value, path) => {
    const { anthropic: model, apiKeySecret, ...options } = anthropic(value, path);
    const secret = required(apiKeySecret, `${path}.apiKeySecret`);
    return (stack) =>
      Backend.anthropic(required(model, `${path}.anthropic`), {
        ...commonOptions(options),
        apiKey: secretOf(stack, secret),
      });
  },
  vertexAi: (value, path) => {
    const { vertexAi: model, projectId, credentialsSecret, ...options } = vertexAi(value, path);
    const secret = required(credentialsSecret, `${path}.credentialsSecret`);
    const project = required(projectId, `${path}.projectId`);
    return (stack) =>
      Backend.vertexAi(required(model, `${path}.vertexAi`), {
        ...commonOptions(options),
        projectId: project,
        credentials: secretOf(stack, secret),
      });
  },
  fleet: (value, path) => {
    const { fleet: name, ...options } = fleet(value, path);
    return (stack) => {
      const own = stack instanceof LlmServingStack ? stack.fleet : undefined;
      if (own === undefined) throw new ContextError('a fleet needs the preset hybrid or self-hosted');
      if (own.fleetName !== name)
        throw new ContextError(`there is no fleet "${name}": it is called "${own.fleetName}"`);
      return Backend.fleet(own, commonOptions(options));
    };
  },
  staticReply: (value, path) => {
    const { staticReply: reply, id } = staticReply(value, path);
    return () => Backend.staticReply(required(reply, `${path}.staticReply`), { backendId: id });
  },
  rules: (value, path) => {
    const { rules: given, id, otherwise } = rules(value, path);
    const list = required(given, `${path}.rules`).map(({ pattern, reply }, index) => ({
      pattern: required(pattern, `${path}.rules[${index}].pattern`),
      reply: required(reply, `${path}.rules[${index}].reply`),
    }));
    return () => Backend.rules(list, { backendId: id, otherwise });
  },
};

export const backend: Decode<BackendFactory> = (value, path) => {
  const kinds = Object.keys(asObject(value, path)).filter((key) => Object.hasOwn(KINDS, key));
  const [kind] = kinds;
  const decode = kind === undefined ? undefined : KINDS[kind];
  if (decode === undefined || kinds.length > 1) {
    throw new ContextError(
      `${path} must have exactly one of ${Object.keys(KINDS).join(', ')}, got ${kinds.join(', ') || 'none'}`,
    );
  }
  const make = decode(value, path);
  return (stack) => at(path, () => make(stack));
};

type CommonOptions = Fields<typeof common>;

/** The context's names of the common options are those of a JSON file: no objects for durations. */
function commonOptions<O extends CommonOptions>(options: O) {
  const { id, connectTimeoutSeconds, firstTokenTimeoutSeconds, betweenTokensTimeoutSeconds, ...others } = options;
  const { wholeAnswerTimeoutSeconds, ...rest } = others;
  return {
    ...rest,
    backendId: id,
    connectTimeout: seconds(connectTimeoutSeconds),
    firstTokenTimeout: seconds(firstTokenTimeoutSeconds),
    betweenTokensTimeout: seconds(betweenTokensTimeoutSeconds),
    wholeAnswerTimeout: seconds(wholeAnswerTimeoutSeconds),
  };
}

export function seconds(value: number | undefined): Duration | undefined {
  return value === undefined ? undefined : Duration.millis(Math.round(value * 1000));
}

/** A secret by its name or its complete ARN. Several backends may name the same one. */
function secretOf(stack: Stack, nameOrArn: string): ISecret {
  const id = `Secret-${nameOrArn.replaceAll('/', '-')}`;
  const known = stack.node.tryFindChild(id);
  if (known !== undefined) return known as unknown as ISecret;
  return nameOrArn.startsWith('arn:')
    ? Secret.fromSecretCompleteArn(stack, id, nameOrArn)
    : Secret.fromSecretNameV2(stack, id, nameOrArn);
}
