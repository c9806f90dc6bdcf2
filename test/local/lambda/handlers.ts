import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { type FunctionOptions, type LocalFunction, startFunction } from '../../../local/lambda/local-function.ts';

const folders: string[] = [];
const functions: LocalFunction[] = [];

afterAll(async () => {
  await Promise.all(functions.map((fn) => fn.close()));
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder with `source` as `index.mjs`. */
export function codeFolder(source: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'local-function-'));
  folders.push(folder);
  writeFileSync(join(folder, 'index.mjs'), source);
  return folder;
}

/** A function with `source` as its code; ended after the test file. */
export function functionOf(
  source: string,
  options: Partial<FunctionOptions> = {},
): { fn: LocalFunction; logs: string[] } {
  const logs: string[] = [];
  const codeDir = codeFolder(source);
  const fn = startFunction({ codeDir, handler: 'index.handler', log: (line) => logs.push(line), ...options });
  functions.push(fn);
  return { fn, logs };
}
