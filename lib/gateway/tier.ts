import { Annotations, Aspects } from 'aws-cdk-lib';
import { Period, UsagePlan } from 'aws-cdk-lib/aws-apigateway';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import type { TierConfig } from '../private/serving-config';
import { ServingMetrics } from '../private/serving-metrics';
import { requireBurst, requireInteger, requireKnown, requireName, requireUnique } from '../private/validation';
import type { IConsumer } from './consumer';

/** The time that a request quota counts over. */
export enum QuotaPeriod {
  /** From midnight to midnight, UTC. */
  DAY = 'DAY',
  /** From Sunday to Saturday. */
  WEEK = 'WEEK',
  /** A calendar month. */
  MONTH = 'MONTH',
}

/** Properties of a tier. */
export interface TierProps {
  /**
   * Names the tier in logs and metrics: letters, digits and `_.-`, at most 64. Unique within a gateway.
   *
   * @default - the construct's id, in lower case
   */
  readonly tierName?: string;

  /**
   * Requests a second of each consumer, in the long run. API Gateway counts on a best-effort basis.
   *
   * @default 10
   */
  readonly requestsPerSecond?: number;

  /**
   * Requests that a consumer may send at once, after having been quiet.
   *
   * @default - twice `requestsPerSecond`
   */
  readonly burst?: number;

  /**
   * Requests of each consumer in a `quotaPeriod`.
   *
   * @default - no quota
   */
  readonly requestQuota?: number;

  /**
   * The time that `requestQuota` counts over.
   *
   * @default QuotaPeriod.MONTH
   */
  readonly quotaPeriod?: QuotaPeriod;

  /**
   * Names or aliases of the models that its consumers may ask for, by any of their names.
   *
   * @default - all
   */
  readonly allowedModels?: string[];

  /**
   * How many tokens an answer may have: a request that asks for more is clamped to this.
   *
   * @default - the model's maximum alone
   */
  readonly maxOutputTokens?: number;

  /**
   * Whom fleets serve first when requests wait there: a higher number before a lower one, -100 to 100.
   *
   * @default 0
   */
  readonly priority?: number;
}

/** What its consumers may do: a usage plan of API Gateway, and what the handler holds them to. */
export class Tier extends Construct {
  /** Names the tier in logs and metrics. */
  public readonly tierName: string;

  /** The usage plan. */
  public readonly usagePlan: UsagePlan;

  /** Names of the models that its consumers may ask for; all when undefined. */
  public readonly allowedModels?: string[];

  /** How many tokens an answer may have. */
  public readonly maxOutputTokens?: number;

  /** Whom fleets serve first when requests wait there. */
  public readonly priority: number;

  private readonly ownConsumers: IConsumer[] = [];
  private readonly metrics: ServingMetrics<'tier'>;
  private inGateway = false;

  constructor(scope: Construct, id: string, props: TierProps = {}) {
    super(scope, id);
    this.tierName = props.tierName ?? id.toLowerCase();
    requireName('tierName', this.tierName, props.tierName === undefined);
    this.metrics = new ServingMetrics('tier', this.tierName);
    const requestsPerSecond = props.requestsPerSecond ?? 10;
    const burst = requireBurst(requestsPerSecond, props.burst);
    requireInteger('requestQuota', props.requestQuota, 1);
    if (props.quotaPeriod !== undefined && props.requestQuota === undefined) {
      throw new Error('quotaPeriod needs requestQuota: the number of requests in that period');
    }
    if (props.allowedModels?.length === 0) {
      throw new Error(
        `tier "${this.tierName}" allows no model: name one in allowedModels, or leave it out to allow all`,
      );
    }
    requireUnique('allowedModels', props.allowedModels ?? []);
    requireKnown('maxOutputTokens', props.maxOutputTokens);
    requireInteger('maxOutputTokens', props.maxOutputTokens, 1);
    this.allowedModels = props.allowedModels && [...props.allowedModels];
    this.maxOutputTokens = props.maxOutputTokens;
    requireInteger('priority', props.priority, -100, 100);
    this.priority = props.priority ?? 0;
    this.usagePlan = new UsagePlan(this, 'Resource', {
      description: `Tier ${this.tierName}`,
      throttle: { rateLimit: requestsPerSecond, burstLimit: burst },
      ...(props.requestQuota !== undefined && {
        quota: { limit: props.requestQuota, period: periodOf(props.quotaPeriod ?? QuotaPeriod.MONTH) },
      }),
    });
    Aspects.of(this).add({
      visit: (node) => {
        if (node === this) this.warnIfUnused();
      },
    });
  }

  /** The consumers that were declared with this tier. */
  public get consumers(): IConsumer[] {
    return [...this.ownConsumers];
  }

  /** Chat completions of its consumers; their sum over 5 minutes unless told otherwise. */
  public metricRequests(options?: MetricOptions): Metric {
    return this.metrics.metric('Requests', options);
  }

  /** Those that failed by a fault of ours or of a backend; their sum over 5 minutes unless told otherwise. */
  public metricErrors(options?: MetricOptions): Metric {
    return this.metrics.metric('Errors', options);
  }

  /** Input tokens, cached ones among them; their sum over 5 minutes unless told otherwise. */
  public metricInputTokens(options?: MetricOptions): Metric {
    return this.metrics.metric('InputTokens', options);
  }

  /** Output tokens; their sum over 5 minutes unless told otherwise. */
  public metricOutputTokens(options?: MetricOptions): Metric {
    return this.metrics.metric('OutputTokens', options);
  }

  /** What the answers cost, in USD; the sum over 5 minutes unless told otherwise. */
  public metricCostUsd(options?: MetricOptions): Metric {
    return this.metrics.metric('CostUsd', options);
  }

  /** @internal */
  public _addedToGateway(metricsNamespace: string): void {
    this.inGateway = true;
    this.metrics.addNamespace(metricsNamespace);
  }

  /** @internal */
  public _addConsumer(consumer: IConsumer): void {
    this.usagePlan.addApiKey(consumer.apiKey);
    this.ownConsumers.push(consumer);
  }

  /** @internal */
  public _render(modelName: (nameOrAlias: string) => string): TierConfig {
    return {
      name: this.tierName,
      ...(this.allowedModels && { allowedModels: this.allowedModels.map(modelName) }),
      ...(this.maxOutputTokens !== undefined && { maxOutputTokens: this.maxOutputTokens }),
      ...(this.priority !== 0 && { priority: this.priority }),
    };
  }

  /** Warns of keys that nobody can use. Tiers may be added until synthesis. */
  private warnIfUnused(): void {
    if (this.inGateway || this.ownConsumers.length === 0) return;
    Annotations.of(this).addWarningV2(
      'cdk-llm-serving:tierWithoutGateway',
      `tier "${this.tierName}" has consumers and is in no gateway, so that their keys are refused: pass it in the gateway's tiers, or call addTier`,
    );
  }
}

function periodOf(period: QuotaPeriod): Period {
  return Period[period];
}
