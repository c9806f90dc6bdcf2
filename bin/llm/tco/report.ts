import { type Cost, type Crossing, costs, crossings, DECADES, KINDS, type Kind } from './cost.ts';
import type { Price, Prices } from './prices.ts';
import type { Profile } from './profile.ts';

export const NAMES: Readonly<Record<Kind, string>> = {
  managed: 'managed',
  hybrid: 'hybrid',
  selfHosted: 'self-hosted',
};

const ROWS: ReadonlyArray<readonly [label: string, key: Exclude<keyof Cost, 'mostInstances'>]> = [
  ['tokens of managed models', 'tokens'],
  ['instances and disks', 'instances'],
  ['  of that, idle', 'idle'],
  ['API Gateway, Lambda, ledger', 'gateway'],
  ['load balancer, NAT', 'network'],
  ['engineering', 'engineering'],
  ['total a month', 'total'],
];

export interface Report {
  readonly profile: Profile;
  readonly costs: Record<Kind, Cost>;
  readonly crossings: readonly Crossing[];
  readonly prices: readonly Price[];
  /** For the plot. */
  readonly points: ReadonlyArray<{ readonly requestsPerDay: number; readonly usd: Record<Kind, number> }>;
}

export function reportOf(profile: Profile, prices: Prices): Report {
  const points = Array.from({ length: 121 }, (_, index) => {
    const requestsPerDay = profile.requestsPerDay * 10 ** ((index / 120) * DECADES - DECADES / 2);
    const at = costs(profile, prices, requestsPerDay);
    return {
      requestsPerDay,
      usd: { managed: at.managed.total, hybrid: at.hybrid.total, selfHosted: at.selfHosted.total },
    };
  });
  return {
    profile,
    costs: costs(profile, prices),
    crossings: crossings(profile, prices),
    prices: Object.values(prices),
    points,
  };
}

export function textOf({ profile, costs: of, crossings: found, prices }: Report): string {
  const head = ['USD a month', ...KINDS.map((kind) => NAMES[kind])];
  const rows = ROWS.map(([label, key]) => [label, ...KINDS.map((kind) => usd(of[kind][key]))]);
  const most = ['instances at most', ...KINDS.map((kind) => String(of[kind].mostInstances))];
  return [
    `${count(profile.requestsPerDay)} requests a day of ${profile.inputTokens} + ${profile.outputTokens} tokens, ${profile.peakFactor} times as many in the busiest hour`,
    '',
    ...table([head, ...rows, most]),
    '',
    ...(found.length === 0
      ? ['The lines do not cross within ten thousand times less and more traffic.']
      : found.map(crossingText)),
    '',
    'Prices (us-east-1, without free tiers and discounts):',
    ...table([
      ['what', 'USD', 'per', 'source', 'date'],
      ...prices.map(({ what, usd: value, per, source, date }) => [what, String(value), per, source, date]),
    ]),
    '',
  ].join('\n');
}

export function crossingText({ requestsPerDay, below, above }: Crossing): string {
  return `From about ${count(requestsPerDay)} requests a day on, ${NAMES[above]} costs less than ${NAMES[below]}.`;
}

function table(rows: ReadonlyArray<readonly string[]>): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        /^[\d.,]+$/.test(cell) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}

export const usd = (value: number): string =>
  value.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const count = (value: number): string => Number(value.toPrecision(2)).toLocaleString('en-US');
