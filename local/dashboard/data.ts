import type { WatchedAlarm } from '../cloudwatch/alarm-watch.ts';
import type { MetricStore } from '../cloudwatch/metric-store.ts';
import type { Message } from '../sns/topics.ts';
import type { Curve, DashboardDefinition, WidgetDefinition } from './definition.ts';

const DAY_MS = 24 * 3_600_000;
/** A graph is some 400 pixels wide. */
const POINTS = 90;

export interface DashboardSources {
  readonly dashboards: readonly DashboardDefinition[];
  readonly alarms: readonly WatchedAlarm[];
  readonly messages: readonly Message[];
  readonly store: MetricStore;
  /** By the run's clock. */
  readonly now: number;
  readonly speed: number;
}

/** What the page draws: values, no definitions. */
export function dashboardData(sources: DashboardSources, rangeMs: number): unknown {
  const { dashboards, alarms, messages, now, speed } = sources;
  return {
    now,
    speed,
    rangeMs,
    dashboards: dashboards.map(({ name, widgets, unknown }) => ({
      name,
      unknown,
      widgets: widgets.map((widget) => widgetData(widget, sources, rangeMs)),
    })),
    alarms: alarms.map(alarmData),
    messages: messages.slice(0, 20).map(({ subject, body, time, recipients }) => ({ subject, body, time, recipients })),
  };
}

function widgetData(widget: WidgetDefinition, sources: DashboardSources, rangeMs: number): unknown {
  const { kind, x, y, width, height, title, text, stacked, min, max, curves, alarmArns } = widget;
  return {
    ...{ kind, x, y, width, height, title, text, stacked, min, max },
    ...(kind === 'graph' && { curves: curves.map((curve) => points(curve, sources, rangeMs)) }),
    ...((kind === 'number' || kind === 'gauge') && {
      values: curves.map((curve) => ({ label: curve.label, value: latest(curve, widget, sources) })),
    }),
    ...(kind === 'alarms' && {
      alarms: sources.alarms.filter(({ arn }) => alarmArns.includes(arn)).map(alarmData),
    }),
  };
}

const alarmData = ({ label, state, since, reason, definition }: WatchedAlarm): unknown => ({
  label,
  state,
  since,
  reason,
  description: definition.description ?? '',
});

/** Each point is the metric over its period up to then, so that an hour's sum moves with every request. */
function points({ label, query }: Curve, { store, now }: DashboardSources, rangeMs: number): unknown {
  const step = rangeMs / POINTS;
  return {
    label,
    points: Array.from({ length: POINTS + 1 }, (_, index) => {
      const time = now - rangeMs + index * step;
      return [time, query.value(store, time) ?? null];
    }),
  };
}

/** Days begin at midnight by UTC, as CloudWatch's do; shorter periods end now. */
function latest({ query }: Curve, { rangeMs }: WidgetDefinition, { store, now }: DashboardSources): number | undefined {
  if (rangeMs === undefined) {
    const midnight = Math.floor(now / DAY_MS) * DAY_MS;
    return query.value(store, query.periodMs === DAY_MS ? midnight + DAY_MS : now);
  }
  let sum: number | undefined;
  for (let end = now; end > now - rangeMs; end -= query.periodMs) {
    const value = query.value(store, end);
    if (value !== undefined) sum = (sum ?? 0) + value;
  }
  return sum;
}
