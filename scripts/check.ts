/**
 * Everything that can be checked without running the tests: format and lint, types, the generated API.md and
 * pictures, the snippets and commands of README and docs, the lock files.
 *
 *   node scripts/check.ts [--fix]
 */
import { checkApiCompatibility } from './check/api-compatibility.ts';
import { checkApiDocs } from './check/api-docs.ts';
import { checkCommands } from './check/commands.ts';
import { checkLockFiles } from './check/lock-files.ts';
import { checkPictures } from './check/pictures.ts';
import { checkSnippets } from './check/snippets.ts';
import { run } from './run.ts';

const fix = process.argv.includes('--fix');

const checks: ReadonlyArray<readonly [name: string, check: () => Promise<void>]> = [
  ['build', () => run('node', ['scripts/build.ts'])],
  ['format and lint', () => run('biome', ['check', ...(fix ? ['--write'] : ['--error-on-warnings']), '.'])],
  ['types of lambda', () => run('tsc', ['-p', 'lambda/tsconfig.json'])],
  ['types of everything else', () => run('tsc', ['-p', 'tsconfig.json'])],
  ['API.md in sync', () => checkApiDocs({ fix })],
  ['pictures of the architecture in sync', () => checkPictures({ fix })],
  ['API compatible with the last release', () => checkApiCompatibility()],
  ['snippets of README and docs compile', () => checkSnippets()],
  ['commands of README and docs', () => checkCommands()],
  ['no download address in lock files', () => checkLockFiles()],
];

for (const [name, check] of checks) {
  try {
    await check();
    console.error(`ok      ${name}`);
  } catch (error) {
    console.error(`FAILED  ${name}: ${error instanceof Error ? error.message : error}`);
    process.exit(1);
  }
}
console.log(`${checks.length} checks passed`);
