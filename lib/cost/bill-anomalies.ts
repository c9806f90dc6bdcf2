import { Names } from 'aws-cdk-lib';
import { CfnAnomalyMonitor, CfnAnomalySubscription } from 'aws-cdk-lib/aws-ce';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { requireNumber } from '../private/validation';

/** Options of a watch over the account's bill. */
export interface BillAnomaliesOptions {
  /**
   * A monitor that exists already, such as the one by AWS service that every newer account has, and of which there can
   * be only one.
   *
   * @default - a new one, for which `tag` is needed
   */
  readonly monitorArn?: string;

  /**
   * The cost allocation tag that a new monitor looks at; it has to be activated for cost allocation first.
   *
   * @default - none: pass `monitorArn`
   */
  readonly tag?: string;

  /**
   * Values of `tag`; the monitor looks at their costs together.
   *
   * @default - none
   */
  readonly tagValues?: string[];

  /**
   * Tell of an anomaly that costs at least this much, in USD, in all.
   *
   * @default 100
   */
  readonly minimumUsd?: number;
}

/** Properties of a watch over the account's bill. */
export interface BillAnomaliesProps extends BillAnomaliesOptions {
  /** The topic that is told; its policy has to let `costalerts.amazonaws.com` publish, as an `AlarmTopic`'s does. */
  readonly topic: ITopic;
}

/**
 * AWS Cost Anomaly Detection: what the bill shows that nobody expected, also of services that `CostAlarms` doesn't see.
 * It looks some three times a day, and needs ten days of usage first.
 */
export class BillAnomalies extends Construct {
  /** Who is told. */
  public readonly subscription: CfnAnomalySubscription;

  constructor(scope: Construct, id: string, props: BillAnomaliesProps) {
    super(scope, id);
    requireNumber('minimumUsd', props.minimumUsd, 0);
    const { tag, tagValues = [] } = props;
    if ((props.monitorArn === undefined) === (tag === undefined)) {
      throw new Error('monitorArn and tag exclude each other, and one is needed: pass the existing monitor, or a tag');
    }
    if (tag !== undefined && tagValues.length === 0) throw new Error('tag needs tagValues: at least one');
    const name = Names.uniqueResourceName(this, { maxLength: 128, separator: '-' });
    const monitorArn =
      props.monitorArn ??
      new CfnAnomalyMonitor(this, 'Monitor', {
        monitorName: name,
        monitorType: 'CUSTOM',
        monitorSpecification: JSON.stringify({ Tags: { Key: tag, Values: tagValues } }),
      }).attrMonitorArn;
    this.subscription = new CfnAnomalySubscription(this, 'Resource', {
      subscriptionName: name,
      monitorArnList: [monitorArn],
      // A topic is told of each anomaly at once; summaries go by e-mail only.
      frequency: 'IMMEDIATE',
      subscribers: [{ type: 'SNS', address: props.topic.topicArn }],
      thresholdExpression: JSON.stringify({
        Dimensions: {
          Key: 'ANOMALY_TOTAL_IMPACT_ABSOLUTE',
          MatchOptions: ['GREATER_THAN_OR_EQUAL'],
          Values: [String(props.minimumUsd ?? 100)],
        },
      }),
    });
  }
}
