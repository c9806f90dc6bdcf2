import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const DOCS = new URL('../../docs/', import.meta.url);

/** A table of Markdown; numbers to the right. */
export function markdownTable(head: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const widths = head.map((cell, i) => Math.max(3, cell.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** Puts a result where the document says `<!-- name -->` … `<!-- /name -->`: figures in documents aren't typed. */
export function writeResult(document: string, name: string, text: string): void {
  const file = fileURLToPath(new URL(document, DOCS));
  const before = readFileSync(file, 'utf8');
  const marked = new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- /${name} -->)`);
  if (!marked.test(before)) throw new Error(`${document} has no place for ${name}: add <!-- ${name} --> and its end`);
  writeFileSync(
    file,
    before.replace(marked, (_, begin: string, end: string) => `${begin}\n${text}\n\n${end}`),
  );
}

export function writeChart(name: string, svg: string): void {
  writeFileSync(fileURLToPath(new URL(name, DOCS)), svg);
}
