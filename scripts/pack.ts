/**
 * Builds and packs the npm package, and looks into it. `npm pack` alone packs what was built last, or nothing: what is
 * built isn't in git, and no lifecycle script runs here.
 */
import { execFileSync } from 'node:child_process';
import { ROOT } from './build/steps.ts';
import { run } from './run.ts';

/** Without one of these the package doesn't work. */
const NEEDED = [
  '.jsii',
  'lib/index.js',
  'lib/index.d.ts',
  'assets/handlers/api/index.mjs',
  'assets/handlers/authorizer/index.mjs',
  'assets/cli/llm.mjs',
  'assets/schemas/chat-completion-request.json',
  'assets/THIRD-PARTY-LICENSES.txt',
  'node_modules/@pydantic/genai-prices/package.json',
];

await run('node', ['scripts/build.ts']);
const [packed] = JSON.parse(execFileSync('npm', ['pack', '--json'], { cwd: ROOT, encoding: 'utf8' })) as [
  { filename: string; size: number; files: readonly { path: string }[] },
];
const paths = new Set(packed.files.map(({ path }) => path));
const missing = NEEDED.filter((path) => !paths.has(path));
if (missing.length > 0) {
  console.error(`${packed.filename} lacks ${missing.join(', ')}`);
  process.exit(1);
}
console.log(`${packed.filename}: ${paths.size} files, ${Math.round(packed.size / 1024)} KiB`);
