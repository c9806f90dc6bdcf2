import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Metafile } from 'esbuild';
import { licensesOf } from './licenses.ts';
import { ROOT } from './steps.ts';

interface Entry {
  readonly source: string;
  /** Folder in `assets`. */
  readonly target: string;
  /** The module's name, without its ending. */
  readonly name: string;
}

/** Each folder of `lambda/` that is the entry of a function. */
const HANDLERS: readonly Entry[] = ['api', 'authorizer'].map((name) => ({
  source: `lambda/${name}/index.ts`,
  target: `assets/handlers/${name}`,
  name: 'index',
}));

/** The operator's command line: Node strips no types in node_modules, where an installed package is. */
const CLI: Entry = { source: 'bin/llm.ts', target: 'assets/cli', name: 'llm' };

/**
 * One ES module a function or program, with what is loaded only when first used (SDK clients, translators) in chunks beside it.
 * Names are kept readable: a stack trace from production should be one.
 */
export async function buildHandlers(): Promise<void> {
  const metafiles: Metafile[] = [];
  for (const entry of [...HANDLERS, CLI]) {
    const source = join(ROOT, entry.source);
    if (!existsSync(source)) throw new Error(`no such entry: ${source}`);
    const target = join(ROOT, entry.target);
    // Made aside: a synthesis or a test may be reading the old one.
    const outdir = `${target}.${process.pid}`;
    const { metafile } = await build({
      entryPoints: { [entry.name]: source },
      outdir,
      outExtension: { '.js': '.mjs' },
      bundle: true,
      splitting: true,
      chunkNames: 'chunk-[name]-[hash]',
      format: 'esm',
      platform: 'node',
      target: 'node22',
      mainFields: ['module', 'main'],
      conditions: ['node', 'import'],
      minifySyntax: true,
      minifyWhitespace: true,
      // The licences stand in a file of their own.
      legalComments: 'none',
      metafile: true,
      logLevel: 'warning',
      // CommonJS dependencies call require() for Node's own modules.
      banner: {
        js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
      },
    });
    rmSync(target, { recursive: true, force: true });
    renameSync(outdir, target);
    metafiles.push(metafile);
  }
  writeFileSync(join(ROOT, 'assets/THIRD-PARTY-LICENSES.txt'), licensesOf(metafiles));
}
