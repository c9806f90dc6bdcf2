import { CfnBudget } from 'aws-cdk-lib/aws-budgets';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { requireInteger, requireKnown, requireNumber, requireUnique } from '../private/validation';

/** Properties of a month's budget of the account. */
export interface MonthlyBudgetProps {
  /** USD a month. */
  readonly limitUsd: number;

  /**
   * Percentages of the limit at which somebody is told that it is spent, at most 4.
   *
   * @default [50, 80, 100]
   */
  readonly thresholdsPercent?: number[];

  /**
   * Tell, too, when AWS foresees that the month will end above the limit. It foresees nothing before it has five weeks of
   * usage.
   *
   * @default true
   */
  readonly forecast?: boolean;

  /**
   * The topic that is told; its policy has to let `budgets.amazonaws.com` publish, as an `AlarmTopic`'s does.
   *
   * @default - none
   */
  readonly topic?: ITopic;

  /**
   * E-mail addresses that are told, at most 10.
   *
   * @default - none
   */
  readonly emails?: string[];

  /**
   * Count only what has one of these values of a cost allocation tag, by tag. A tag has to be activated for cost
   * allocation first.
   *
   * @default - the whole account
   */
  readonly tags?: { [tag: string]: string };
}

/** AWS Budgets allows 5 notifications of a budget, and one is the forecast's. */
const MAX_THRESHOLDS = 4;
/** Subscribers of a notification: one topic and 10 addresses. */
const MAX_EMAILS = 10;

/**
 * A budget of AWS Budgets: the bill itself, of everything in the account, as `CostAlarms` can't see it. AWS updates it
 * some three times a day: it tells, but it is too late to stop anything.
 */
export class MonthlyBudget extends Construct {
  /** The budget. */
  public readonly budget: CfnBudget;

  constructor(scope: Construct, id: string, props: MonthlyBudgetProps) {
    super(scope, id);
    const thresholds = props.thresholdsPercent ?? [50, 80, 100];
    requireKnown('limitUsd', props.limitUsd);
    requireNumber('limitUsd', props.limitUsd, 0.01);
    if (thresholds.length > MAX_THRESHOLDS) {
      throw new Error(
        `thresholdsPercent must have at most ${MAX_THRESHOLDS} values, got ${thresholds.length}: AWS Budgets allows 5 notifications, and one is the forecast's`,
      );
    }
    for (const threshold of thresholds) requireInteger('thresholdsPercent', threshold, 1, 1000);
    requireUnique('thresholdsPercent', thresholds.map(String));
    const emails = props.emails ?? [];
    if (emails.length > MAX_EMAILS)
      throw new Error(`emails must have at most ${MAX_EMAILS} addresses, got ${emails.length}`);
    const subscribers = [
      ...(props.topic ? [{ subscriptionType: 'SNS', address: props.topic.topicArn }] : []),
      ...emails.map((address) => ({ subscriptionType: 'EMAIL', address })),
    ];
    if (subscribers.length === 0) throw new Error('a budget tells nobody: pass topic or emails');
    const notification = (notificationType: string, threshold: number) => ({
      notification: { comparisonOperator: 'GREATER_THAN', notificationType, threshold, thresholdType: 'PERCENTAGE' },
      subscribers,
    });
    this.budget = new CfnBudget(this, 'Resource', {
      budget: {
        budgetType: 'COST',
        timeUnit: 'MONTHLY',
        budgetLimit: { amount: props.limitUsd, unit: 'USD' },
        ...(props.tags && {
          costFilters: { TagKeyValue: Object.entries(props.tags).map(([tag, value]) => `user:${tag}$${value}`) },
        }),
      },
      notificationsWithSubscribers: [
        ...thresholds.map((threshold) => notification('ACTUAL', threshold)),
        ...((props.forecast ?? true) ? [notification('FORECASTED', 100)] : []),
      ],
    });
  }
}
