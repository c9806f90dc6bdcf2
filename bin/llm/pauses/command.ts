import { userInfo } from 'node:os';
import {
  PAUSE_KINDS,
  PAUSES_KEY,
  type Pause,
  type PauseKind,
  type PauseSubject,
  pause,
  pausesIn,
  resume,
} from '../../../lambda/usage/pauses.ts';
import { type LedgerTable, LedgerUnavailable } from '../../../lambda/usage/table.ts';
import { type Command, type Io, parse, UsageError } from '../command.ts';
import { openTable, TABLE_HELP, TABLE_OPTIONS } from '../ledger-table.ts';
import { csv, textTable } from '../text-table.ts';

const KINDS = PAUSE_KINDS.join('|');

/** What clients are told may not be a letter. */
const MAX_REASON = 200;
const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const MAX_FOR_MS = 366 * 86_400_000;

export const pauseCommand: Command = {
  usage: `usage: llm-serving pause ${KINDS} NAME [--for 2h] [--reason TEXT]

Refuses all requests of a consumer or a team, or for a model, with 403, within 15 seconds. Requests under way go on to
their end; jobs wait. A pause that is there already is replaced. NAME isn't held against the deployment: check it.

  --for TIME            how long: minutes, hours or days, as 30m, 2h or 7d (default: until 'resume')
  --reason TEXT         clients are told it
${TABLE_HELP}`,
  async run(args, io) {
    const options = { for: { type: 'string' }, reason: { type: 'string' }, ...TABLE_OPTIONS } as const;
    const { values, positionals } = parse(args, options, true);
    const subject = subjectOf(positionals);
    const now = Date.now();
    const ms = values.for === undefined ? undefined : durationOf(values.for);
    const { reason } = values;
    if (reason !== undefined && (reason === '' || reason.length > MAX_REASON)) {
      throw new UsageError(`--reason must be 1–${MAX_REASON} characters, got ${reason.length}`);
    }
    const table = openTable(values);
    const made = await reading(table, () =>
      pause(table, subject, {
        ...{ since: now, by: 'operator', detail: `by ${userInfo().username}` },
        ...(ms === undefined ? {} : { until: now + ms }),
        ...(reason === undefined ? {} : { reason }),
      }),
    );
    io.err(`${subject.kind} ${subject.name} is paused ${endOf(made?.until)}\n`);
  },
};

export const resumeCommand: Command = {
  usage: `usage: llm-serving resume ${KINDS} NAME

Ends a pause: requests are answered again, within 15 seconds. Jobs that wait look again within a quarter of an hour.

${TABLE_HELP}`,
  async run(args, io) {
    const { values, positionals } = parse(args, TABLE_OPTIONS, true);
    const subject = subjectOf(positionals);
    const table = openTable(values);
    const ended = await reading(table, () => resume(table, subject, Date.now()));
    // A slip of the pen must not look as if it had helped.
    if (ended === undefined) throw new Error(`${subject.kind} ${subject.name} is not paused: 'paused' lists what is`);
    io.err(`${subject.kind} ${subject.name} is resumed\n`);
  },
};

export const pausedCommand: Command = {
  usage: `usage: llm-serving paused [--format table|csv|json]

What is paused: since when, until when, by whom, and why.

${TABLE_HELP}`,
  async run(args, io) {
    const { values } = parse(args, { format: { type: 'string', default: 'table' }, ...TABLE_OPTIONS });
    if (!['table', 'csv', 'json'].includes(values.format)) {
      throw new UsageError(`--format must be table, csv or json, got ${values.format}`);
    }
    const table = openTable(values);
    show(pausesIn(await reading(table, () => table.get(PAUSES_KEY)), Date.now()), values.format, io);
  },
};

function show(pauses: readonly Pause[], format: string, io: Io): void {
  const rows = pauses.map(({ kind, name, since, until, by, reason, detail }) => ({
    ...{ kind, name, since: iso(since), until: until === undefined ? '' : iso(until), by },
    ...{ reason: reason ?? '', detail: detail ?? '' },
  }));
  if (format === 'json') {
    io.out(`${JSON.stringify(rows, null, 2)}\n`);
    return;
  }
  const head = ['kind', 'name', 'since', 'until', 'by', 'reason', 'detail'];
  const cells = rows.map((row) => Object.values(row));
  if (format === 'table' && rows.length === 0) io.err('nothing is paused\n');
  else io.out(format === 'csv' ? csv(head, cells) : textTable(head, cells));
}

function subjectOf([kind, name, ...rest]: readonly string[]): PauseSubject {
  if (rest.length > 0) throw new UsageError(`too many arguments: ${rest.join(' ')}`);
  if (!PAUSE_KINDS.includes(kind as PauseKind)) throw new UsageError(`which of ${KINDS}? got ${kind ?? 'nothing'}`);
  if (name === undefined || name === '') throw new UsageError('NAME is missing');
  return { kind: kind as PauseKind, name };
}

function durationOf(text: string): number {
  const [, count, unit = ''] = /^(\d+)([mhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNITS[unit] ?? Number.NaN);
  if (!(ms > 0 && ms <= MAX_FOR_MS)) {
    throw new UsageError(`--for must be minutes, hours or days, as 30m, 2h or 7d, up to a year, got ${text}`);
  }
  return ms;
}

async function reading<T>(table: LedgerTable, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof LedgerUnavailable)) throw error;
    const cause = error.cause instanceof Error ? error.cause.message : error.message;
    throw new Error(`the ledger ${table.name} can't be asked: ${cause}`, { cause: error });
  }
}

const iso = (ms: number): string => new Date(ms).toISOString();
const endOf = (until: number | undefined): string => (until === undefined ? "until 'resume'" : `until ${iso(until)}`);
