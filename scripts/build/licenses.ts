import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Metafile } from 'esbuild';
import { ROOT } from './steps.ts';

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly bundleDependencies?: readonly string[];
}

/** What a package says of itself. */
export function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** The packages that bundles hold code of: their folders, relative to the root. */
export function foldersOf(metafiles: readonly Metafile[]): ReadonlySet<string> {
  const folders = new Set<string>();
  for (const { outputs } of metafiles) {
    for (const { inputs } of Object.values(outputs)) {
      for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
        if (bytesInOutput > 0 && file.includes('node_modules/')) folders.add(relative(ROOT, packageFolder(file)));
      }
    }
  }
  return folders;
}

/**
 * The licences of the packages that a bundle holds code of, as they ask for: name, version, and the text that each
 * ships; a text that several share stands once. A package without a licence is an error: it may not be bundled.
 */
export function licensesOf(metafiles: readonly Metafile[]): string {
  const packages = new Map<string, string[]>();
  for (const folder of [...foldersOf(metafiles)].sort()) {
    const { name, version, license } = manifestOf(join(ROOT, folder));
    if (license === undefined) throw new Error(`${name}@${version} names no license: it may not be bundled`);
    const text = readdirSync(join(ROOT, folder))
      .filter((file) => /^(licen[cs]e|notice)/i.test(file))
      .sort()
      .map((file) => readFileSync(join(ROOT, folder, file), 'utf8').trim())
      .join('\n\n');
    packages.set(text, [...(packages.get(text) ?? []), `${name}@${version} (${license})`]);
  }
  const sections = [...packages].map(([text, names]) => [names.join('\n'), text].join('\n\n'));
  return `${sections.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

/** Of a file like `node_modules/@scope/name/dist-es/x.js`; a `package.json` inside that only sets a type is passed over. */
function packageFolder(file: string): string {
  let folder = dirname(join(ROOT, file));
  while (!/node_modules\/(@[^/]+\/)?[^/]+$/.test(folder) || !existsSync(join(folder, 'package.json'))) {
    folder = dirname(folder);
  }
  return folder;
}
