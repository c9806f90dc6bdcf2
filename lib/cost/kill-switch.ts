import { Duration, Lazy, RemovalPolicy, Stack } from 'aws-cdk-lib';
import {
  Alarm,
  type AlarmBase,
  CfnAlarm,
  CfnCompositeAlarm,
  ComparisonOperator,
  type IMetric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Code, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { type ITopic, Subscription, SubscriptionProtocol } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import type { IConsumer } from '../gateway/consumer';
import type { Gateway } from '../gateway/gateway';
import type { Team } from '../gateway/team';
import type { Tier } from '../gateway/tier';
import type { Model } from '../model/model';
import { environmentProblem } from '../private/environment-size';
import { handlerFolder } from '../private/handler-assets';
import { HandlerFunction } from '../private/handler-function';
import { KILL_SWITCH_ENV, type KillSwitchConfig, type PauseOnAlarm } from '../private/kill-switch-config';
import { alarmDescription, runbookUrl } from '../private/runbook';
import { requireDuration, requireKnown, requireNumber } from '../private/validation';
import { AlarmTopic } from './alarm-topic';

/** Properties of a kill switch. */
export interface KillSwitchProps {
  /** The gateway whose models and consumers are paused. It needs a usage ledger, which is where pauses stand. */
  readonly gateway: Gateway;

  /**
   * USD within an hour, at which all models of the gateway are paused.
   *
   * @default - none
   */
  readonly hourlyUsd?: number;

  /**
   * USD within a day (24 hours, not a calendar day), at which all models of the gateway are paused.
   *
   * @default - none
   */
  readonly dailyUsd?: number;

  /**
   * How long a pause lasts, 1 minute to 31 days, unless it says otherwise.
   *
   * @default - until somebody resumes it: `llm-serving resume`
   */
  readonly duration?: Duration;

  /**
   * The topic over which alarms reach the switch, and which is told of each pause: that of `CostAlarms`, so that the same
   * people hear of both. CloudWatch has to be allowed to publish to it. An imported one with a key of its own has to let
   * the function use that key.
   *
   * @default - a new `AlarmTopic`
   */
  readonly topic?: ITopic;

  /**
   * The key that a new topic, the function's log and its environment variables are encrypted with; its policy has to let
   * CloudWatch Logs use it, as a gateway's does.
   *
   * @default - a new one for a new topic, $1 a month; the services' own for the rest
   */
  readonly encryptionKey?: IKey;

  /**
   * How long the function's log is kept.
   *
   * @default RetentionDays.ONE_YEAR
   */
  readonly logRetention?: RetentionDays;
}

/** How something is paused. */
export interface PauseOptions {
  /**
   * How long: 1 minute to 31 days.
   *
   * @default - as the kill switch says
   */
  readonly duration?: Duration;

  /**
   * What clients are told.
   *
   * @default 'spending has crossed a limit'
   */
  readonly reason?: string;
}

/** What each consumer of a tier may spend before it is paused; at least one of the two. */
export interface HardLimits {
  /**
   * USD within a clock hour, UTC.
   *
   * @default - no limit
   */
  readonly hourlyUsd?: number;

  /**
   * USD within a day, UTC.
   *
   * @default - no limit
   */
  readonly dailyUsd?: number;

  /**
   * How long it is paused: 1 minute to 31 days.
   *
   * @default - as the kill switch says
   */
  readonly duration?: Duration;
}

const MAX_REASON = 200;
const MAX_USD = 9_000_000;

interface Rule {
  readonly alarm: AlarmBase;
  /** Models may be added until synthesis. */
  readonly pauses: () => readonly PauseOnAlarm[];
}

/**
 * Pauses models and consumers when spending crosses hard limits: their requests are refused with 403 until somebody
 * resumes them, or a time is over. Nothing is paused unless it says so.
 *
 * A pause holds 15 seconds after it was made at the latest; requests under way go on to their end. Alarms see a request
 * some two minutes after it has ended; hard limits of consumers are looked at with each request.
 */
export class KillSwitch extends Construct {
  /** The function that pauses. */
  public readonly handler: LambdaFunction;

  /** Over which alarms reach it, and what is told of pauses. */
  public readonly topic: ITopic;

  /** Tells that the function failed: what it was to pause may not be paused. */
  public readonly failedAlarm: Alarm;

  /** Tells that consumers were paused by hard limits of their own; undefined without `pauseConsumersAbove`. */
  public hardLimitAlarm?: Alarm;

  private readonly gateway: Gateway;
  private readonly duration?: Duration;
  private readonly rules: Rule[] = [];
  private readonly problems: Array<() => string | undefined> = [];

  constructor(scope: Construct, id: string, props: KillSwitchProps) {
    super(scope, id);
    const { gateway, encryptionKey } = props;
    const ledger = gateway.usageLedger;
    if (ledger === undefined) {
      throw new Error('a kill switch needs a gateway with a usage ledger: pass usageLedger to it, or use LlmServing');
    }
    requireUsd('hourlyUsd', props.hourlyUsd);
    requireUsd('dailyUsd', props.dailyUsd);
    if (props.duration !== undefined) requirePause(props.duration);
    this.gateway = gateway;
    this.duration = props.duration;
    this.topic = props.topic ?? new AlarmTopic(this, 'Topic', { encryptionKey }).topic;
    this.handler = new HandlerFunction(this, 'Handler', {
      description: 'Pauses models and consumers',
      code: Code.fromAsset(handlerFolder('pause')),
      memorySize: 256,
      timeout: Duration.minutes(1),
      tracing: false,
      // It says who was paused when, and why.
      logRetention: props.logRetention ?? RetentionDays.ONE_YEAR,
      logRemovalPolicy: RemovalPolicy.DESTROY,
      encryptionKey,
    }).function;
    this.handler.addEnvironment(
      KILL_SWITCH_ENV,
      Lazy.uncachedString({ produce: () => Stack.of(this).toJsonString(this.renderConfig(ledger.tableName)) }),
    );
    ledger.grantPause(this.handler);
    this.handler.addToRolePolicy(new PolicyStatement({ actions: ['sns:Publish'], resources: [this.topic.topicArn] }));
    if (this.topic.masterKey !== undefined) {
      // Not by `grantPublish`: it would take all actions whose name begins with GenerateDataKey.
      const actions = ['kms:Decrypt', 'kms:GenerateDataKey'];
      this.handler.addToRolePolicy(new PolicyStatement({ actions, resources: [this.topic.masterKey.keyArn] }));
    }
    // Not by `LambdaSubscription`, which takes the topic's id for its own in the function: that of an `AlarmTopic` is taken.
    this.handler.addPermission('Topic', {
      principal: new ServicePrincipal('sns.amazonaws.com'),
      sourceArn: this.topic.topicArn,
    });
    new Subscription(this, 'Subscription', {
      topic: this.topic,
      protocol: SubscriptionProtocol.LAMBDA,
      endpoint: this.handler.functionArn,
    });
    this.failedAlarm = this.addAlarm('Failed', this.handler.metricErrors({ period: Duration.minutes(5) }), 1, {
      anchor: 'kill-switch-failed',
      what: `The kill switch of ${gateway.metricsNamespace} failed: what it was to pause may not be paused.`,
      who: `function ${this.handler.node.path}; its log says why.`,
      todo: 'look whether it is paused (`llm-serving paused`), and pause it by hand if not (`llm-serving pause`).',
    });
    this.addLimit('HourlySpend', 'hour', Duration.hours(1), props.hourlyUsd);
    this.addLimit('DailySpend', 'day', Duration.hours(24), props.dailyUsd);
    this.node.addValidation({ validate: () => this.findProblems() });
  }

  /** Pauses a model of the gateway when an alarm goes off: nobody gets answers of it. */
  public pauseModelOn(alarm: AlarmBase, model: Model, options: PauseOptions = {}): void {
    const name = model.modelName;
    this.addRule(alarm, { kind: 'model', name }, options);
    this.problems.push(() =>
      this.gateway.models.includes(model)
        ? undefined
        : `model "${name}", which the kill switch pauses, is not the gateway's`,
    );
  }

  /** Pauses a consumer of the gateway when an alarm goes off: it gets no answers, of whatever model. */
  public pauseConsumerOn(alarm: AlarmBase, consumer: IConsumer, options: PauseOptions = {}): void {
    const name = consumer.consumerName;
    this.addRule(alarm, { kind: 'consumer', name }, options);
    this.problems.push(() =>
      this.gateway.tiers.includes(consumer.tier)
        ? undefined
        : `consumer "${name}", which the kill switch pauses, is in no tier of the gateway`,
    );
  }

  /** Pauses all consumers of a team when an alarm goes off. */
  public pauseTeamOn(alarm: AlarmBase, team: Team, options: PauseOptions = {}): void {
    this.addRule(alarm, { kind: 'team', name: team.teamName }, options);
  }

  /**
   * Pauses each consumer of a tier that spends more than this by itself. Looked at when a request is over, by the process
   * that answered it: what runs at that moment is still answered, and paid for. A limit that no request passes is a budget
   * (`monthlyBudgetUsd`).
   *
   * One that was resumed is paused again at the next multiple of the limit within the same hour or day.
   */
  public pauseConsumersAbove(tier: Tier, limits: HardLimits): void {
    const { hourlyUsd, dailyUsd } = limits;
    requireUsd('hourlyUsd', hourlyUsd);
    requireUsd('dailyUsd', dailyUsd);
    if (hourlyUsd === undefined && dailyUsd === undefined) {
      throw new Error(`pauseConsumersAbove of tier "${tier.tierName}" has no limit: pass hourlyUsd or dailyUsd`);
    }
    const pauseMs = this.pauseMs(limits.duration);
    tier._setHardLimits({
      ...(hourlyUsd !== undefined && { hourlyUsd }),
      ...(dailyUsd !== undefined && { dailyUsd }),
      ...(pauseMs !== undefined && { pauseMs }),
    });
    this.problems.push(() =>
      this.gateway.tiers.includes(tier)
        ? undefined
        : `tier "${tier.tierName}", which the kill switch has hard limits for, is not the gateway's`,
    );
    this.hardLimitAlarm ??= this.addHardLimitAlarm();
  }

  /** They are paused already: the function only tells who, and how much. */
  private addHardLimitAlarm(): Alarm {
    const metric = this.gateway.metricConsumersPaused({ period: Duration.minutes(1) });
    const alarm = this.addAlarm('HardLimit', metric, 1, {
      anchor: 'hard-limit',
      what: `A consumer of ${this.gateway.metricsNamespace} crossed its hard limit and is paused.`,
      who: 'a message of its own follows, with its name; `llm-serving paused` lists all.',
      todo: 'see what it was, tell it, and resume it: `llm-serving resume consumer NAME`.',
    });
    // Of those that were paused while it was in alarm the function tells when that is over.
    alarm.addOkAction(new SnsAction(this.topic));
    this.rules.push({ alarm, pauses: () => [] });
    return alarm;
  }

  private addLimit(id: string, unit: string, period: Duration, threshold: number | undefined): void {
    if (threshold === undefined) return;
    const alarm = this.addAlarm(id, this.gateway.metricCostUsd({ period }), threshold, {
      anchor: 'kill-switch',
      what: `Answers of ${this.gateway.metricsNamespace} cost $${threshold} or more within one ${unit}: all its models are paused.`,
      who: 'run `llm-serving usage --by consumer`, or the saved query "Top users".',
      todo: 'find the cause, then resume each model: `llm-serving paused` lists them, `llm-serving resume model NAME`.',
    });
    const ms = this.pauseMs(undefined);
    const reason = `all models together cost more than $${threshold} within one ${unit}`;
    this.rules.push({
      alarm,
      pauses: () =>
        this.gateway.models.map(({ modelName: name }) => ({ kind: 'model', name, ...(ms && { ms }), reason })),
    });
  }

  private addAlarm(
    id: string,
    metric: IMetric,
    threshold: number,
    text: Parameters<typeof alarmDescription>[0],
  ): Alarm {
    const alarm = new Alarm(this, id, {
      metric,
      threshold,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      alarmDescription: alarmDescription(text),
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
    return alarm;
  }

  private addRule(alarm: AlarmBase, subject: Pick<PauseOnAlarm, 'kind' | 'name'>, options: PauseOptions): void {
    const { reason = 'spending has crossed a limit' } = options;
    requireKnown('reason', reason);
    if (reason === '' || reason.length > MAX_REASON) {
      throw new Error(`reason must be 1–${MAX_REASON} characters, got ${reason.length}`);
    }
    const ms = this.pauseMs(options.duration);
    if (!this.tells(alarm)) alarm.addAlarmAction(new SnsAction(this.topic));
    this.rules.push({ alarm, pauses: () => [{ ...subject, ...(ms !== undefined && { ms }), reason }] });
  }

  /** Whether the alarm tells the topic already: CloudWatch takes each action once. */
  private tells(alarm: AlarmBase): boolean {
    const resource = alarm.node.defaultChild;
    if (!CfnAlarm.isCfnAlarm(resource) && !CfnCompositeAlarm.isCfnCompositeAlarm(resource)) return false;
    const stack = Stack.of(alarm);
    const actions = stack.resolve(resource.alarmActions) as unknown[] | undefined;
    const own = JSON.stringify(stack.resolve(this.topic.topicArn));
    return (actions ?? []).some((action) => JSON.stringify(action) === own);
  }

  private pauseMs(own: Duration | undefined): number | undefined {
    const duration = own ?? this.duration;
    return duration && requirePause(duration);
  }

  private renderConfig(table: string): KillSwitchConfig {
    const alarms = [...new Set(this.rules.map(({ alarm }) => alarm))];
    return {
      table,
      topic: this.topic.topicArn,
      namespace: this.gateway.metricsNamespace,
      runbook: runbookUrl('kill-switch'),
      alarms: alarms.map((alarm) => ({
        arn: alarm.alarmArn,
        pauses: this.rules.filter((rule) => rule.alarm === alarm).flatMap(({ pauses }) => pauses()),
      })),
    };
  }

  private findProblems(): string[] {
    const found = this.problems.flatMap((problem) => problem() ?? []);
    const tooLarge = environmentProblem(this.handler) !== undefined;
    const remedy = 'let one alarm pause several things, shorten reasons, or make a second kill switch';
    return tooLarge
      ? [...found, `the kill switch has more rules than an environment variable holds: ${remedy}`]
      : found;
  }
}

function requireUsd(prop: string, value: number | undefined): void {
  requireKnown(prop, value);
  requireNumber(prop, value, 0.0001, MAX_USD);
}

function requirePause(duration: Duration): number {
  return requireDuration('duration', duration, Duration.minutes(1), Duration.days(31));
}
