import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { NODE_BUNDLE } from './bundle.ts';
import { licensesOf } from './licenses.ts';
import { ROOT } from './steps.ts';

const CLI_SOURCE = 'bin/llm.ts';

/**
 * The operators' command line as plain JavaScript: who installs the package has neither a Node that runs TypeScript nor
 * the AWS SDK. `package.json` names it as the package's command, which jsii hands on to the Python package.
 */
export async function buildCli(): Promise<void> {
  const source = join(ROOT, CLI_SOURCE);
  const outdir = join(ROOT, 'assets/cli');
  rmSync(outdir, { recursive: true, force: true });
  const { metafile } = await build({ ...NODE_BUNDLE, entryPoints: { llm: source }, outdir, target: 'node20' });
  const command = join(outdir, 'llm.mjs');
  const code = readFileSync(command, 'utf8');
  if (!code.startsWith('#!')) writeFileSync(command, `#!/usr/bin/env node\n${code}`);
  chmodSync(command, 0o755);
  writeFileSync(join(outdir, 'THIRD-PARTY-LICENSES.txt'), licensesOf([metafile]));
}
