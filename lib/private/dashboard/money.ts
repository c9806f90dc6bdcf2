import { Duration } from 'aws-cdk-lib';
import { GaugeWidget, type IMetric, type IWidget, MathExpression, Row } from 'aws-cdk-lib/aws-cloudwatch';
import type { CostMeter } from '../../cost/cost-meter';
import type { Gateway } from '../../gateway/gateway';
import { FleetBackend } from '../backends/fleet';
import { fleetsOf } from '../gateway-fleets';
import { figure, graphs, heading, idOf } from './rows';

const HOUR = Duration.hours(1);
const DAY = Duration.days(1);
const COUNT = { showUnits: false, min: 0 };
const USD = { label: 'USD', showUnits: false, min: 0 };

export interface Money {
  readonly gateway: Gateway;
  readonly meter?: CostMeter;
  readonly monthlyBudgetUsd?: number;
}

/** What it costs: today, this month, by model, tier, feature and backend. */
export function moneyRows({ gateway, meter, monthlyBudgetUsd }: Money): IWidget[] {
  const hours = (meter === undefined ? [] : fleetsOf(gateway)).map(({ fleet }) =>
    fleet.metricCostUsd({ period: DAY, label: `fleet ${fleet.fleetName}, by hours` }),
  );
  const today = figure('Today (UTC), USD', [gateway.metricCostUsd({ period: DAY, label: 'by tokens' }), ...hours], 6);
  return [
    heading('Money'),
    new Row(today, ...(meter === undefined ? lastDays(gateway) : month(meter, monthlyBudgetUsd))),
    ...graphs(
      { title: 'Spend by model, USD an hour', stacked: true, leftYAxis: USD, left: byModel(gateway) },
      { title: 'Spend by tier, USD an hour', stacked: true, leftYAxis: USD, left: byTier(gateway) },
      { title: 'Spend by feature, USD an hour', stacked: true, leftYAxis: USD, left: byFeature(gateway) },
    ),
    ...graphs(
      { title: 'Saved by cached answers, USD an hour', stacked: true, leftYAxis: USD, left: saved(gateway) },
      { title: 'Budgets that passed a threshold', leftYAxis: COUNT, left: thresholds(gateway) },
    ),
    ...graphs(
      { title: 'Managed and fleets, USD an hour', stacked: true, leftYAxis: USD, left: byKind(gateway, meter) },
      { title: 'Spend by backend, USD an hour', stacked: true, leftYAxis: USD, left: byBackend(gateway) },
      { title: 'Tokens an hour', left: tokens(gateway), leftYAxis: { min: 0, showUnits: false } },
    ),
  ];
}

/** Without a meter nobody knows when a month begins. */
function lastDays(gateway: Gateway): IWidget[] {
  const days = (count: number) =>
    figure(`Last ${count} days, USD`, [gateway.metricCostUsd({ period: DAY, label: 'by tokens' })], 6, {
      start: `-P${count}D`,
      setPeriodToTimeRange: true,
    });
  return [days(7), days(30)];
}

function month(meter: CostMeter, budget: number | undefined): IWidget[] {
  const soFar = meter.metricMonthToDateUsd({ label: 'so far' });
  const forecast = meter.metricMonthForecastUsd({ label: 'at its end' });
  const figures = figure('This month (UTC), USD', [soFar, forecast], budget === undefined ? 12 : 9);
  if (budget === undefined) return [figures];
  return [
    figures,
    new GaugeWidget({
      title: `Of the month's budget of $${budget}`,
      metrics: [soFar],
      leftYAxis: { min: 0, max: budget },
      annotations: [{ value: budget * 0.8, label: '80 %' }],
      width: 9,
      height: 4,
    }),
  ];
}

function byModel(gateway: Gateway): IMetric[] {
  return gateway.models.map((model) => model.metricCostUsd({ period: HOUR, label: model.modelName }));
}

function byTier(gateway: Gateway): IMetric[] {
  return gateway.tiers.map((tier) => tier.metricCostUsd({ period: HOUR, label: tier.tierName }));
}

function byFeature(gateway: Gateway): IMetric[] {
  return gateway.features.map((feature) => gateway.metricFeatureCostUsd(feature, { period: HOUR, label: feature }));
}

function byBackend(gateway: Gateway): IMetric[] {
  return gateway.models.flatMap((model) =>
    model.backends
      .filter(({ price }) => price.inputUsd + price.outputUsd > 0)
      .map(({ backendId }) =>
        model.metricBackendCostUsd(backendId, { period: HOUR, label: `${model.modelName}: ${backendId}` }),
      ),
  );
}

/** Managed backends by their tokens, fleets by their instances' hours. Without fleets it says nothing new. */
function byKind(gateway: Gateway, meter: CostMeter | undefined): IMetric[] {
  const fleets = fleetsOf(gateway);
  if (fleets.length === 0 || meter === undefined) return [];
  const managed = gateway.models.flatMap((model) =>
    model.backends
      .filter((backend) => !(backend instanceof FleetBackend))
      .map(({ backendId }) => model.metricBackendCostUsd(backendId, { period: HOUR })),
  );
  const ids = managed.map((_, index) => idOf('m', index));
  return [
    ...(managed.length === 0
      ? []
      : [
          new MathExpression({
            expression: `SUM([${ids.join(', ')}])`,
            usingMetrics: Object.fromEntries(managed.map((metric, index) => [idOf('m', index), metric])),
            label: 'managed',
            period: HOUR,
          }),
        ]),
    ...fleets.map(({ fleet }) => fleet.metricCostUsd({ period: HOUR, label: `fleet ${fleet.fleetName}` })),
  ];
}

function saved(gateway: Gateway): IMetric[] {
  return gateway._cachedModels().map((model) => model.metricSavedUsd({ period: HOUR, label: model.modelName }));
}

/** Only a ledger knows of consumers' budgets. */
function thresholds(gateway: Gateway): IMetric[] {
  if (gateway.usageLedger === undefined) return [];
  return gateway.tiers.map((tier) => tier.metricBudgetThresholds({ period: HOUR, label: tier.tierName }));
}

function tokens(gateway: Gateway): IMetric[] {
  return gateway.models.flatMap((model) => [
    model.metricInputTokens({ period: HOUR, label: `${model.modelName}: input` }),
    model.metricCachedInputTokens({ period: HOUR, label: `${model.modelName}: cached input` }),
    model.metricOutputTokens({ period: HOUR, label: `${model.modelName}: output` }),
  ]);
}
