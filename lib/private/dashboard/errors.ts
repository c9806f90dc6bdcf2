import type { IMetric, IWidget } from 'aws-cdk-lib/aws-cloudwatch';
import type { Gateway } from '../../gateway/gateway';
import type { Model } from '../../model/model';
import { graphs, heading } from './rows';

const COUNT = { min: 0, showUnits: false };

/** What failed, who made up for it, and what clients saw of it. */
export function errorRows(gateway: Gateway): IWidget[] {
  const each = (metrics: (model: Model) => IMetric[]): IMetric[] => gateway.models.flatMap(metrics);
  return [
    heading('Requests, errors and failover'),
    ...graphs(
      {
        title: 'Requests',
        leftYAxis: COUNT,
        left: each((model) => [model.metricRequests({ label: model.modelName })]),
      },
      {
        title: 'Errors',
        leftYAxis: COUNT,
        left: [
          ...each((model) => [
            model.metricErrors({ label: `${model.modelName}: ours` }),
            model.metricClientErrors({ label: `${model.modelName}: clients'` }),
          ]),
          ...(gateway.usageLedger === undefined
            ? []
            : gateway.tiers.map((tier) => tier.metricLedgerErrors({ label: `ledger, tier ${tier.tierName}` }))),
          gateway.metricServerErrors({ label: 'API Gateway: 5xx' }),
          gateway.metricClientErrors({ label: 'API Gateway: 4xx' }),
        ],
      },
      {
        title: 'Failover',
        leftYAxis: COUNT,
        left: each((model) => [
          model.metricFallbacks({ label: `${model.modelName}: passed over` }),
          model.metricBreakersOpened({ label: `${model.modelName}: breakers opened` }),
          model.metricAllBackendsFailed({ label: `${model.modelName}: nobody answered` }),
        ]),
      },
    ),
  ];
}
