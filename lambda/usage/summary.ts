import { toUsd } from './money.ts';
import { costOf, type UsageBill, type UsageRecord } from './usage-record.ts';

/** What usage can be summed up by. Days, minutes and months are UTC. */
export const GROUPS = ['minute', 'day', 'month', 'consumer', 'user', 'feature', 'model', 'backend'] as const;
export type Group = (typeof GROUPS)[number];

export interface UsageTotals {
  readonly requests: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cached_input_tokens: number;
  readonly cost_usd: number;
  /** What cached answers would have cost. */
  readonly saved_usd: number;
  /** Requests some tokens of which are an estimate. */
  readonly estimated_requests: number;
}

export type UsageRow = Partial<Readonly<Record<Group, string>>> & UsageTotals;

interface Sums {
  requests: number;
  input: number;
  output: number;
  cached: number;
  nano: number;
  savedNano: number;
  estimated: number;
}

/** Sums usage up. By backend, a request that two had to be paid for counts with each of them. */
export class Summary {
  readonly #groups: readonly Group[];
  readonly #rows = new Map<string, { readonly keys: readonly string[]; readonly sums: Sums }>();

  constructor(groups: readonly Group[]) {
    this.#groups = groups;
  }

  add(record: UsageRecord): void {
    const byBackend = this.#groups.includes('backend');
    const parts: ReadonlyArray<readonly [string, readonly UsageBill[]]> =
      byBackend && record.bills.length > 0
        ? [...new Set(record.bills.map((bill) => bill.backend))].map((backend) => [
            backend,
            record.bills.filter((bill) => bill.backend === backend),
          ])
        : [['', record.bills]];
    parts.forEach(([backend, bills], index) => {
      const keys = this.#groups.map((group) => keyOf(record, group, backend));
      const sums = this.#sums(keys);
      sums.requests += 1;
      for (const bill of bills) {
        sums.input += bill.inputTokens;
        sums.output += bill.outputTokens;
        sums.cached += bill.cachedInputTokens;
      }
      sums.nano += costOf({ bills });
      if (index === 0) sums.savedNano += record.savedNano;
      if (bills.some((bill) => bill.estimated)) sums.estimated += 1;
    });
  }

  get size(): number {
    return this.#rows.size;
  }

  /** In the order of the groups' values. */
  get rows(): UsageRow[] {
    return [...this.#rows.values()]
      .sort((a, b) => compare(a.keys, b.keys))
      .map(({ keys, sums }) => ({
        ...Object.fromEntries(this.#groups.map((group, index) => [group, keys[index] ?? ''])),
        ...totalsOf(sums),
      }));
  }

  #sums(keys: readonly string[]): Sums {
    const id = JSON.stringify(keys);
    const known = this.#rows.get(id);
    if (known !== undefined) return known.sums;
    const sums = { requests: 0, input: 0, output: 0, cached: 0, nano: 0, savedNano: 0, estimated: 0 };
    this.#rows.set(id, { keys, sums });
    return sums;
  }
}

function keyOf(record: UsageRecord, group: Group, backend: string): string {
  switch (group) {
    case 'minute':
      return `${new Date(record.at).toISOString().slice(0, 16)}Z`;
    case 'day':
      return new Date(record.at).toISOString().slice(0, 10);
    case 'month':
      return new Date(record.at).toISOString().slice(0, 7);
    case 'backend':
      return backend;
    default:
      return record[group];
  }
}

function totalsOf(sums: Sums): UsageTotals {
  return {
    requests: sums.requests,
    input_tokens: sums.input,
    output_tokens: sums.output,
    cached_input_tokens: sums.cached,
    cost_usd: toUsd(sums.nano),
    saved_usd: toUsd(sums.savedNano),
    estimated_requests: sums.estimated,
  };
}

export const NOTHING: UsageTotals = totalsOf({
  ...{ requests: 0, input: 0, output: 0, cached: 0 },
  ...{ nano: 0, savedNano: 0, estimated: 0 },
});

function compare(a: readonly string[], b: readonly string[]): number {
  for (let index = 0; index < a.length; index++) {
    const [left = '', right = ''] = [a[index], b[index]];
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}
