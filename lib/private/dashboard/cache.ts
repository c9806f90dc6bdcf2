import { Duration } from 'aws-cdk-lib';
import { type IWidget, MathExpression } from 'aws-cdk-lib/aws-cloudwatch';
import type { Gateway } from '../../gateway/gateway';
import type { Model } from '../../model/model';
import { graphs, heading, idOf } from './rows';

const COUNT = { min: 0, showUnits: false };
const PERCENT = { min: 0, max: 100, showUnits: false };

/** What the cache answered, and what it couldn't. What it saved is money, and stands there. */
export function cacheRows(gateway: Gateway): IWidget[] {
  const models = gateway._cachedModels();
  if (models.length === 0) return [];
  return [
    heading('Cache'),
    ...graphs(
      { title: 'Answered from the cache, %', leftYAxis: PERCENT, left: models.map(hitRate) },
      {
        title: 'Hits and misses',
        leftYAxis: COUNT,
        left: models.flatMap((model) => [
          model.metricCacheHits({ label: `${model.modelName}: hits` }),
          model.metricCacheMisses({ label: `${model.modelName}: misses` }),
        ]),
      },
      {
        title: "Requests for which the cache wasn't there in time",
        leftYAxis: COUNT,
        left: models.map((model) => model.metricCacheErrors({ label: model.modelName })),
      },
    ),
  ];
}

/** Of those that qualify. */
function hitRate(model: Model, index: number): MathExpression {
  const [hits, misses] = [idOf('hits', index), idOf('misses', index)];
  return new MathExpression({
    expression: `100 * FILL(${hits}, 0) / (FILL(${hits}, 0) + FILL(${misses}, 0))`,
    usingMetrics: { [hits]: model.metricCacheHits(), [misses]: model.metricCacheMisses() },
    label: model.modelName,
    period: Duration.minutes(5),
  });
}
