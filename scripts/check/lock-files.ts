import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../build/steps.ts';

interface Lock {
  readonly packages: Readonly<Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>>;
}

/**
 * Packages of other platforms that the registry didn't have when the lock file was made are missing from it silently;
 * there `npm ci` fails.
 */
function checkComplete(file: string): void {
  const { packages } = JSON.parse(readFileSync(join(ROOT, file), 'utf8')) as Lock;
  const names = new Set(Object.keys(packages).map((path) => path.replace(/^.*node_modules\//, '')));
  for (const [path, { optionalDependencies = {} }] of Object.entries(packages)) {
    const missing = Object.keys(optionalDependencies).filter((name) => !names.has(name));
    if (missing.length > 0) throw new Error(`${file} lacks optional packages of ${path}: ${missing.join(', ')}`);
  }
}

/** A lock file pins names, versions and hashes; where they are downloaded from is the user's own setting. */
export async function checkLockFiles(): Promise<void> {
  const files = execFileSync('git', ['ls-files', '*package-lock.json', '*requirements*.txt'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
    .split('\n')
    .filter((file) => file !== '');
  for (const file of files) {
    const line = readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .find((text) => /"resolved": *"https?:|https?:\/\/registry|^(--)?(extra-)?index-url/.test(text));
    if (line !== undefined) throw new Error(`${file} holds a download address: ${line.trim()}`);
    if (file.endsWith('package-lock.json')) checkComplete(file);
  }
}
