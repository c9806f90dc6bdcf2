import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

test.each(['lambda', 'lib'])('docs/architecture.md says what each folder of %s is for', (folder) => {
  const text = readFileSync('docs/architecture.md', 'utf8');
  const folders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.map(({ name }) => `${name}/`).filter((name) => !text.includes(name))).toEqual([]);
});
