import { Annotations, Aspects } from 'aws-cdk-lib';
import { Period, UsagePlan } from 'aws-cdk-lib/aws-apigateway';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import type { HardLimitsConfig, TierConfig, TierLimitsConfig } from '../private/serving-config';
import { ServingMetrics } from '../private/serving-metrics';
import {
  requireBudget,
  requireBurst,
  requireInteger,
  requireKnown,
  requireName,
  requireUnique,
} from '../private/validation';
import type { IConsumer } from './consumer';
import { BudgetAction, type LedgerUnavailable } from './tier-limits';

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

  /**
   * Tokens that each consumer may use in a minute, prompts and answers together. A request counts with its longest
   * possible answer until it is over, and with what it used from then on. Exact, however many processes there are.
   *
   * @default - no limit
   */
  readonly tokensPerMinute?: number;

  /**
   * Requests that each consumer may send in a minute: exact, where `requestsPerSecond` is a best effort.
   *
   * @default - no limit
   */
  readonly requestsPerMinute?: number;

  /**
   * What each consumer may spend in a calendar month (UTC), in USD. A request counts with what it may cost at most until
   * it is over, and with what it did cost from then on.
   *
   * @default - no limit
   */
  readonly monthlyBudgetUsd?: number;

  /**
   * What becomes of a request that a budget, the consumer's or its team's, has no room for.
   *
   * @default BudgetAction.block()
   */
  readonly onBudgetExceeded?: BudgetAction;

  /**
   * Percentages of a budget that are told of once each, when spending passes them: a line in the log, and the metric
   * `BudgetThresholds`.
   *
   * @default [50, 80, 100]
   */
  readonly budgetThresholds?: number[];

  /**
   * What becomes of requests while the ledger doesn't answer.
   *
   * @default - they are refused when a budget limits them, and answered otherwise
   */
  readonly ledgerUnavailable?: LedgerUnavailable;
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

  /** Tokens that each consumer may use in a minute. */
  public readonly tokensPerMinute?: number;

  /** Requests that each consumer may send in a minute. */
  public readonly requestsPerMinute?: number;

  /** What each consumer may spend in a month, in USD. */
  public readonly monthlyBudgetUsd?: number;

  private readonly onBudgetExceeded: BudgetAction;
  private readonly budgetThresholds: number[];
  private readonly ledgerUnavailable?: LedgerUnavailable;
  private readonly hasLimits: boolean;
  private readonly ownConsumers: IConsumer[] = [];
  private hardLimits?: HardLimitsConfig;
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
    for (const prop of ['tokensPerMinute', 'requestsPerMinute'] as const) {
      requireKnown(prop, props[prop]);
      requireInteger(prop, props[prop], 1);
    }
    requireBudget(props.monthlyBudgetUsd);
    this.tokensPerMinute = props.tokensPerMinute;
    this.requestsPerMinute = props.requestsPerMinute;
    this.monthlyBudgetUsd = props.monthlyBudgetUsd;
    this.onBudgetExceeded = props.onBudgetExceeded ?? BudgetAction.block();
    this.budgetThresholds = thresholdsOf(props.budgetThresholds);
    this.ledgerUnavailable = props.ledgerUnavailable;
    this.hasLimits = LIMIT_PROPS.some((prop) => props[prop] !== undefined);
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

  /** Requests that the ledger didn't admit or settle in time; their sum over 5 minutes unless told otherwise. */
  public metricLedgerErrors(options?: MetricOptions): Metric {
    return this.metrics.metric('LedgerErrors', options);
  }

  /** Thresholds of budgets that spending just passed; their sum over 5 minutes unless told otherwise. */
  public metricBudgetThresholds(options?: MetricOptions): Metric {
    return this.metrics.metric('BudgetThresholds', options);
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
      ...((this.hasLimits || this.hardLimits !== undefined) && { limits: this.renderLimits(modelName) }),
    };
  }

  /** What pauses each of its consumers. @internal */
  public _setHardLimits(limits: HardLimitsConfig): void {
    if (this.hardLimits !== undefined) {
      throw new Error(
        `tier "${this.tierName}" has hard limits already: pass both limits in one call of pauseConsumersAbove`,
      );
    }
    this.hardLimits = limits;
  }

  /** What only a ledger can count. @internal */
  public _limits(): string[] {
    return (['tokensPerMinute', 'requestsPerMinute', 'monthlyBudgetUsd'] as const).filter(
      (prop) => this[prop] !== undefined,
    );
  }

  /** The model that answers when a budget is spent. @internal */
  public _downgradeModel(): string | undefined {
    return this.onBudgetExceeded._modelName;
  }

  private renderLimits(modelName: (nameOrAlias: string) => string): TierLimitsConfig {
    const { _action, _modelName } = this.onBudgetExceeded;
    return {
      ...(this.tokensPerMinute !== undefined && { tokensPerMinute: this.tokensPerMinute }),
      ...(this.requestsPerMinute !== undefined && { requestsPerMinute: this.requestsPerMinute }),
      ...(this.monthlyBudgetUsd !== undefined && { monthlyBudgetUsd: this.monthlyBudgetUsd }),
      onExceeded: _action,
      ...(_modelName !== undefined && { downgradeTo: modelName(_modelName) }),
      thresholds: this.budgetThresholds,
      ...(this.ledgerUnavailable !== undefined && { ledgerUnavailable: this.ledgerUnavailable }),
      ...(this.hardLimits !== undefined && { hardLimits: this.hardLimits }),
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

/** What the handler has to be told of; without them it does what their defaults say. */
const LIMIT_PROPS = [
  'tokensPerMinute',
  'requestsPerMinute',
  'monthlyBudgetUsd',
  'onBudgetExceeded',
  'budgetThresholds',
  'ledgerUnavailable',
] as const;

function thresholdsOf(percentages: readonly number[] = [50, 80, 100]): number[] {
  for (const percentage of percentages) requireInteger('budgetThresholds', percentage, 1, 1000);
  requireUnique('budgetThresholds', percentages.map(String));
  return [...percentages];
}

function periodOf(period: QuotaPeriod): Period {
  return Period[period];
}
