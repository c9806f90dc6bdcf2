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

/** Nothing looks further back: the longest that an alarm may evaluate is a day, for fleets it's minutes. */
const KEPT_MS = 3 * 3_600_000;
const MAX_SAMPLES = 20_000;

/** What CloudWatch would know of metrics, by the clock of the local run. */
export class MetricStore {
  readonly #clock: Now;
  readonly #samples = new Map<string, Sample[]>();

  constructor(clock: Now) {
    this.#clock = clock;
  }

  put(key: MetricKey, value: number, time = this.#clock.now()): void {
    if (!Number.isFinite(value)) return;
    const id = idOf(key);
    const samples = this.#samples.get(id) ?? [];
    this.#samples.set(id, samples);
    samples.push({ time, value });
    const oldest = this.#clock.now() - KEPT_MS;
    if ((samples[0]?.time ?? oldest) < oldest || samples.length > MAX_SAMPLES) {
      this.#samples.set(id, samples.filter((sample) => sample.time >= oldest).slice(-MAX_SAMPLES / 2));
    }
  }

  /** A statistic of what came from `from` on and before `to`; `undefined` when nothing did. */
  statistic(key: MetricKey, statistic: string, from: number, to: number): number | undefined {
    const values = (this.#samples.get(idOf(key)) ?? [])
      .filter(({ time }) => time >= from && time < to)
      .map((s) => s.value);
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
