import { Duration } from 'aws-cdk-lib';
import { Port } from 'aws-cdk-lib/aws-ec2';
import type { ModelFleet } from '../../fleet/model-fleet';
import type { FleetBackendOptions, IBackend } from '../../model/backend';
import { TokenPrice } from '../../model/token-price';
import type { BackendBinding, BackendContext } from '../backend-binding';
import { letIn } from '../let-in';
import { requireNumber } from '../validation';
import { backendIdOf, commonConfig, DeployValues } from './base';

/** Prompt and answer tokens an hour of one GPU in use: about 280 a second. Cautious for an 8B model on an L4. */
const TOKENS_PER_GPU_HOUR = 1_000_000;

/** OpenAI's SDKs heed `Retry-After` up to 60 s; a start takes longer, and several tries are better than none. */
const RETRY_AFTER_MS = 30_000;

/** A fleet's own gateway steers its engine; for others it is a server like any. */
export class FleetBackend implements IBackend {
  public readonly backendId: string;
  public readonly price: TokenPrice;
  /** Of one task. */
  public readonly expectedTokensPerHour: number;
  private readonly options: FleetBackendOptions;

  constructor(
    public readonly fleet: ModelFleet,
    options: FleetBackendOptions,
  ) {
    // Past the engine's limit a request would fail there anyway, after a wait.
    this.options = {
      contextWindow: fleet._engine.memory.contextLength,
      connectTimeout: Duration.seconds(3),
      ...options,
    };
    this.backendId = backendIdOf(options.backendId, 'fleet', fleet.fleetName);
    this.expectedTokensPerHour = expectedTokens(fleet, options.expectedTokensPerHour);
    this.price = options.price ?? priceOf(fleet, this.expectedTokensPerHour);
    commonConfig(this.backendId, this.price, this.options);
  }

  public get _maxTasks(): number {
    return this.fleet._maxTasks;
  }

  /** @internal */
  public _bind({ grantee, connections }: BackendContext): BackendBinding {
    const { fleet } = this;
    if (connections === undefined) {
      throw new Error(
        `fleet "${fleet.fleetName}" can be reached from inside its VPC only, and the gateway's function is in none: pass compute: GatewayCompute.lambda({ vpc: fleet.vpc }) to the gateway`,
      );
    }
    letIn(fleet.connections, connections, Port.tcp(80), 'Gateway');
    const deploy = new DeployValues(this.backendId);
    fleet.apiKey?.grantRead(grantee);
    const { fields, unsupportedParameters } = fleet._engine;
    return {
      config: {
        kind: 'openai-compatible',
        ...commonConfig(this.backendId, this.price, this.options),
        baseUrl: deploy.put('URL', `http://${fleet.loadBalancer.loadBalancerDnsName}/v1`),
        model: fleet.modelName,
        auth:
          fleet.apiKey === undefined
            ? { type: 'none' }
            : { type: 'secret', secretArn: deploy.put('SECRET', fleet.apiKey.secretArn) },
        headers: {},
        unsupportedParameters,
        maxTokensParameter: 'max_tokens',
        streamUsage: true,
        fleet: {
          name: fleet.fleetName,
          metricsNamespace: fleet.metricsNamespace,
          engine: fleet.engineName,
          cacheSalt: fields.cacheSalt,
          ...(fields.priority && { priority: fields.priority }),
          stickySeconds: fleet._stickySeconds,
          maxTasks: fleet._maxTasks,
          retryAfterMs: RETRY_AFTER_MS,
        },
      },
      environment: deploy.environment,
    };
  }
}

function expectedTokens(fleet: ModelFleet, given: number | undefined): number {
  requireNumber('expectedTokensPerHour', given, 1);
  return given ?? TOKENS_PER_GPU_HOUR * fleet._engine.gpus;
}

/** What a task costs an hour over what it does in that hour: input and output tokens alike. */
function priceOf(fleet: ModelFleet, expectedTokensPerHour: number): TokenPrice {
  if (fleet._taskHourlyUsd === undefined) {
    throw new Error(
      `no hourly price is known for the instances of fleet "${fleet.fleetName}": pass hourlyPriceUsd to its capacity, or price to Backend.fleet`,
    );
  }
  const usd = Number(((fleet._taskHourlyUsd / expectedTokensPerHour) * 1_000_000).toPrecision(6));
  return TokenPrice.perMillion({ inputUsd: usd, outputUsd: usd });
}
