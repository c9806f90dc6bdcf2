/** `cron(…)`, `rate(…)` and `at(…)` of scheduled actions. */
export interface Schedule {
  /** Whether it is due in the minute that begins then. */
  isDue(minute: number): boolean;
}

const MINUTE = 60_000;

/** @throws Error for what can't be read */
export function parseSchedule(expression: string, timezone = 'UTC', start = 0): Schedule {
  const [, kind, body = ''] = /^(cron|rate|at)\((.*)\)$/.exec(expression.trim()) ?? [];
  if (kind === 'at') {
    const fields = new Date(`${body}Z`);
    return { isDue: (minute) => localTime(minute, timezone) === fields.getTime() - (fields.getTime() % MINUTE) };
  }
  if (kind === 'rate') {
    const [, count = '', unit = ''] = /^(\d+) (minute|hour|day)s?$/.exec(body) ?? [];
    const every = Number(count) * ({ minute: 1, hour: 60, day: 1440 }[unit] ?? Number.NaN) * MINUTE;
    if (!(every > 0)) throw new Error(`the local run can't read the schedule ${expression}`);
    return { isDue: (minute) => Math.floor((minute - start) / MINUTE) % (every / MINUTE) === 0 };
  }
  const fields = body.split(/\s+/);
  if (kind !== 'cron' || fields.length !== 6) throw new Error(`the local run can't read the schedule ${expression}`);
  const [minutes, hours, days, months, weekdays, years] = fields.map((field, i) => parseField(field, i, expression));
  return {
    isDue(minute) {
      // The zone's wall clock, as if it were UTC.
      const date = new Date(localTime(minute, timezone));
      return (
        minutes?.(date.getUTCMinutes()) === true &&
        hours?.(date.getUTCHours()) === true &&
        days?.(date.getUTCDate()) === true &&
        months?.(date.getUTCMonth() + 1) === true &&
        // Sunday is 1.
        weekdays?.(date.getUTCDay() + 1) === true &&
        years?.(date.getUTCFullYear()) === true
      );
    },
  };
}

const NAMES: ReadonlyArray<readonly string[]> = [
  [],
  [],
  [],
  ['', 'JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'],
  ['', 'SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'],
  [],
];

/** Numbers, names, lists, ranges and steps; `L`, `W` and `#` aren't known. */
function parseField(field: string, index: number, expression: string): (value: number) => boolean {
  const number = (text: string): number => {
    const named = NAMES[index]?.indexOf(text.toUpperCase()) ?? -1;
    const value = named > 0 ? named : Number(text);
    if (!Number.isInteger(value)) throw new Error(`the local run doesn't know ${text} in the schedule ${expression}`);
    return value;
  };
  if (field === '*' || field === '?') return () => true;
  const parts = field.split(',').map((part) => {
    const [range = '', step] = part.split('/');
    const every = step === undefined ? 1 : number(step);
    if (range === '*') return (value: number) => value % every === 0;
    const [from = '', to] = range.split('-');
    const first = number(from);
    const last = to === undefined ? (step === undefined ? first : Number.POSITIVE_INFINITY) : number(to);
    return (value: number) => value >= first && value <= last && (value - first) % every === 0;
  });
  return (value) => parts.some((part) => part(value));
}

/** Milliseconds that a UTC clock would show as the zone's does. */
function localTime(time: number, timezone: string): number {
  const parts = new Intl.DateTimeFormat('en-CA', {
    timeZone: timezone,
    hourCycle: 'h23',
    ...{ year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit' },
  }).formatToParts(time);
  const part = (type: string): number => Number(parts.find((candidate) => candidate.type === type)?.value);
  return Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'));
}
