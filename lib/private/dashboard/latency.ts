import { Duration } from 'aws-cdk-lib';
import { type IMetric, type IWidget, MathExpression, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { Gateway } from '../../gateway/gateway';
import type { Model } from '../../model/model';
import { graphs, heading } from './rows';

const MS = { label: 'ms', showUnits: false, min: 0 };

/** How fast it is: to the first token, from token to token, to the end. */
export function latencyRows(gateway: Gateway): IWidget[] {
  const each = (metrics: (model: Model) => IMetric[]): IMetric[] => gateway.models.flatMap(metrics);
  return [
    heading('Latency'),
    ...graphs(
      {
        title: 'Time to first token (streams)',
        leftYAxis: MS,
        left: each((model) => [
          model.metricTimeToFirstToken({ label: `${model.modelName}: median` }),
          model.metricTimeToFirstToken({ statistic: Stats.p(95), label: `${model.modelName}: p95` }),
        ]),
      },
      {
        title: 'Output tokens a second of an answer',
        leftYAxis: { min: 0, showUnits: false },
        left: gateway.models.map(tokensPerSecond),
      },
      {
        title: 'Duration of answers',
        leftYAxis: MS,
        left: each((model) => [
          model.metricDuration({ label: `${model.modelName}: median` }),
          model.metricDuration({ statistic: Stats.p(95), label: `${model.modelName}: p95` }),
        ]),
      },
    ),
  ];
}

/** Tokens over the time in which they came: of streams from the first token on, of others the whole. */
function tokensPerSecond(model: Model, index: number): MathExpression {
  const statistic = Stats.SUM;
  return new MathExpression({
    expression: `1000 * tokens${index} / (duration${index} - FILL(first${index}, 0))`,
    usingMetrics: {
      [`tokens${index}`]: model.metricOutputTokens(),
      [`duration${index}`]: model.metricDuration({ statistic }),
      [`first${index}`]: model.metricTimeToFirstToken({ statistic }),
    },
    label: model.modelName,
    period: Duration.minutes(5),
  });
}
