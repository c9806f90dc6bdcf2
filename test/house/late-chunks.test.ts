import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const FOLDER = 'assets/handlers/api';

/** A file of the bundle and all that is loaded with it. */
function loadedWith(file: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const code = readFileSync(join(FOLDER, file), 'utf8');
  for (const [, other] of code.matchAll(/(?:from|^import|;import)\s*"\.\/([\w.-]+\.mjs)"/g)) {
    if (other !== undefined) loadedWith(other, seen);
  }
  return seen;
}

test("a deployment without answers to similar requests loads nothing of them, at the function's start or with the cache", () => {
  const has = (text: string) => (file: string) => readFileSync(join(FOLDER, file), 'utf8').includes(text);
  const all = readdirSync(FOLDER).filter((name) => name.endsWith('.mjs'));
  const searching = all.filter(has('FT.SEARCH'));
  const cache = all.filter(has('"EVALSHA"'));
  expect(searching).toHaveLength(1);
  expect(cache).toHaveLength(1);
  const loaded = ['index.mjs', ...cache].flatMap((file) => [...loadedWith(file)]);
  expect(loaded.length).toBeGreaterThan(cache.length + 1);
  expect(loaded).not.toContain(searching[0]);
});
