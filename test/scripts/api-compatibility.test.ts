import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkApiCompatibility, packApi } from '../../scripts/check/api-compatibility.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llm-api-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** The API of today, as if it had been released; `change` makes it another one. */
function released(change: (types: Record<string, { properties?: { name: string }[] }>) => void = () => {}): string {
  const assembly = JSON.parse(readFileSync('.jsii', 'utf8'));
  change(assembly.types);
  const file = join(folder, 'released.jsii.gz');
  writeFileSync(file, packApi(JSON.stringify(assembly)));
  return file;
}

test('what nobody changed is compatible', async () => {
  await checkApiCompatibility(released());
}, 60_000);

test('something more is compatible', async () => {
  const file = released((types) => {
    delete types['cdk-llm-serving.FailoverAlarms'];
  });
  await checkApiCompatibility(file);
}, 60_000);

test('a property that is no longer there is not', async () => {
  const file = released((types) => {
    types['cdk-llm-serving.Model']?.properties?.push({
      ...types['cdk-llm-serving.Model'].properties[0],
      name: 'nickname',
    });
  });
  await expect(checkApiCompatibility(file)).rejects.toThrow(/^jsii-diff .* exited with/);
}, 60_000);

test('before the first release there is nothing to compare with', async () => {
  await checkApiCompatibility(join(folder, 'none'));
}, 60_000);
