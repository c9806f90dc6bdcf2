import { Duration } from 'aws-cdk-lib';
import {
  Alarm,
  AnomalyDetectionAlarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  type Metric,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import type { Gateway } from '../gateway/gateway';
import type { Tier } from '../gateway/tier';
import { addRecipients } from '../private/alarm-recipients';
import { alarmDescription } from '../private/runbook';
import { requireInteger, requireKnown, requireNumber, requireUnique } from '../private/validation';
import { type AlarmRecipients, AlarmTopic } from './alarm-topic';
import { CostMeter } from './cost-meter';

/** Options of cost alarms. */
export interface CostAlarmsOptions extends AlarmRecipients {
  /**
   * What a month may cost, in USD: managed models by their tokens, fleets by their instances' hours. It gives the other
   * limits their defaults, too.
   *
   * @default - none: no alarms on the month
   */
  readonly monthlyBudgetUsd?: number;

  /**
   * Percentages of `monthlyBudgetUsd` at which somebody is told, once each month.
   *
   * @default [50, 80, 100]
   */
  readonly budgetThresholdsPercent?: number[];

  /**
   * Tell when the month is going to end above `monthlyBudgetUsd`.
   *
   * @default true
   */
  readonly forecast?: boolean;

  /**
   * USD within an hour.
   *
   * @default - a thirtieth of `monthlyBudgetUsd`, a day's share in an hour; none without it
   */
  readonly hourlyUsd?: number;

  /**
   * USD within a day.
   *
   * @default - a tenth of `monthlyBudgetUsd`, three days' share in a day; none without it
   */
  readonly dailyUsd?: number;

  /**
   * USD within a day, by tier.
   *
   * @default - none
   */
  readonly tierDailyUsd?: { [tier: string]: number };

  /**
   * USD within a day, by declared feature.
   *
   * @default - none
   */
  readonly featureDailyUsd?: { [feature: string]: number };

  /**
   * Tell when an hour costs more than hours like it did before: CloudWatch learns what is normal in two weeks.
   *
   * @default true
   */
  readonly anomalies?: boolean;

  /**
   * How many standard deviations above the expected an hour may cost.
   *
   * @default 3
   */
  readonly anomalyStandardDeviations?: number;

  /**
   * Requests within an hour whose cost is an estimate, for their backend told no usage.
   *
   * @default 20
   */
  readonly estimatedRequestsPerHour?: number;

  /**
   * Who adds up the month.
   *
   * @default - a new one, where `monthlyBudgetUsd` is given
   */
  readonly meter?: CostMeter;

  /**
   * The topic that is told. CloudWatch has to be allowed to publish to it, and to use its key.
   *
   * @default - a new `AlarmTopic`
   */
  readonly topic?: ITopic;

  /**
   * The key of a new topic.
   *
   * @default - a new one, $1 a month
   */
  readonly encryptionKey?: IKey;
}

/** Properties of cost alarms. */
export interface CostAlarmsProps extends CostAlarmsOptions {
  /** The gateway whose spending is watched. */
  readonly gateway: Gateway;
}

const HOUR = Duration.hours(1);
const DAY = Duration.days(1);

/** https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html: in an alarm on metric math. */
const MAX_METRICS = 10;

/** Shares of the month's budget. */
const HOURLY_SHARE = 1 / 30;
const DAILY_SHARE = 1 / 10;

const BY_CONSUMER = 'run `llm-serving usage --by consumer`, or the saved query "Top users".';

interface Rule {
  readonly metric: IMetric;
  readonly threshold: number;
  readonly comparison?: ComparisonOperator;
  readonly periods?: number;
  readonly missing?: TreatMissingData;
  readonly anchor: string;
  readonly what: string;
  readonly who?: string;
  readonly todo: string;
}

/**
 * Alarms on what a gateway's answers cost, each with a line in docs/alarms.md. Spending of this minute is in them some
 * two minutes later; they tell, and limits of tiers stop.
 */
export class CostAlarms extends Construct {
  /** Who is told. */
  public readonly topic: ITopic;

  /** Who adds up the month; undefined without `monthlyBudgetUsd` and `meter`. */
  public readonly meter?: CostMeter;

  /** What a month may cost, in USD. */
  public readonly monthlyBudgetUsd?: number;

  /** Dollars within an hour; undefined without a limit for them. */
  public readonly hourlySpend?: Alarm;

  /** Dollars within a day; undefined without a limit for them. */
  public readonly dailySpend?: Alarm;

  private readonly all: Alarm[] = [];

  constructor(scope: Construct, id: string, props: CostAlarmsProps) {
    super(scope, id);
    const { gateway, monthlyBudgetUsd: budget } = props;
    for (const name of ['monthlyBudgetUsd', 'hourlyUsd', 'dailyUsd', 'anomalyStandardDeviations'] as const) {
      requireKnown(name, props[name]);
      requireNumber(name, props[name], 0.0001);
    }
    requireInteger('estimatedRequestsPerHour', props.estimatedRequestsPerHour, 1);
    if (budget === undefined && (props.budgetThresholdsPercent !== undefined || props.forecast === true)) {
      throw new Error('budgetThresholdsPercent and forecast need monthlyBudgetUsd');
    }
    if (props.topic === undefined) {
      this.topic = new AlarmTopic(this, 'Topic', { ...props }).topic;
    } else {
      this.topic = props.topic;
      addRecipients(this, props.topic, props);
    }
    this.monthlyBudgetUsd = budget;
    this.meter = props.meter ?? (budget === undefined ? undefined : new CostMeter(this, 'Meter', { gateway }));
    this.hourlySpend = this.addSpending(props, 'Hourly', HOUR, props.hourlyUsd ?? times(budget, HOURLY_SHARE));
    this.dailySpend = this.addSpending(props, 'Daily', DAY, props.dailyUsd ?? times(budget, DAILY_SHARE));
    this.addShares(props);
    if (props.anomalies ?? true) this.addAnomaly(gateway, props.anomalyStandardDeviations ?? 3);
    if (this.meter !== undefined) this.addMonth(this.meter, props);
    if (gateway.usageLedger !== undefined) this.addLedger(gateway);
    this.addGaps(gateway, props.estimatedRequestsPerHour ?? 20);
  }

  /** Every alarm. */
  public get alarms(): Alarm[] {
    return [...this.all];
  }

  /**
   * The alarm on what a tier's consumers cost within a day.
   *
   * @throws when `tierDailyUsd` has no limit for it
   */
  public tierSpend(tierName: string): Alarm {
    return this.shareOf('tier', 'TierSpend', tierName);
  }

  /**
   * The alarm on what a feature costs within a day.
   *
   * @throws when `featureDailyUsd` has no limit for it
   */
  public featureSpend(feature: string): Alarm {
    return this.shareOf('feature', 'FeatureSpend', feature);
  }

  private shareOf(what: string, id: string, name: string): Alarm {
    const alarm = this.all.find(({ node }) => node.id === `${id}-${name}`);
    if (alarm === undefined) {
      throw new Error(`${what} "${name}" has no alarm on its spending: pass a limit for it in ${what}DailyUsd`);
    }
    return alarm;
  }

  private addSpending(
    { gateway }: CostAlarmsProps,
    id: string,
    period: Duration,
    threshold: number | undefined,
  ): Alarm | undefined {
    if (threshold === undefined) return undefined;
    const unit = period === HOUR ? 'hour' : 'day';
    return this.add(`${id}Spend`, {
      metric: gateway.metricCostUsd({ period }),
      threshold,
      anchor: `${id.toLowerCase()}-spend`,
      what: `Answers of ${gateway.metricsNamespace} cost $${usd(threshold)} or more within one ${unit}.`,
      todo: 'find the consumer or feature that grew. Disable its key (`llm-serving keys disable`), or lower its tier.',
    });
  }

  private addShares({ gateway, tierDailyUsd = {}, featureDailyUsd = {} }: CostAlarmsProps): void {
    for (const [name, threshold] of Object.entries(tierDailyUsd)) {
      requireNumber(`tierDailyUsd of "${name}"`, threshold, 0.0001);
      const tier = gateway.tiers.find(({ tierName }) => tierName === name);
      if (tier === undefined) {
        const names = gateway.tiers.map(({ tierName }) => tierName).join(', ');
        throw new Error(`tierDailyUsd has "${name}", which is no tier of the gateway: the tiers are ${names}`);
      }
      this.add(`TierSpend-${name}`, {
        metric: tier.metricCostUsd({ period: DAY }),
        threshold,
        anchor: 'tier-spend',
        what: `Answers to consumers of tier ${name} cost $${usd(threshold)} or more within one day.`,
        todo: 'if one consumer is the cause, disable its key or move it to a smaller tier; if all are, the limit is too low.',
      });
    }
    for (const [name, threshold] of Object.entries(featureDailyUsd)) {
      requireNumber(`featureDailyUsd of "${name}"`, threshold, 0.0001);
      this.add(`FeatureSpend-${name}`, {
        metric: gateway.metricFeatureCostUsd(name, { period: DAY }),
        threshold,
        anchor: 'feature-spend',
        what: `Answers for feature ${name} cost $${usd(threshold)} or more within one day.`,
        who: `feature ${name}. By user: the saved query "Top users".`,
        todo: 'ask the team of the feature what it released. Switch the feature off, or give it a cheaper model.',
      });
    }
  }

  private addAnomaly(gateway: Gateway, stdDevs: number): void {
    this.register(
      new AnomalyDetectionAlarm(this, 'SpendAnomaly', {
        metric: gateway.metricCostUsd({ period: HOUR }),
        stdDevs,
        comparisonOperator: ComparisonOperator.GREATER_THAN_UPPER_THRESHOLD,
        evaluationPeriods: 1,
        treatMissingData: TreatMissingData.NOT_BREACHING,
        alarmDescription: alarmDescription({
          anchor: 'spend-anomaly',
          what: `An hour of ${gateway.metricsNamespace} cost more than ${stdDevs} standard deviations above what hours like it cost.`,
          who: BY_CONSUMER,
          todo: 'compare the hour with the day before on the dashboard: more requests, longer ones, or a dearer model?',
        }),
      }),
    );
  }

  private addMonth(meter: CostMeter, props: CostAlarmsProps): void {
    const { monthlyBudgetUsd: budget, budgetThresholdsPercent: thresholds = [50, 80, 100] } = props;
    requireUnique('budgetThresholdsPercent', thresholds.map(String));
    for (const percent of budget === undefined ? [] : thresholds) {
      requireInteger('budgetThresholdsPercent', percent, 1, 1000);
      this.add(`Budget${percent}`, {
        metric: meter.metricMonthToDateUsd(),
        threshold: ((budget ?? 0) * percent) / 100,
        // Between two runs of the meter nothing is known, and nothing has changed.
        missing: TreatMissingData.IGNORE,
        anchor: 'budget',
        what: `${percent} % of the month's budget of $${usd(budget ?? 0)} is spent.`,
        todo:
          percent < 100
            ? 'compare with how much of the month is over. The forecast alarm tells whether it will do.'
            : 'decide: raise the budget, or lower the limits of tiers (`llm-serving usage` shows who spends).',
      });
    }
    if (budget !== undefined && (props.forecast ?? true)) {
      this.add('Forecast', {
        metric: meter.metricMonthForecastUsd(),
        threshold: budget,
        comparison: ComparisonOperator.GREATER_THAN_THRESHOLD,
        missing: TreatMissingData.IGNORE,
        anchor: 'forecast',
        what: `At the pace of the last seven days the month will cost more than its budget of $${usd(budget)}.`,
        todo: 'there is time: see on the dashboard which model, tier or feature grew, and whether that is meant.',
      });
    }
    const silent = this.add('MeterSilent', {
      metric: meter.metricMonthToDateUsd({ statistic: Stats.SAMPLE_COUNT }),
      threshold: 1,
      comparison: ComparisonOperator.LESS_THAN_THRESHOLD,
      periods: 3,
      missing: TreatMissingData.MISSING,
      anchor: 'meter-silent',
      what: 'For three hours nobody has added up the month: the alarms on budget and forecast are blind.',
      who: `nobody; function ${meter.node.path}.`,
      todo: "read the meter's log. It makes good up to six hours of fleets by itself when it runs again.",
    });
    // No run is no data. A new alarm has none either, but it changes to nothing then.
    silent.addInsufficientDataAction(new SnsAction(this.topic));
  }

  private addLedger(gateway: Gateway): void {
    this.addOverTiers(gateway, 'LedgerErrors', (tier) => tier.metricLedgerErrors(), {
      anchor: 'ledger-errors',
      what: 'Requests were not admitted or settled by the ledger: it did not answer in time.',
      who: 'the log has them; the reservations of those that were not settled run out by themselves.',
      todo: "look at the ledger table's throttled requests and system errors. Tiers that fail closed refuse requests meanwhile.",
    });
    this.addOverTiers(gateway, 'BudgetThresholds', (tier) => tier.metricBudgetThresholds(), {
      anchor: 'budget-thresholds',
      what: 'A consumer or a team has spent 50, 80 or 100 % of its budget of the month.',
      who: 'the log names it and the share; `llm-serving usage` shows what it was for.',
      todo: 'tell it. At 100 % its tier says what happens: requests are refused, or answered by a cheaper model.',
    });
  }

  /** One alarm over all tiers that the gateway has now, for each metric in an alarm is paid for. */
  private addOverTiers(
    { tiers }: Gateway,
    id: string,
    metricOf: (tier: Tier) => Metric,
    text: Pick<Rule, 'anchor' | 'what' | 'who' | 'todo'>,
  ): void {
    for (let start = 0; start < tiers.length; start += MAX_METRICS) {
      const metrics = tiers.slice(start, start + MAX_METRICS).map(metricOf);
      const [first] = metrics;
      if (first === undefined) return;
      const sum = new MathExpression({
        expression: `SUM([${metrics.map((_, index) => `m${index}`).join(', ')}])`,
        usingMetrics: Object.fromEntries(metrics.map((metric, index) => [`m${index}`, metric])),
        period: Duration.minutes(5),
      });
      this.add(start === 0 ? id : `${id}${start}`, {
        metric: metrics.length === 1 ? first : sum,
        threshold: 1,
        ...text,
      });
    }
  }

  private addGaps(gateway: Gateway, threshold: number): void {
    this.add('UsageEstimated', {
      metric: gateway.metricUsageEstimated({ period: HOUR }),
      threshold,
      anchor: 'usage-estimated',
      what: `${threshold} or more requests within an hour have only an estimated cost: their backend told no usage.`,
      who: 'the log has them with "usage_estimated": true, and their backend.',
      todo: 'make the backend report usage (stream_options.include_usage), or take the estimate for what it is.',
    });
  }

  private add(id: string, rule: Rule): Alarm {
    return this.register(
      new Alarm(this, id, {
        metric: rule.metric,
        threshold: rule.threshold,
        comparisonOperator: rule.comparison ?? ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        evaluationPeriods: rule.periods ?? 1,
        treatMissingData: rule.missing ?? TreatMissingData.NOT_BREACHING,
        alarmDescription: alarmDescription({ ...rule, who: rule.who ?? BY_CONSUMER }),
      }),
    );
  }

  private register(alarm: Alarm): Alarm {
    alarm.addAlarmAction(new SnsAction(this.topic));
    this.all.push(alarm);
    return alarm;
  }
}

function times(budget: number | undefined, share: number): number | undefined {
  return budget === undefined ? undefined : Number((budget * share).toPrecision(3));
}

/** No more digits than needed. */
function usd(value: number): string {
  return String(Number(value.toPrecision(6)));
}
