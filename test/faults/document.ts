import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

const DOCUMENT = fileURLToPath(new URL('../../docs/failover.md', import.meta.url));

/** Prints a table of what was seen, and holds docs/failover.md to it, between comments of that name; UPDATE_DOCS=1 writes. */
export function holdsTable(name: string, head: readonly string[], rows: ReadonlyArray<readonly string[]>): void {
  const table = [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
  console.log(table);
  const text = readFileSync(DOCUMENT, 'utf8');
  const start = `<!-- ${name} -->\n`;
  const from = text.indexOf(start) + start.length;
  const to = text.indexOf(`\n<!-- /${name} -->`);
  expect(to).toBeGreaterThanOrEqual(from);
  if (process.env.UPDATE_DOCS === '1') writeFileSync(DOCUMENT, text.slice(0, from) + table + text.slice(to));
  else expect(text.slice(from, to)).toBe(table);
}
