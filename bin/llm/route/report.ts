import type { Score } from './score.ts';

interface Row {
  readonly route: string;
  readonly reason: string;
  readonly backend: string;
  requests: number;
  savedUsd: number;
}

/** Sums scores up, model by model. */
export class RouteReport {
  readonly #models = new Map<
    string,
    { requests: number; cheap: number; without: number; with: number; rows: Map<string, Row> }
  >();

  add({ model, decision, backend, withoutUsd, withUsd }: Score): void {
    const sums = this.#models.get(model) ?? { requests: 0, cheap: 0, without: 0, with: 0, rows: new Map() };
    this.#models.set(model, sums);
    sums.requests += 1;
    sums.cheap += decision?.route === 'cheap' ? 1 : 0;
    sums.without += withoutUsd;
    sums.with += withUsd;
    const route = decision?.route ?? 'no policy';
    const reason = decision?.rule === undefined ? (decision?.reason ?? '') : `rule ${decision.rule}`;
    const key = JSON.stringify([route, reason, backend]);
    const row = sums.rows.get(key) ?? { route, reason, backend, requests: 0, savedUsd: 0 };
    sums.rows.set(key, row);
    row.requests += 1;
    row.savedUsd += withoutUsd - withUsd;
  }

  toString(): string {
    return [...this.#models]
      .map(([model, sums]) => {
        const saved = sums.without - sums.with;
        const rows = [...sums.rows.values()].sort((a, b) => b.requests - a.requests);
        return [
          `${model}: ${sums.requests} ${sums.requests === 1 ? 'request' : 'requests'}, ${percent(sums.cheap, sums.requests)} to the cheap backend first`,
          `  without the policy ${usd(sums.without)}, with it ${usd(sums.with)}: ${usd(saved)} saved (${percent(saved, sums.without)})`,
          '',
          ...table(rows),
          '',
        ].join('\n');
      })
      .join('\n');
  }
}

function table(rows: readonly Row[]): string[] {
  const cells = [
    ['route', 'reason', 'backend', 'requests', 'saved'],
    ...rows.map((row) => [row.route, row.reason, row.backend, String(row.requests), usd(row.savedUsd)]),
  ];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  return cells.map((line) =>
    `  ${line.map((cell, column) => (column < 3 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ')}`.trimEnd(),
  );
}

const percent = (part: number, whole: number): string =>
  whole === 0 ? '0 %' : `${((100 * part) / whole).toFixed(1)} %`;

/** Four digits that count, for files of ten requests and of ten million. */
const usd = (value: number): string =>
  `$${Math.abs(value) >= 1000 ? value.toFixed(0) : Number(value.toPrecision(4)).toString()}`;
