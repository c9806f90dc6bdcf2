import { KINDS, type Kind } from './cost.ts';
import { count, crossingText, NAMES, type Report, usd } from './report.ts';

const [W, H, L, R, T, B] = [860, 460, 80, 130, 20, 50];
const COLORS: Readonly<Record<Kind, string>> = { managed: 'var(--a)', hybrid: 'var(--b)', selfHosted: 'var(--c)' };
const DASHES: Readonly<Record<Kind, string>> = { managed: '', hybrid: '8 4', selfHosted: '2 4' };

/** A page of its own, that loads nothing. */
export function htmlOf(report: Report): string {
  const { profile, costs, crossings, prices } = report;
  const rows = KINDS.map(
    (kind) =>
      `<tr><th scope="row">${NAMES[kind]}</th>${(
        ['tokens', 'instances', 'idle', 'gateway', 'network', 'engineering', 'total'] as const
      )
        .map((key) => `<td>${usd(costs[kind][key])}</td>`)
        .join('')}</tr>`,
  );
  const sources = prices.map(
    ({ what, usd: value, per, source, date }) =>
      `<tr><th scope="row">${escaped(what)}</th><td>${value}</td><td>${escaped(per)}</td><td>${escaped(source)}</td><td>${escaped(date)}</td></tr>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Managed, hybrid or self-hosted</title>
<style>
:root { color-scheme: light dark; --bg: #fff; --text: #16191f; --grid: #d5dbdb; --a: #1f5fbf; --b: #b8480b; --c: #1d7a4c; }
@media (prefers-color-scheme: dark) { :root { --bg: #0f1419; --text: #eaeef2; --grid: #35414d; --a: #7db4ff; --b: #ffab70; --c: #7bd8a4; } }
body { background: var(--bg); color: var(--text); font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--text); font-size: 13px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--grid); } td { font-variant-numeric: tabular-nums; }
</style>
</head>
<body>
<h1>Managed, hybrid or self-hosted</h1>
<p>${count(profile.requestsPerDay)} requests a day of ${profile.inputTokens} + ${profile.outputTokens} tokens, ${profile.peakFactor} times as many in the busiest hour.</p>
${plot(report)}
<ul>${crossings.map((crossing) => `<li>${crossingText(crossing)}</li>`).join('')}</ul>
<h2>USD a month</h2>
<div class="scroll"><table><thead><tr><th scope="col"></th><th scope="col">managed tokens</th><th scope="col">instances</th><th scope="col">of that, idle</th><th scope="col">gateway</th><th scope="col">network</th><th scope="col">engineering</th><th scope="col">total</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>
<h2>Prices</h2>
<p>Of us-east-1, without free tiers and discounts.</p>
<div class="scroll"><table><thead><tr><th scope="col">what</th><th scope="col">USD</th><th scope="col">per</th><th scope="col">source</th><th scope="col">date</th></tr></thead><tbody>${sources.join('')}</tbody></table></div>
</body>
</html>
`;
}

function plot({ points, profile, costs }: Report): string {
  const values = points.flatMap((point) => KINDS.map((kind) => point.usd[kind])).filter((value) => value > 0);
  const [from, to] = [points[0]?.requestsPerDay ?? 1, points.at(-1)?.requestsPerDay ?? 10];
  const [low, high] = [
    10 ** Math.floor(Math.log10(Math.min(...values))),
    10 ** Math.ceil(Math.log10(Math.max(...values))),
  ];
  const x = (requests: number): number => L + (Math.log(requests / from) / Math.log(to / from)) * (W - L - R);
  const y = (value: number): number =>
    H - B - (Math.log(Math.max(value, low) / low) / Math.log(Math.max(high / low, 10))) * (H - T - B);
  const decades = (min: number, max: number): number[] =>
    Array.from(
      { length: Math.floor(Math.log10(max)) - Math.ceil(Math.log10(min)) + 1 },
      (_, index) => 10 ** (Math.ceil(Math.log10(min)) + index),
    );
  const grid = [
    ...decades(low, high).map(
      (value) =>
        `<line x1="${L}" x2="${W - R}" y1="${y(value)}" y2="${y(value)}" stroke="var(--grid)"/><text x="${L - 8}" y="${y(value) + 4}" text-anchor="end">$${count(value)}</text>`,
    ),
    ...decades(from, to).map(
      (value) =>
        `<line x1="${x(value)}" x2="${x(value)}" y1="${T}" y2="${H - B}" stroke="var(--grid)"/><text x="${x(value)}" y="${H - B + 18}" text-anchor="middle">${count(value)}</text>`,
    ),
  ];
  const lines = KINDS.map((kind) => {
    const path = points
      .map((point) => `${x(point.requestsPerDay).toFixed(1)},${y(point.usd[kind]).toFixed(1)}`)
      .join(' ');
    return `<polyline points="${path}" fill="none" stroke="${COLORS[kind]}" stroke-width="2" stroke-dasharray="${DASHES[kind]}"/>`;
  });
  // Labels keep a line's height of distance from each other.
  let last = Number.POSITIVE_INFINITY;
  const ends = KINDS.map((kind) => ({ kind, at: y(points.at(-1)?.usd[kind] ?? low) }))
    .sort((a, b) => b.at - a.at)
    .map(({ kind, at }) => {
      last = Math.min(at, last - 17);
      return `<text x="${W - R + 8}" y="${last + 4}" style="fill:${COLORS[kind]}">${NAMES[kind]}</text>`;
    });
  const said = KINDS.map((kind) => `${NAMES[kind]} $${usd(costs[kind].total)}`).join(', ');
  const here = x(profile.requestsPerDay);
  return `<svg viewBox="0 0 ${W} ${H}" role="img" aria-label="Cost a month by requests a day. At ${count(profile.requestsPerDay)}: ${said}">
${grid.join('\n')}
<line x1="${here}" x2="${here}" y1="${T}" y2="${H - B}" stroke="var(--text)" stroke-dasharray="4 4"/><text x="${here + 6}" y="${T + 12}">now</text>
${lines.join('\n')}
${ends.join('\n')}
<text x="${(L + W - R) / 2}" y="${H - 8}" text-anchor="middle">requests a day</text>
</svg>`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string): string => text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] ?? '');
