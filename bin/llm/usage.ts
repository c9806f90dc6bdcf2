import { accountOf } from '../../lambda/usage/account.ts';
import { accountsOf, monthsOf, type Period, readUsage } from '../../lambda/usage/read-usage.ts';
import { GROUPS, type Group, Summary, type UsageRow } from '../../lambda/usage/summary.ts';
import { type LedgerTable, LedgerUnavailable } from '../../lambda/usage/table.ts';
import { type Io, parse, UsageError } from './command.ts';
import { openTable, TABLE_HELP, TABLE_OPTIONS } from './ledger-table.ts';
import { csv, textTable } from './text-table.ts';

export const usage = `usage: llm-serving usage [options]

What was used and spent, out of the ledger.

  --by GROUPS           ${GROUPS.join(', ')}; several with commas (default consumer)
  --from TIME           date or ISO time, UTC (default: the first of this month)
  --to TIME             not included (default: now)
  --consumer NAME       of one consumer
  --top N               the N dearest rows
  --format FORMAT       table, csv or json (default table)
${TABLE_HELP}`;

const OPTIONS = {
  by: { type: 'string', default: 'consumer' },
  from: { type: 'string' },
  to: { type: 'string' },
  consumer: { type: 'string' },
  top: { type: 'string' },
  format: { type: 'string', default: 'table' },
  ...TABLE_OPTIONS,
} as const;

export async function run(args: readonly string[], io: Io): Promise<void> {
  const { values } = parse(args, OPTIONS);
  const groups = groupsOf(values.by);
  const period = periodOf(values);
  const top = values.top === undefined ? Number.POSITIVE_INFINITY : Number(values.top);
  if (!(top >= 1)) throw new UsageError(`--top must be a number of at least 1, got ${values.top}`);
  if (!['table', 'csv', 'json'].includes(values.format)) {
    throw new UsageError(`--format must be table, csv or json, got ${values.format}`);
  }
  const [rows, total] = await summarize(openTable(values), groups, period, values.consumer);
  const shown = values.top === undefined ? rows : rows.toSorted((a, b) => b.cost_usd - a.cost_usd).slice(0, top);
  if (values.format === 'json') {
    io.out(`${JSON.stringify({ from: iso(period.from), to: iso(period.to), rows: shown, total }, null, 2)}\n`);
    return;
  }
  const head = [...groups, 'requests', 'input', 'output', 'cached', 'cost_usd', 'saved_usd', 'estimated'];
  const cells = shown.map((row) => cellsOf(row, groups));
  if (values.format === 'csv') {
    io.out(csv(head, cells));
    return;
  }
  io.out(textTable(head, total === undefined ? cells : [...cells, cellsOf(total, groups, 'total')]));
}

async function summarize(
  table: LedgerTable,
  groups: readonly Group[],
  period: Period,
  consumer: string | undefined,
): Promise<[rows: UsageRow[], total: UsageRow | undefined]> {
  const rows = new Summary(groups);
  const total = new Summary([]);
  try {
    for (const month of monthsOf(period)) {
      const within = { from: Math.max(period.from, Date.parse(`${month}-01T00:00:00Z`)), to: period.to };
      const accounts = await accountsOf(table, month);
      const own = consumer === undefined ? undefined : accountOf(consumer, undefined);
      for (const account of accounts) {
        if (own !== undefined && account !== own && !account.startsWith('team:')) continue;
        for await (const record of readUsage(table, account, { ...within, to: Math.min(within.to, endOf(month)) })) {
          if (consumer !== undefined && record.consumer !== consumer) continue;
          rows.add(record);
          total.add(record);
        }
      }
    }
  } catch (error) {
    if (!(error instanceof LedgerUnavailable)) throw error;
    const cause = error.cause instanceof Error ? error.cause.message : error.message;
    throw new Error(`the ledger ${table.name} can't be read: ${cause}`, { cause: error });
  }
  return [rows.rows, total.rows[0]];
}

function endOf(month: string): number {
  const start = new Date(`${month}-01T00:00:00Z`);
  return Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1);
}

function cellsOf(row: UsageRow, groups: readonly Group[], label?: string): string[] {
  return [
    ...groups.map((group, index) => (label === undefined ? (row[group] ?? '') : index === 0 ? label : '')),
    ...[row.requests, row.input_tokens, row.output_tokens, row.cached_input_tokens].map(String),
    ...[row.cost_usd, row.saved_usd].map((usd) => usd.toFixed(6)),
    String(row.estimated_requests),
  ];
}

function groupsOf(text: string): readonly Group[] {
  const names = text.split(',').map((name) => name.trim());
  return names.map((name) => {
    const group = GROUPS.find((each) => each === name);
    if (group === undefined) throw new UsageError(`--by takes ${GROUPS.join(', ')}, not ${name}`);
    return group;
  });
}

function periodOf({ from, to }: { from?: string; to?: string }): Period {
  const now = Date.now();
  const period = {
    from: timeOf('--from', from) ?? Date.parse(`${iso(now).slice(0, 7)}-01T00:00:00Z`),
    to: timeOf('--to', to) ?? now + 1,
  };
  if (period.to <= period.from) throw new UsageError('--to must be later than --from');
  return period;
}

function timeOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = Date.parse(/^\d{4}-\d\d$/.test(text) ? `${text}-01` : text);
  if (Number.isNaN(time)) throw new UsageError(`${option} must be a date or an ISO time, got ${text}`);
  return time;
}

const iso = (ms: number): string => new Date(ms).toISOString();
