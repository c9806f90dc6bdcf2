/**
 * Builds what is not in git: `lib/*.js` (jsii), `assets/schemas` and the validators (from `lambda/schema`),
 * `assets/handlers` and `assets/cli` (esbuild), and the bill of what is in them. Steps whose inputs did not change since they last succeeded are skipped.
 *
 *   node scripts/build.ts [--force] [lib|schemas|handlers|cli|sbom ...]
 */
import { buildCli } from './build/cli.ts';
import { buildHandlers } from './build/handlers.ts';
import { buildLib } from './build/lib.ts';
import { buildSbom } from './build/sbom.ts';
import { buildSchemas } from './build/schemas.ts';
import { type BuildStep, runSteps } from './build/steps.ts';

const steps: readonly BuildStep[] = [
  {
    name: 'schemas',
    inputs: ['lambda/schema', 'scripts/build/schemas.ts', 'scripts/build/gateway-model.ts', 'package-lock.json'],
    outputs: ['assets/schemas', 'lambda/generated'],
    run: buildSchemas,
  },
  {
    name: 'handlers',
    inputs: [
      'lambda',
      'lib/private/serving-config.ts',
      'scripts/build/handlers.ts',
      'scripts/build/bundle.ts',
      'scripts/build/licenses.ts',
      'package-lock.json',
    ],
    outputs: [
      'assets/handlers/api/index.mjs',
      'assets/handlers/authorizer/index.mjs',
      'assets/handlers/meter/index.mjs',
    ],
    run: buildHandlers,
  },
  {
    name: 'cli',
    inputs: [
      'bin',
      'lambda',
      'lib/private',
      'scripts/build/cli.ts',
      'scripts/build/bundle.ts',
      'scripts/build/licenses.ts',
      'package-lock.json',
    ],
    outputs: ['assets/cli/llm.mjs'],
    run: buildCli,
  },
  {
    name: 'sbom',
    inputs: ['bin', 'lambda', 'scripts/build', 'package.json', 'package-lock.json'],
    outputs: ['assets/sbom.cdx.json'],
    run: buildSbom,
  },
  {
    name: 'lib',
    inputs: ['lib', 'package.json', 'scripts/build/lib.ts', 'package-lock.json'],
    outputs: ['lib/index.js', '.jsii'],
    run: buildLib,
  },
];

const args = process.argv.slice(2);
const force = args.includes('--force');
const names = args.filter((arg) => arg !== '--force');
const unknown = names.filter((name) => !steps.some((step) => step.name === name));
if (unknown.length > 0) {
  console.error(`no build step named ${unknown.join(', ')}: the steps are ${steps.map((s) => s.name).join(', ')}`);
  process.exit(2);
}
await runSteps(
  steps.filter((step) => names.length === 0 || names.includes(step.name)),
  { force },
);
