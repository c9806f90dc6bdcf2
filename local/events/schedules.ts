import { parseSchedule, type Schedule } from '../autoscaling/schedule.ts';
import type { Clock } from '../clock.ts';
import type { Stack } from '../cloudformation/stack.ts';
import { isArray, isObject } from '../cloudformation/template.ts';

const MINUTE_MS = 60_000;

export interface SchedulesOptions {
  readonly clock: Clock;
  readonly log: (label: string, line: string) => void;
  readonly invoke: (functionArn: string, event: unknown) => Promise<unknown>;
}

interface ScheduledRule {
  readonly name: string;
  readonly arn: string;
  readonly region: string;
  readonly account: string;
  readonly schedule: Schedule;
  readonly targets: ReadonlyArray<{ readonly arn: string; readonly input: unknown }>;
}

/** EventBridge rules with a schedule whose targets are functions, by the run's clock. Rates begin when it does. */
export class Schedules {
  readonly #rules: readonly ScheduledRule[];
  readonly #options: SchedulesOptions;
  readonly #stop: () => void;
  #last: number;

  constructor(stacks: readonly Stack[], options: SchedulesOptions) {
    this.#options = options;
    const start = Math.floor(options.clock.now() / MINUTE_MS) * MINUTE_MS;
    this.#last = start;
    this.#rules = stacks.flatMap((stack) => rulesOf(stack, start));
    this.#stop = options.clock.every(MINUTE_MS, () => this.#run());
  }

  get targets(): string[] {
    return this.#rules.flatMap(({ targets }) => targets.map(({ arn }) => arn));
  }

  /** Of the minutes that passed, one after the other: a fast clock skips none. */
  async #run(): Promise<void> {
    const minute = Math.floor(this.#options.clock.now() / MINUTE_MS) * MINUTE_MS;
    for (let at = this.#last + MINUTE_MS; at <= minute; at += MINUTE_MS) {
      for (const rule of this.#rules.filter(({ schedule }) => schedule.isDue(at))) await this.#fire(rule, at);
    }
    this.#last = minute;
  }

  async #fire(rule: ScheduledRule, at: number): Promise<void> {
    for (const { arn, input } of rule.targets) {
      const event = input ?? {
        version: '0',
        id: `${rule.name}-${at}`,
        'detail-type': 'Scheduled Event',
        source: 'aws.events',
        account: rule.account,
        time: new Date(at).toISOString(),
        region: rule.region,
        resources: [rule.arn],
        detail: {},
      };
      await this.#options.invoke(arn, event).catch((error: unknown) => this.#options.log(rule.name, String(error)));
    }
  }

  close(): void {
    this.#stop();
  }
}

function rulesOf(stack: Stack, start: number): ScheduledRule[] {
  return stack
    .ofType('AWS::Events::Rule')
    .filter((rule) => rule.property('ScheduleExpression') !== undefined && rule.property('State') !== 'DISABLED')
    .map((rule) => {
      const targets = rule.property('Targets');
      return {
        name: rule.ref,
        arn: String(rule.attribute('Arn')),
        region: stack.region,
        account: stack.account,
        schedule: parseSchedule(String(rule.property('ScheduleExpression')), 'UTC', start),
        targets: (isArray(targets) ? targets : []).flatMap((target) => {
          if (!isObject(target) || !/^arn:[^:]+:lambda:/.test(String(target.Arn))) return [];
          return [
            {
              arn: String(target.Arn),
              input: target.Input === undefined ? undefined : JSON.parse(String(target.Input)),
            },
          ];
        }),
      };
    });
}
