/**
 * Builds and packs the npm package, and looks into it. `npm pack` alone packs what was built last, or nothing: what is
 * built isn't in git, and no lifecycle script runs here.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './build/steps.ts';
import { run } from './run.ts';

/**
 * A quarter more than it has (2,810 KiB: six functions of up to 0.5 MiB, each with the SDK clients that it calls, 0.5
 * the command line, the rest the constructs): a bundle that takes in something large by mistake is noticed.
 */
const MAX_PACKED_KIB = 3_500;

/** Without one of these the package doesn't work. */
const NEEDED = [
  '.jsii',
  'lib/index.js',
  'lib/index.d.ts',
  'assets/handlers/api/index.mjs',
  'assets/handlers/authorizer/index.mjs',
  'assets/handlers/meter/index.mjs',
  'assets/handlers/jobs/index.mjs',
  'assets/handlers/worker/index.mjs',
  'assets/handlers/webhook/index.mjs',
  'assets/schemas/chat-completion-request.json',
  'assets/cli/llm.mjs',
  'assets/sbom.cdx.json',
  'assets/THIRD-PARTY-LICENSES.txt',
  'node_modules/@pydantic/genai-prices/package.json',
];

await run('node', ['scripts/build.ts']);
const [packed] = JSON.parse(
  execFileSync('npm', ['pack', '--json', ...process.argv.slice(2)], { cwd: ROOT, encoding: 'utf8' }),
) as [{ filename: string; size: number; files: readonly { path: string }[] }];
const paths = new Set(packed.files.map(({ path }) => path));
const missing = NEEDED.filter((path) => !paths.has(path));
if (missing.length > 0) {
  console.error(`${packed.filename} lacks ${missing.join(', ')}`);
  process.exit(1);
}
/** Sources and tests, which nobody needs who installs it, and what the machine left behind. */
const needless = [...paths].filter((path) => /^(lambda|local|test|bin|scripts)\/|(?<!\.d)\.m?ts$|\.map$/.test(path));
if (needless.some((path) => !path.startsWith('node_modules/'))) {
  console.error(`${packed.filename} holds what nobody needs: ${needless.slice(0, 5).join(', ')}`);
  process.exit(1);
}
/** Of this package and of what it carries along: whoever installs it runs no code by that. */
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall'];
const manifests = [...paths].filter((path) => /^(node_modules\/(@[^/]+\/)?[^/]+\/)?package\.json$/.test(path));
for (const path of manifests) {
  const { scripts = {} } = JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as { scripts?: Record<string, string> };
  const found = INSTALL_SCRIPTS.filter((name) => name in scripts);
  if (found.length > 0) {
    console.error(`${packed.filename}: ${path} has ${found.join(', ')}: nothing runs at its installation`);
    process.exit(1);
  }
}
if (packed.size > MAX_PACKED_KIB * 1024) {
  console.error(
    `${packed.filename} has ${Math.round(packed.size / 1024)} KiB, more than ${MAX_PACKED_KIB}: what grew?`,
  );
  process.exit(1);
}
console.log(`${packed.filename}: ${paths.size} files, ${Math.round(packed.size / 1024)} KiB`);
