import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Metafile } from 'esbuild';
import { ROOT } from './steps.ts';

/**
 * The licences of the packages that a bundle holds code of, as they ask for: name, version, and the text that each
 * ships. A package without a licence is an error: it may not be bundled.
 */
export function licensesOf(metafiles: readonly Metafile[]): string {
  const folders = new Set<string>();
  for (const { outputs } of metafiles) {
    for (const { inputs } of Object.values(outputs)) {
      for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
        if (bytesInOutput > 0 && file.includes('node_modules/')) folders.add(packageFolder(file));
      }
    }
  }
  const sections = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      name: string;
      version: string;
      license?: string;
    };
    if (license === undefined) throw new Error(`${name}@${version} names no license: it may not be bundled`);
    const texts = readdirSync(folder)
      .filter((file) => /^(licen[cs]e|notice)/i.test(file))
      .sort()
      .map((file) => readFileSync(join(folder, file), 'utf8').trim());
    return [`${name}@${version} (${license})`, ...texts].join('\n\n');
  });
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
