import { Aws, Token } from 'aws-cdk-lib';
import { Port } from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type {
  BedrockEmbeddingOptions,
  EmbeddingOptions,
  FleetEmbeddingOptions,
  IEmbedding,
  OpenAiCompatibleEmbeddingOptions,
  OpenAiEmbeddingOptions,
} from '../cache/embedding';
import type { ModelFleet } from '../fleet/model-fleet';
import { backendIdOf, DeployValues } from './backends/base';
import { isLoopback, parseUrl, placeOf } from './backends/openai-compatible';
import type { CacheContext } from './cache-binding';
import { letIn } from './let-in';
import { lookUpInputPrice, type PriceProvider } from './price-lookup';
import type { BackendAuthConfig, BedrockEmbeddingConfig, EmbeddingConfig } from './serving-config';
import { requireInteger, requireKnown, requireNumber } from './validation';

/** What each request is compared with takes four bytes a dimension; beyond this no text embedding goes. */
const MAX_DIMENSIONS = 4096;

/** How models on Bedrock are asked, and the dimensions that they have, the most first. */
const BEDROCK: ReadonlyArray<{
  readonly pattern: RegExp;
  readonly format: BedrockEmbeddingConfig['format'];
  readonly dimensions: readonly number[];
}> = [
  { pattern: /^amazon\.titan-embed-text-v2/, format: 'titan-2', dimensions: [1024, 512, 256] },
  { pattern: /^amazon\.titan-embed-(text-v1|g1-text)/, format: 'titan-1', dimensions: [1536] },
  { pattern: /^cohere\.embed-(english|multilingual)-v3/, format: 'cohere', dimensions: [1024] },
];

export function bedrockEmbedding(modelId: string, options: BedrockEmbeddingOptions): IEmbedding {
  const known = Token.isUnresolved(modelId) ? undefined : BEDROCK.find(({ pattern }) => pattern.test(modelId));
  if (known === undefined) {
    throw new Error(
      `the embedding model must be amazon.titan-embed-text-v1, amazon.titan-embed-text-v2:0 or one of cohere.embed-…-v3, by its id, got "${modelId}"`,
    );
  }
  requireKnown('region', options.region);
  const dimensions = options.dimensions ?? known.dimensions[0] ?? 0;
  if (!known.dimensions.includes(dimensions)) {
    throw new Error(`dimensions of "${modelId}" must be one of ${known.dimensions.join(', ')}, got ${dimensions}`);
  }
  const id = idOf(options, modelId);
  const config: EmbeddingConfig = {
    kind: 'bedrock',
    ...{ id, dimensions, modelId, format: known.format },
    price: priceOf(options, { id: 'aws' }, modelId),
    ...(options.region !== undefined && { region: options.region }),
  };
  return embedding(config, ({ grantee }) => {
    const region = options.region ?? Aws.REGION;
    grantee.grantPrincipal.addToPrincipalPolicy(
      new PolicyStatement({
        actions: ['bedrock:InvokeModel'],
        resources: [`arn:${Aws.PARTITION}:bedrock:${region}::foundation-model/${modelId}`],
      }),
    );
    return {};
  });
}

export function openAiEmbedding(model: string, options: OpenAiEmbeddingOptions): IEmbedding {
  return server({
    ...{ ...options, baseUrl: 'https://api.openai.com/v1', model },
    dimensions: options.dimensions ?? 1536,
    sendDimensions: true,
    id: idOf(options, model),
    price: priceOf(options, { id: 'openai' }, model),
  });
}

export function openAiCompatibleEmbedding(url: string, options: OpenAiCompatibleEmbeddingOptions): IEmbedding {
  const parsed = parseUrl(url, options.allowHttp ?? false);
  for (const prop of ['apiKeyField', 'apiKeyHeader'] as const) {
    if (options[prop] !== undefined && options.apiKey === undefined) throw new Error(`${prop} needs apiKey`);
  }
  return server({
    ...{ ...options, baseUrl: url.replace(/\/+$/, '') },
    id: idOf(options, placeOf(parsed), options.model),
    price:
      parsed !== undefined && isLoopback(parsed.hostname)
        ? (options.pricePerMillionTokensUsd ?? 0)
        : priceOf(options, { url }, options.model),
  });
}

export function fleetEmbedding(fleet: ModelFleet, options: FleetEmbeddingOptions): IEmbedding {
  return server(
    {
      ...{ ...options, baseUrl: `http://${fleet.loadBalancer.loadBalancerDnsName}/v1`, model: fleet.modelName },
      apiKey: fleet.apiKey,
      id: idOf(options, fleet.fleetName),
      // Its GPUs are paid by the hour, whoever asks.
      price: options.pricePerMillionTokensUsd ?? 0,
    },
    ({ connections }) => {
      if (connections === undefined) {
        throw new Error(
          `fleet "${fleet.fleetName}" can be reached from inside its VPC only, and the gateway's function is in none: pass compute: GatewayCompute.lambda({ vpc: fleet.vpc }) to the gateway`,
        );
      }
      letIn(fleet.connections, connections, Port.tcp(80), 'Gateway');
    },
  );
}

interface Server {
  readonly id: string;
  readonly price: number;
  readonly baseUrl: string;
  readonly model: string;
  readonly dimensions: number;
  readonly sendDimensions?: boolean;
  readonly apiKey?: ISecret;
  readonly apiKeyField?: string;
  readonly apiKeyHeader?: string;
}

function server(props: Server, reach: (context: CacheContext) => void = () => {}): IEmbedding {
  requireKnown('model', props.model);
  requireKnown('dimensions', props.dimensions);
  requireInteger('dimensions', props.dimensions, 1, MAX_DIMENSIONS);
  const deploy = new DeployValues(props.id);
  const { apiKey } = props;
  const auth: BackendAuthConfig =
    apiKey === undefined
      ? { type: 'none' }
      : {
          type: 'secret',
          secretArn: deploy.put('SECRET', apiKey.secretArn),
          ...(props.apiKeyField !== undefined && { jsonField: props.apiKeyField }),
          ...(props.apiKeyHeader !== undefined && { header: props.apiKeyHeader }),
        };
  const config: EmbeddingConfig = {
    kind: 'openai-compatible',
    ...{ id: props.id, dimensions: props.dimensions, price: props.price },
    baseUrl: deploy.putIfToken('URL', props.baseUrl),
    model: props.model,
    auth,
    headers: {},
    sendDimensions: props.sendDimensions ?? false,
  };
  return embedding(config, (context) => {
    reach(context);
    apiKey?.grantRead(context.grantee);
    return deploy.environment;
  });
}

function embedding(config: EmbeddingConfig, bind: (context: CacheContext) => Record<string, string>): IEmbedding {
  return { embeddingId: config.id, dimensions: config.dimensions, _render: () => config, _bind: bind };
}

/** Apart from the backends' ids, whose variables these are among. */
const idOf = (options: EmbeddingOptions, ...parts: string[]): string =>
  backendIdOf(options.embeddingId, 'embedding', ...parts);

function priceOf(options: EmbeddingOptions, provider: PriceProvider, model: string): number {
  requireKnown('pricePerMillionTokensUsd', options.pricePerMillionTokensUsd);
  requireNumber('pricePerMillionTokensUsd', options.pricePerMillionTokensUsd, 0);
  const price = options.pricePerMillionTokensUsd ?? lookUpInputPrice(provider, model);
  if (price === undefined) {
    throw new Error(
      `no price is known for the embedding "${model}" of ${provider.id ?? provider.url}: pass pricePerMillionTokensUsd, 0 if nobody is billed for it`,
    );
  }
  return price;
}
