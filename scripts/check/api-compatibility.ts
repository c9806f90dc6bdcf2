import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { ROOT } from '../build/steps.ts';
import { run } from '../run.ts';

/** The public API of the last release, written by `scripts/release.ts`; there is none before the first. */
export const RELEASED_API = join(ROOT, 'api/released.jsii.gz');

/** Incompatible changes that the next release makes on purpose, one key of jsii-diff a line. */
const ACCEPTED = join(ROOT, 'api/accepted-changes.txt');

/** Below `node_modules`, from where the assemblies of the CDK are found. */
const FOLDER = join(ROOT, 'node_modules/.cache/cdk-llm-serving/released-api');

/** Fails on a change that breaks who uses the last release: something removed, renamed, or asked for now. */
export async function checkApiCompatibility(released = RELEASED_API): Promise<void> {
  if (!existsSync(released)) return;
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  copyFileSync(join(ROOT, 'package.json'), join(FOLDER, 'package.json'));
  writeFileSync(join(FOLDER, '.jsii'), gunzipSync(readFileSync(released)));
  await run('jsii-diff', [FOLDER, ROOT, '--error-on', 'all', '--keys', '--ignore-file', ACCEPTED]);
}

/** What of an assembly the comparison needs: no words, no places in files. A fifth of a release's `.jsii`, compressed. */
export function packApi(assembly: string): Buffer {
  return gzipSync(
    JSON.stringify(JSON.parse(assembly), (key, value) => {
      if (key === 'docs') return { stability: value.stability, deprecated: value.deprecated };
      return ['locationInModule', 'locationInSource', 'symbolId', 'readme'].includes(key) ? undefined : value;
    }),
    { level: 9 },
  );
}
