/**
 * Makes the packages of the other languages from the jsii assembly, into `dist/`. All of them are generated; each is also
 * built and compiled where the machine has the language's tools and its registry has the CDK that this package needs.
 *
 *   node scripts/languages.ts [python|java|go|dotnet ...]
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './build/steps.ts';
import { run } from './run.ts';

interface Language {
  /** Commands without which nothing can be built; each is asked for its version. */
  readonly tools: readonly (readonly [command: string, argument: string])[];
  /** Why it can't be built although the tools are there. */
  obstacle?(): Promise<string | undefined>;
  /** After the code was generated. */
  build?(): Promise<void>;
}

const CDK_VERSION = (
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { peerDependencies: Record<string, string> }
).peerDependencies['aws-cdk-lib']?.replace('^', '');

const LANGUAGES: Readonly<Record<string, Language>> = {
  python: { tools: [['python3', '--version']] },
  java: {
    tools: [
      ['mvn', '--version'],
      ['javac', '-version'],
    ],
    obstacle: missingFromMavenCentral,
  },
  go: { tools: [['go', 'version']], build: compileGo },
  dotnet: { tools: [['dotnet', '--version']] },
};

const names = process.argv.slice(2);
const unknown = names.filter((name) => !(name in LANGUAGES));
if (unknown.length > 0) {
  console.error(`no language named ${unknown.join(', ')}: the languages are ${Object.keys(LANGUAGES).join(', ')}`);
  process.exit(2);
}

await run('node', ['scripts/build.ts']);
for (const [name, language] of Object.entries(LANGUAGES)) {
  if (names.length > 0 && !names.includes(name)) continue;
  rmSync(join(ROOT, 'dist', name), { recursive: true, force: true });
  const missing = language.tools.find((tool) => !isThere(tool))?.[0];
  const obstacle = missing === undefined ? await language.obstacle?.() : `${missing} is not on this machine`;
  // Go's modules are repositories: what pacmak generates is what is published.
  const codeOnly = obstacle !== undefined || language.build !== undefined;
  await run('jsii-pacmak', [
    ...['--targets', name, '--npmignore', 'false', '--rosetta-unknown-snippets', 'translate'],
    ...(codeOnly ? ['--code-only'] : []),
  ]);
  if (obstacle === undefined) await language.build?.();
  console.log(obstacle === undefined ? `built     ${name}` : `generated ${name}, not built: ${obstacle}`);
}

function isThere([command, argument]: readonly [string, string]): boolean {
  try {
    execFileSync(command, [argument], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The CDK comes to Maven Central later than to npm, and Maven's own words for that are long and unclear. */
async function missingFromMavenCentral(): Promise<string | undefined> {
  const url = 'https://repo1.maven.org/maven2/software/amazon/awscdk/aws-cdk-lib/maven-metadata.xml';
  const metadata = await (await fetch(url, { signal: AbortSignal.timeout(30_000) })).text();
  const newest = /.*<version>([\d.]+)<\/version>/s.exec(metadata)?.[1] ?? '0';
  return newest.localeCompare(CDK_VERSION ?? '', 'en', { numeric: true }) >= 0
    ? undefined
    : `Maven Central has aws-cdk-lib up to ${newest}, and this package needs ${CDK_VERSION}`;
}

/**
 * With the indirect dependencies that the CDK's own module names: those that pacmak writes are the newest that npm has,
 * which Go's proxy may not have yet.
 */
async function compileGo(): Promise<void> {
  const folder = join(ROOT, 'dist/go/cdkllmserving');
  const file = join(folder, 'go.mod');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^.*\/\/ indirect\n/gm, ''));
  await run('go', ['-C', folder, 'mod', 'tidy']);
  await run('go', ['-C', folder, 'vet', '.']);
}
