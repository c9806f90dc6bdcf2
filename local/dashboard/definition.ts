import type { Stack } from '../cloudformation/stack.ts';
import { isArray, isObject, type Json, type JsonObject } from '../cloudformation/template.ts';
import { type MetricQuery, metricQueries } from '../cloudwatch/query.ts';

/** CloudWatch's default for metrics that name none. */
const PERIOD_SECONDS = 300;

export interface Curve {
  readonly label: string;
  readonly query: MetricQuery;
}

export interface WidgetDefinition {
  readonly kind: 'text' | 'graph' | 'number' | 'gauge' | 'alarms';
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly title: string;
  /** Of a text: Markdown. */
  readonly text?: string;
  readonly stacked?: boolean;
  readonly min?: number;
  readonly max?: number;
  readonly curves: readonly Curve[];
  /** Of a number: what its period is set to, instead of the metric's own. */
  readonly rangeMs?: number;
  /** Of an alarm widget. */
  readonly alarmArns: readonly string[];
}

export interface DashboardDefinition {
  readonly name: string;
  readonly widgets: readonly WidgetDefinition[];
  /** What the local run can't draw, by kind. */
  readonly unknown: readonly string[];
}

/** A template's dashboards, as `PutDashboard` would get their bodies. @throws Error for a body that can't be read */
export function dashboardsOf(stack: Stack): DashboardDefinition[] {
  return stack.ofType('AWS::CloudWatch::Dashboard').map((resource) => {
    const body = object(JSON.parse(String(resource.required('DashboardBody'))) as Json);
    const unknown: string[] = [];
    const widgets = list(body.widgets).flatMap((value) => {
      const widget = widgetOf(object(value));
      if (widget === undefined) unknown.push(String(object(value).type));
      return widget ?? [];
    });
    return { name: resource.ref, widgets, unknown };
  });
}

const VIEWS: Readonly<Record<string, WidgetDefinition['kind']>> = {
  timeSeries: 'graph',
  singleValue: 'number',
  gauge: 'gauge',
};

function widgetOf(widget: JsonObject): WidgetDefinition | undefined {
  const properties = object(widget.properties);
  const place = {
    x: Number(widget.x),
    y: Number(widget.y),
    width: Number(widget.width),
    height: Number(widget.height),
    title: String(properties.title ?? ''),
    curves: [],
    alarmArns: [],
  };
  if (widget.type === 'text') return { ...place, kind: 'text', text: String(properties.markdown ?? '') };
  if (widget.type === 'alarm') return { ...place, kind: 'alarms', alarmArns: list(properties.alarms).map(String) };
  const kind = VIEWS[String(properties.view ?? 'timeSeries')];
  if (widget.type !== 'metric' || kind === undefined) return undefined;
  const { min, max } = object(object(properties.yAxis).left);
  const range = /^-P(\d+)D$/.exec(String(properties.start ?? ''))?.[1];
  return {
    ...place,
    kind,
    stacked: properties.stacked === true,
    ...(min === undefined ? {} : { min: Number(min) }),
    ...(max === undefined ? {} : { max: Number(max) }),
    curves: curvesOf(list(properties.metrics).map(list)),
    ...(properties.setPeriodToTimeRange === true && range !== undefined
      ? { rangeMs: Number(range) * 24 * 3_600_000 }
      : {}),
  };
}

interface Row {
  readonly id: string;
  readonly shown: boolean;
  readonly label: string;
  /** As `GetMetricData` takes it. */
  readonly entry: JsonObject;
}

/** `[namespace, name, dimension, value, …, options]`, or `[{ expression }]`. */
function rowOf(row: readonly Json[], index: number): Row {
  const last = row.at(-1);
  const options = object(last);
  const names = row.slice(0, isObject(last) ? -1 : undefined).map(String);
  const [namespace = '', name = '', ...pairs] = names;
  const id = String(options.id ?? `_row${index}`);
  const Period = Number(options.period ?? PERIOD_SECONDS);
  const label = String(options.label ?? options.expression ?? name);
  const shown = options.visible !== false;
  if (options.expression !== undefined) {
    return { id, shown, label, entry: { Id: id, Expression: options.expression, Period } };
  }
  const Dimensions = pairs.flatMap((pair, at) => (at % 2 === 0 ? [{ Name: pair, Value: pairs[at + 1] ?? '' }] : []));
  const Metric = { Namespace: namespace, MetricName: name, Dimensions };
  return {
    id,
    shown,
    label,
    entry: { Id: id, MetricStat: { Metric, Stat: String(options.stat ?? 'Average'), Period } },
  };
}

function curvesOf(metrics: ReadonlyArray<readonly Json[]>): Curve[] {
  const rows = metrics.map(rowOf);
  // Each by its own period, unless one is made of the others.
  const isMath = rows.some(({ entry }) => entry.Expression !== undefined);
  const together = isMath
    ? metricQueries(
        rows.map(({ entry }) => entry),
        PERIOD_SECONDS,
      )
    : undefined;
  return rows
    .filter(({ shown }) => shown)
    .flatMap(({ id, label, entry }) => {
      const query = (together ?? metricQueries([entry], PERIOD_SECONDS)).get(id);
      return query === undefined ? [] : [{ label, query }];
    });
}

function object(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

function list(value: Json | undefined): readonly Json[] {
  return isArray(value) ? value : [];
}
