import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../build/steps.ts';
import { run } from '../run.ts';

/** API.md is made from the jsii assembly; with `fix` it is written, else it must be what would be written. */
export async function checkApiDocs(options: { fix: boolean }): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'api-docs-'));
  try {
    const made = join(directory, 'API.md');
    await run('jsii-docgen', ['--output', made.replace(/\.md$/, '')]);
    const wanted = readFileSync(made, 'utf8');
    const file = join(ROOT, 'API.md');
    if (options.fix) writeFileSync(file, wanted);
    else if (!existsSync(file) || readFileSync(file, 'utf8') !== wanted) {
      throw new Error('API.md is not what the code says: run npm run check -- --fix and commit it');
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}
