import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../build/steps.ts';

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
  }
}
