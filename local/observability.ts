import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from './clock.ts';
import type { Stack } from './cloudformation/stack.ts';
import { AlarmWatch, type StateChange, type WatchedAlarm } from './cloudwatch/alarm-watch.ts';
import type { MetricStore } from './cloudwatch/metric-store.ts';
import type { DashboardSources } from './dashboard/data.ts';
import { dashboardsOf } from './dashboard/definition.ts';
import { serveDashboard } from './dashboard/pages.ts';
import { Schedules } from './events/schedules.ts';
import { type Message, Topics } from './sns/topics.ts';

export interface ObservabilityOptions {
  readonly clock: Clock;
  readonly store: MetricStore;
  readonly log: (label: string, line: string) => void;
  readonly invoke: (functionArn: string, event: unknown) => Promise<unknown>;
}

/** What looks at a stack from outside: schedules, alarms and whom they tell, dashboards. */
export class Observability {
  readonly #topics: Topics;
  readonly #alarms: AlarmWatch;
  readonly #schedules: Schedules;
  readonly #sources: () => DashboardSources;

  constructor(stacks: readonly Stack[], options: ObservabilityOptions) {
    const { clock, store, log } = options;
    const dashboards = stacks.flatMap(dashboardsOf);
    this.#topics = new Topics(stacks, { ...options, now: () => clock.now() });
    this.#schedules = new Schedules(stacks, options);
    const alarms = stacks.flatMap((stack) => stack.ofType('AWS::CloudWatch::Alarm'));
    this.#alarms = new AlarmWatch(alarms, { clock, store, changed: (change) => this.#tell(change, log) });
    this.#sources = () => ({
      dashboards,
      alarms: this.#alarms.alarms,
      messages: this.#topics.messages,
      store,
      now: clock.now(),
      speed: clock.speed,
    });
  }

  get alarms(): readonly WatchedAlarm[] {
    return this.#alarms.alarms;
  }

  /** The latest first. */
  get messages(): readonly Message[] {
    return this.#topics.messages;
  }

  /** What a function publishes. @returns the message's id */
  publish(topicArn: string, subject: string, body: string): Promise<string> {
    return this.#topics.publish(topicArn, subject, body);
  }

  /** ARNs of functions that run by a schedule. */
  get scheduled(): string[] {
    return this.#schedules.targets;
  }

  /** @returns whether the request was for the dashboard's page */
  readonly handle = (request: IncomingMessage, response: ServerResponse): boolean =>
    serveDashboard(request, response, this.#sources);

  close(): void {
    this.#schedules.close();
    this.#alarms.close();
  }

  #tell(change: StateChange, log: ObservabilityOptions['log']): void {
    const { alarm, before, actions } = change;
    // Those of scaling policies do their work elsewhere, and change state all the time.
    const topics = actions.filter((arn) => arn.startsWith('arn:aws:sns:'));
    for (const topic of topics) {
      const subject = `${alarm.state}: ${alarm.label}: ${alarm.reason}`;
      this.#topics.publish(topic, subject, messageOf(change)).catch((error: unknown) => log('sns', String(error)));
    }
    if (topics.length === 0 && alarm.state === 'ALARM' && !actions.some((arn) => arn.includes(':scalingPolicy:'))) {
      log('alarm', `${alarm.label} is in alarm (was ${before}): ${alarm.reason}`);
    }
  }
}

/** What CloudWatch publishes, less the metric's own definition. */
function messageOf({ alarm, before }: StateChange): string {
  const { definition, state, reason, arn } = alarm;
  return JSON.stringify(
    {
      AlarmName: definition.name,
      AlarmDescription: definition.description,
      AlarmArn: arn,
      NewStateValue: state,
      NewStateReason: reason,
      // By the machine's clock, as that of whoever acts on it: the run's is ahead of it.
      StateChangeTime: new Date().toISOString(),
      OldStateValue: before,
    },
    undefined,
    2,
  );
}
