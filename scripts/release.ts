/**
 * Prepares a release: sets the version, dates the changelog's entry, keeps the public API that later changes are compared
 * with. What follows (commit, tag, publish) is said at its end and in CONTRIBUTING.md.
 *
 *   npm run release -- 0.2.0
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from './build/steps.ts';
import { packApi, RELEASED_API } from './check/api-compatibility.ts';
import { run } from './run.ts';

const CHANGELOG = join(ROOT, 'CHANGELOG.md');

const [version = ''] = process.argv.slice(2);
if (!/^\d+\.\d+\.\d+$/.test(version)) {
  console.error(`the new version must be like 0.2.0, got "${version}"`);
  process.exit(2);
}
const changelog = readFileSync(CHANGELOG, 'utf8');
const [, entry = ''] = /^## Unreleased\n(.*?)(?=^## |$(?![\s\S]))/ms.exec(changelog) ?? [];
if (entry.trim() === '') {
  console.error('CHANGELOG.md has nothing under "## Unreleased": a release says what changed');
  process.exit(1);
}
// The comparison with the last release comes first: this one takes its place.
await run('node', ['scripts/check.ts']);
await run('npm', ['version', version, '--no-git-tag-version', '--allow-same-version', '--ignore-scripts']);
const today = new Date().toISOString().slice(0, 10);
writeFileSync(CHANGELOG, changelog.replace('## Unreleased\n', `## Unreleased\n\n## ${version} - ${today}\n`));
await run('node', ['scripts/build.ts', 'lib', 'sbom']);
mkdirSync(dirname(RELEASED_API), { recursive: true });
writeFileSync(RELEASED_API, packApi(readFileSync(join(ROOT, '.jsii'), 'utf8')));
rmSync(join(ROOT, 'api/accepted-changes.txt'), { force: true });
console.log(`Look at git diff, run .ci/run, then:
  git commit -am 'Release ${version}' && git tag v${version} && git push --follow-tags
  npm run pack && npm publish cdk-llm-serving-${version}.tgz
  npm run languages   # dist/ has what goes to PyPI, Maven Central and the Go repository`);
