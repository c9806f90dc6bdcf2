import { Duration } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  type IAlarmAction,
  MathExpression,
  type Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { incidentDescription } from '../private/runbook';
import { requireInteger, requireNumber } from '../private/validation';
import type { Model } from './model';

/** Properties of a model's failover alarms. */
export interface FailoverAlarmsProps {
  /** The model. */
  readonly model: Model;

  /**
   * What is done in alarm, such as an `SnsAction`.
   *
   * @default - nothing: the alarms are only to be seen
   */
  readonly actions?: IAlarmAction[];

  /**
   * Backends passed over per 100 requests, at which the failover rate is in alarm: above 0. In 2 of 3 periods of 5
   * minutes.
   *
   * @default 10
   */
  readonly failoverRatePercent?: number;

  /**
   * With fewer requests than this in 5 minutes a rate says nothing; at least 1.
   *
   * @default 20
   */
  readonly minimumRequests?: number;

  /**
   * How many processes of the gateway must have stopped asking a backend within 5 minutes; at least 1.
   *
   * @default 1
   */
  readonly breakersOpened?: number;

  /**
   * How many requests within 5 minutes no model must have answered; at least 1.
   *
   * @default 1
   */
  readonly allBackendsFailed?: number;
}

/**
 * Alarms that tell of failing backends while clients are still being answered: the rate of failover, circuit breakers,
 * refused credentials; and of the case that nothing was left to answer.
 */
export class FailoverAlarms extends Construct {
  /** Too many requests are answered by a backend further down the list. */
  public readonly failoverRate: Alarm;

  /** A backend failed so often that it isn't asked any more. */
  public readonly breakerOpened: Alarm;

  /** No model answered: clients got an error, or a fixed reply. */
  public readonly allBackendsFailed: Alarm;

  /** A backend refuses a credential, or doesn't know its model: somebody has to mend it. */
  public readonly credentialErrors: Alarm;

  constructor(scope: Construct, id: string, props: FailoverAlarmsProps) {
    super(scope, id);
    const { model } = props;
    requireNumber('failoverRatePercent', props.failoverRatePercent, 0.001);
    for (const name of ['minimumRequests', 'breakersOpened', 'allBackendsFailed'] as const) {
      requireInteger(name, props[name], 1);
    }
    const name = model.modelName;
    this.failoverRate = new Alarm(this, 'FailoverRate', {
      metric: failoverRate(model, props.minimumRequests ?? 20),
      threshold: props.failoverRatePercent ?? 10,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: 3,
      datapointsToAlarm: 2,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      alarmDescription: incidentDescription(
        'failover-rate',
        `Many requests for model ${name} were not answered by its first backend.`,
      ),
    });
    this.breakerOpened = this.count(
      'BreakerOpened',
      model.metricBreakersOpened(),
      props.breakersOpened ?? 1,
      incidentDescription(
        'circuit-open',
        `A backend of model ${name} failed so often that it is not asked for a while. The log says which one.`,
      ),
    );
    this.allBackendsFailed = this.count(
      'AllBackendsFailed',
      model.metricAllBackendsFailed(),
      props.allBackendsFailed ?? 1,
      incidentDescription(
        'all-backends-failed',
        `No backend of model ${name} answered: clients got an error, or a fixed reply.`,
      ),
    );
    this.credentialErrors = this.count(
      'CredentialErrors',
      model.metricCredentialErrors(),
      1,
      incidentDescription(
        'credentials-refused',
        `A backend of model ${name} refused a credential, or does not know its model. The log says which one.`,
      ),
    );
    for (const action of props.actions ?? []) {
      for (const alarm of [this.failoverRate, this.breakerOpened, this.allBackendsFailed, this.credentialErrors]) {
        alarm.addAlarmAction(action);
      }
    }
  }

  private count(id: string, metric: Metric, threshold: number, alarmDescription: string): Alarm {
    return new Alarm(this, id, {
      metric,
      threshold,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      alarmDescription,
    });
  }
}

function failoverRate(model: Model, minimumRequests: number): MathExpression {
  return new MathExpression({
    expression: `IF(requests >= ${minimumRequests}, 100 * fallbacks / requests, 0)`,
    usingMetrics: { fallbacks: model.metricFallbacks(), requests: model.metricRequests() },
    label: 'backends passed over per 100 requests',
    // A math expression would set its own on the metrics.
    period: Duration.minutes(5),
  });
}
