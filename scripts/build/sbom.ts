import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { NODE_BUNDLE } from './bundle.ts';
import { foldersOf, manifestOf } from './licenses.ts';
import { ROOT } from './steps.ts';

/** What may ship: licences that ask for no more than their text and a notice. */
const ALLOWED_LICENSES = new Set(['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT']);

interface Lock {
  readonly packages: Readonly<Record<string, { readonly integrity?: string }>>;
}

/**
 * A CycloneDX bill of what is in the package: what the bundles hold code of, which are no dependencies of the package's
 * any more and which nobody would find otherwise, and the dependencies that it carries along. Without a date and a serial number,
 * so that the same sources give the same bill.
 */
export async function buildSbom(): Promise<void> {
  const own = manifestOf(ROOT);
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock;
  const carried = (own.bundleDependencies ?? []).map((name) => join('node_modules', name));
  const folders = [...new Set([...(await bundled()), ...carried])].sort();
  const components = folders.map((folder) => {
    const { name, version, license } = manifestOf(join(ROOT, folder));
    if (license === undefined || !ALLOWED_LICENSES.has(license)) {
      throw new Error(
        `${name}@${version} has license ${license ?? 'none'}: what ships is under one of ${[...ALLOWED_LICENSES].join(', ')}`,
      );
    }
    const [, hash] = /^sha512-(.*)$/.exec(packages[folder]?.integrity ?? '') ?? [];
    return {
      type: 'library',
      'bom-ref': purl(name, version),
      name,
      version,
      purl: purl(name, version),
      licenses: [{ license: { id: license } }],
      ...(hash && { hashes: [{ alg: 'SHA-512', content: Buffer.from(hash, 'base64').toString('hex') }] }),
    };
  });
  const bill = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: {
        type: 'library',
        'bom-ref': purl(own.name, own.version),
        name: own.name,
        version: own.version,
        purl: purl(own.name, own.version),
        licenses: [{ license: { id: own.license } }],
      },
    },
    components,
  };
  writeFileSync(join(ROOT, 'assets/sbom.cdx.json'), `${JSON.stringify(bill, undefined, 2)}\n`);
}

/** The packages of all bundles, handlers and command line; bundled once more, in memory. */
async function bundled(): Promise<ReadonlySet<string>> {
  const handlers = readdirSync(join(ROOT, 'assets/handlers')).map((entry) => `lambda/${entry}/index.ts`);
  const { metafile } = await build({
    ...NODE_BUNDLE,
    absWorkingDir: ROOT,
    entryPoints: [...handlers, 'bin/llm.ts'],
    outdir: 'out',
    write: false,
  });
  return foldersOf([metafile]);
}

/** https://github.com/package-url/purl-spec/blob/main/types-doc/npm-definition.md */
function purl(name: string, version: string): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}
