import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Metafile } from 'esbuild';
import { NODE_BUNDLE } from './bundle.ts';
import { licensesOf } from './licenses.ts';
import { ROOT } from './steps.ts';

/** Each folder of `lambda/` that is the entry of a function. */
const ENTRIES = ['api', 'authorizer', 'jobs', 'meter', 'pause', 'webhook', 'worker'];

/**
 * One ES module a function, with what is loaded only when first used (SDK clients, translators) in chunks beside it.
 * Names are kept readable: a stack trace from production should be one.
 */
export async function buildHandlers(): Promise<void> {
  const metafiles: Metafile[] = [];
  for (const entry of ENTRIES) {
    const source = join(ROOT, 'lambda', entry, 'index.ts');
    if (!existsSync(source)) throw new Error(`no such entry: ${source}`);
    const target = join(ROOT, 'assets/handlers', entry);
    // Made aside: a synthesis or a test may be reading the old one.
    const outdir = `${target}.${process.pid}`;
    const { metafile } = await build({ ...NODE_BUNDLE, entryPoints: { index: source }, outdir, target: 'node22' });
    rmSync(target, { recursive: true, force: true });
    renameSync(outdir, target);
    metafiles.push(metafile);
  }
  writeFileSync(join(ROOT, 'assets/THIRD-PARTY-LICENSES.txt'), licensesOf(metafiles));
}
