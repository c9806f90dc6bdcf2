import { ApiError, invalidRequest } from '../serving/errors.ts';
import type { GatewayEvent } from '../serving/gateway.ts';
import { accountKey, accountOf, consumerPurse, monthOf, reservationsIn, spentIn, teamPurse } from './account.ts';
import type { Payer } from './limits.ts';
import { toUsd } from './money.ts';
import { type Period, readUsage } from './read-usage.ts';
import { GROUPS, type Group, NOTHING, Summary } from './summary.ts';
import { type LedgerTable, LedgerUnavailable } from './table.ts';

/** A consumer sees its own requests: which it is, the rows needn't say. */
const CALLERS_GROUPS = GROUPS.filter((group) => group !== 'consumer');
const DEFAULT_GROUPS: readonly Group[] = ['day', 'model', 'feature'];
/** Longer ones are the operator's, by the command line: each request's record is read. */
const MAX_DAYS = 31;
const MAX_ROWS = 10_000;
const DAY_MS = 86_400_000;

/** `GET /v1/usage`: what the caller used, and where its budget stands. @throws ApiError 400, 503 */
export async function callersUsage(event: GatewayEvent, payer: Payer, table: LedgerTable): Promise<object> {
  const now = Date.now();
  const query = event.queryStringParameters ?? {};
  const period = periodOf(query, now);
  const groups = groupsOf(query.group_by);
  const account = accountOf(payer.consumer, payer.team);
  try {
    const rows = new Summary(groups);
    const total = new Summary([]);
    for await (const record of readUsage(table, account, period)) {
      if (record.consumer !== payer.consumer) continue;
      rows.add(record);
      total.add(record);
      if (rows.size > MAX_ROWS) {
        throw invalidRequest(`More than ${MAX_ROWS} rows: ask for a shorter time, or fewer groups.`, 'group_by');
      }
    }
    return {
      object: 'list',
      start_time: Math.floor(period.from / 1000),
      end_time: Math.floor(period.to / 1000),
      data: rows.rows,
      total: total.rows[0] ?? NOTHING,
      budgets: await budgetsOf(payer, account, table, now),
    };
  } catch (error) {
    if (!(error instanceof LedgerUnavailable)) throw error;
    throw new ApiError(503, 'Usage can not be read at the moment; try again later.', {
      code: 'ledger_unavailable',
      retryAfterMs: 2000,
      cause: error,
    });
  }
}

async function budgetsOf(payer: Payer, account: string, table: LedgerTable, now: number): Promise<object[]> {
  const budgets = [
    ['consumer', consumerPurse(payer.consumer), payer.budgetNano],
    ['team', teamPurse(payer.team ?? ''), payer.teamBudgetNano],
  ] as const;
  if (budgets.every(([, , budget]) => budget === undefined)) return [];
  const month = monthOf(now);
  const item = await table.get(accountKey(account, month));
  return budgets.flatMap(([of, purse, budget]) => {
    if (budget === undefined) return [];
    const reserved = reservationsIn(item).filter((each) => each.purse === purse);
    return {
      ...{ of, month, budget_usd: toUsd(budget), spent_usd: toUsd(spentIn(item, purse)) },
      reserved_usd: toUsd(reserved.reduce((sum, { nano }) => sum + nano, 0)),
    };
  });
}

/** `start` and `end`: Unix seconds, or dates; the current month when absent. */
function periodOf(query: Readonly<Record<string, string | undefined>>, now: number): Period {
  const from = timeOf(query.start, 'start') ?? Date.parse(`${monthOf(now)}-01T00:00:00Z`);
  const to = timeOf(query.end, 'end') ?? Math.max(now + 1, from + 1);
  if (to <= from) throw invalidRequest("'end' must be later than 'start'.", 'end');
  if (to - from > MAX_DAYS * DAY_MS) throw invalidRequest(`At most ${MAX_DAYS} days at once.`, 'start');
  return { from, to };
}

function timeOf(text: string | undefined, param: string): number | undefined {
  if (text === undefined || text === '') return undefined;
  const ms = /^\d{1,11}$/.test(text)
    ? Number(text) * 1000
    : /^\d{4}-\d\d-\d\d/.test(text)
      ? Date.parse(text)
      : Number.NaN;
  if (Number.isNaN(ms)) {
    throw invalidRequest(`Invalid '${param}': expected Unix seconds, or a date such as 2026-11-01.`, param);
  }
  return ms;
}

function groupsOf(text: string | undefined): readonly Group[] {
  if (text === undefined) return DEFAULT_GROUPS;
  const names = text.split(',').filter((name) => name !== '');
  const unknown = names.find((name) => !CALLERS_GROUPS.some((group) => group === name));
  if (unknown !== undefined) {
    throw invalidRequest(`Invalid 'group_by': '${unknown}' is none of ${CALLERS_GROUPS.join(', ')}.`, 'group_by');
  }
  return CALLERS_GROUPS.filter((group) => names.includes(group));
}
