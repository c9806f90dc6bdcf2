export interface MetricKey {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
}

interface Sample {
  readonly time: number;
  readonly value: number;
}

/** A clock that only says how late it is. */
export interface Now {
  /** Milliseconds since 1970. */
  now(): number;
}

const HOUR_MS = 3_600_000;
/** Samples one by one; older ones are only known by the hour, and without their percentiles. */
const KEPT_MS = 3 * HOUR_MS;
const MAX_SAMPLES = 20_000;
/** CloudWatch keeps values by the hour for 455 days; nothing here looks further back than a month. */
const KEPT_HOURS = 63 * 24;

interface Hour {
  count: number;
  sum: number;
  min: number;
  max: number;
}

/** What CloudWatch would know of metrics, by the clock of the local run. */
export class MetricStore {
  readonly #clock: Now;
  /** In the order of their times, nearly: they are put when they happen. */
  readonly #samples = new Map<string, Sample[]>();
  readonly #hours = new Map<string, Map<number, Hour>>();

  constructor(clock: Now) {
    this.#clock = clock;
  }

  put(key: MetricKey, value: number, time = this.#clock.now()): void {
    if (!Number.isFinite(value)) return;
    const id = idOf(key);
    const samples = this.#samples.get(id) ?? [];
    this.#samples.set(id, samples);
    samples.push({ time, value });
    // Pruned rarely: it is a pass over all of them.
    if (samples.length % 1_000 !== 0 && (samples[0]?.time ?? 0) > this.#clock.now() - 2 * KEPT_MS) return;
    const oldest = this.#clock.now() - KEPT_MS;
    const recent = samples.filter((sample) => sample.time >= oldest).slice(-MAX_SAMPLES / 2);
    if (recent.length === samples.length) return;
    const kept = new Set(recent);
    for (const sample of samples) if (!kept.has(sample)) this.#fold(id, sample);
    this.#samples.set(id, recent);
  }

  #fold(id: string, { time, value }: Sample): void {
    const hours = this.#hours.get(id) ?? new Map<number, Hour>();
    this.#hours.set(id, hours);
    const start = Math.floor(time / HOUR_MS) * HOUR_MS;
    const hour = hours.get(start) ?? { count: 0, sum: 0, min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY };
    hours.set(start, hour);
    hour.count += 1;
    hour.sum += value;
    hour.min = Math.min(hour.min, value);
    hour.max = Math.max(hour.max, value);
    const [oldest] = hours.keys();
    if (hours.size > KEPT_HOURS && oldest !== undefined) hours.delete(oldest);
  }

  /** A statistic of what came from `from` on and before `to`; `undefined` when nothing did. */
  statistic(key: MetricKey, statistic: string, from: number, to: number): number | undefined {
    const id = idOf(key);
    const values: number[] = [];
    for (const sample of this.#samples.get(id) ?? []) {
      if (sample.time >= from && sample.time < to) values.push(sample.value);
    }
    const hours = [...(this.#hours.get(id) ?? [])].filter(([start]) => start >= from && start < to).map(([, h]) => h);
    if (hours.length === 0) return values.length === 0 ? undefined : statisticOf(statistic)(values);
    return ofHours(statistic, hours, values);
  }
}

/** A statistic over hours and single values; percentiles of hours aren't known. */
function ofHours(statistic: string, hours: readonly Hour[], values: readonly number[]): number | undefined {
  const all = [...hours, ...values.map((value): Hour => ({ count: 1, sum: value, min: value, max: value }))];
  const count = sum(all.map((each) => each.count));
  switch (statistic) {
    case 'Sum':
      return sum(all.map((each) => each.sum));
    case 'Average':
      return sum(all.map((each) => each.sum)) / count;
    case 'Minimum':
      return Math.min(...all.map((each) => each.min));
    case 'Maximum':
      return Math.max(...all.map((each) => each.max));
    case 'SampleCount':
      return count;
    default:
      return values.length === 0 ? undefined : statisticOf(statistic)(values);
  }
}

function idOf({ namespace, name, dimensions }: MetricKey): string {
  const pairs = Object.entries(dimensions).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([namespace, name, pairs]);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** @throws Error for a statistic that isn't known */
function statisticOf(name: string): (values: readonly number[]) => number {
  switch (name) {
    case 'Sum':
      return sum;
    case 'Average':
      return (values) => sum(values) / values.length;
    case 'Minimum':
      return (values) => Math.min(...values);
    case 'Maximum':
      return (values) => Math.max(...values);
    case 'SampleCount':
      return (values) => values.length;
    default:
  }
  const percent = /^p(\d+(?:\.\d+)?)$/.exec(name)?.[1];
  if (percent === undefined) throw new Error(`the local run doesn't know the statistic ${name}`);
  return (values) => {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor((Number(percent) / 100) * sorted.length))] ?? Number.NaN;
  };
}
