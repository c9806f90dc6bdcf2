import type { Clock } from '../clock.ts';
import type { Resource } from '../cloudformation/stack.ts';
import { type AlarmDefinition, type AlarmState, alarmOf, evaluateAlarm } from './alarm.ts';
import type { MetricStore } from './metric-store.ts';

/** CloudWatch evaluates every minute. */
const MINUTE_MS = 60_000;

export interface WatchedAlarm {
  readonly arn: string;
  readonly definition: AlarmDefinition;
  /** The last part of its construct path. */
  readonly label: string;
  readonly state: AlarmState;
  /** Of the clock, when its state changed last. */
  readonly since: number;
  readonly reason: string;
}

export interface StateChange {
  readonly alarm: WatchedAlarm;
  readonly before: AlarmState;
  /** ARNs. */
  readonly actions: readonly string[];
}

/** Evaluates alarms once a minute and tells of changes. They begin without data, as CloudWatch's do. */
export class AlarmWatch {
  readonly #alarms: WatchedAlarm[];
  readonly #store: MetricStore;
  readonly #changed: (change: StateChange) => void;
  readonly #stop: () => void;

  constructor(
    alarms: readonly Resource[],
    options: { readonly clock: Clock; readonly store: MetricStore; readonly changed: (change: StateChange) => void },
  ) {
    const { clock, store, changed } = options;
    this.#store = store;
    this.#changed = changed;
    const since = clock.now();
    this.#alarms = alarms.map((resource) => ({
      arn: String(resource.attribute('Arn')),
      definition: alarmOf(resource),
      label:
        resource.path
          .split('/')
          .filter((part) => part !== 'Resource')
          .at(-1) ?? resource.logicalId,
      state: 'INSUFFICIENT_DATA',
      since,
      reason: 'not evaluated yet',
    }));
    this.#stop = clock.every(MINUTE_MS, () => this.evaluate(clock.now()));
  }

  get alarms(): readonly WatchedAlarm[] {
    return [...this.#alarms];
  }

  evaluate(now: number): void {
    for (const [index, alarm] of this.#alarms.entries()) {
      const { state, value, limit } = evaluateAlarm(alarm.definition, this.#store, now, alarm.state);
      if (state === alarm.state) continue;
      const changed: WatchedAlarm = { ...alarm, state, since: now, reason: reasonOf(state, value, limit) };
      this.#alarms[index] = changed;
      this.#changed({ alarm: changed, before: alarm.state, actions: alarm.definition.actions[state] });
    }
  }

  close(): void {
    this.#stop();
  }
}

function reasonOf(state: AlarmState, value: number | undefined, limit: number | undefined): string {
  if (state === 'INSUFFICIENT_DATA') return 'there are no values any more';
  const shown = value === undefined ? 'no value' : String(Number(value.toPrecision(6)));
  return `${shown}, limit ${limit === undefined ? 'unknown' : String(Number(limit.toPrecision(6)))}`;
}
