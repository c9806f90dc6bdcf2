/**
 * Makes the packages of the other languages from the jsii assembly, into `dist/`. All of them are generated; each is also
 * built and compiled where the machine has the language's tools and its registry has the CDK that this package needs.
 * Java's code is compiled with an older CDK until then.
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
  obstacle?(): string | undefined;
  /** What is done with the generated code in place of pacmak's own build; what it returns was done. */
  build?(obstacle: string | undefined): Promise<string | undefined>;
}

const CDK_VERSION = (
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { peerDependencies: Record<string, string> }
).peerDependencies['aws-cdk-lib']?.replace('^', '');

/** The newest one that Maven Central had in November 2026. */
const OLDER_CDK_OF_JAVA = '2.263.0';

const LANGUAGES: Readonly<Record<string, Language>> = {
  python: { tools: [['python3', '--version']] },
  java: {
    tools: [
      ['mvn', '--version'],
      ['javac', '-version'],
    ],
    obstacle: missingFromMavenCentral,
    build: compileJava,
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
  const obstacle = missing === undefined ? language.obstacle?.() : `${missing} is not on this machine`;
  // Go's modules are repositories: what pacmak generates is what is published.
  const codeOnly = obstacle !== undefined || name === 'go';
  await run('jsii-pacmak', [
    ...['--targets', name, '--npmignore', 'false', '--rosetta-unknown-snippets', 'translate'],
    ...(codeOnly ? ['--code-only'] : []),
  ]);
  const compiled = missing === undefined ? await language.build?.(obstacle) : undefined;
  if (obstacle === undefined) console.log(`built     ${name}`);
  else console.log(`generated ${name}, ${compiled ?? 'not compiled'}: ${obstacle}`);
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
function missingFromMavenCentral(): string | undefined {
  const artifact = `software.amazon.awscdk:aws-cdk-lib:${CDK_VERSION}`;
  try {
    execFileSync('mvn', ['-q', '-B', 'dependency:get', `-Dartifact=${artifact}`, '-Dtransitive=false'], {
      stdio: 'ignore',
    });
    return undefined;
  } catch {
    return `Maven can't get ${artifact}`;
  }
}

/** Where the CDK that this package needs isn't there yet, the code has to compile with the newest that is. */
async function compileJava(obstacle: string | undefined): Promise<string | undefined> {
  if (obstacle === undefined) return undefined;
  const file = join(ROOT, 'dist/java/pom.xml');
  const pom = readFileSync(file, 'utf8');
  const wanted = `<version>[${CDK_VERSION},3.0.0)</version>`;
  if (!pom.includes(wanted)) throw new Error(`dist/java/pom.xml doesn't ask for the CDK by ${wanted}`);
  writeFileSync(file, pom.replace(wanted, `<version>${OLDER_CDK_OF_JAVA}</version>`));
  try {
    await run('mvn', ['-q', '-B', '-f', file, 'compile']);
  } finally {
    writeFileSync(file, pom);
    rmSync(join(ROOT, 'dist/java/target'), { recursive: true, force: true });
  }
  return `compiled with aws-cdk-lib ${OLDER_CDK_OF_JAVA}, not packed`;
}

/**
 * With the indirect dependencies that the CDK's own module names: those that pacmak writes are the newest that npm has,
 * which Go's proxy may not have yet.
 */
async function compileGo(): Promise<undefined> {
  const folder = join(ROOT, 'dist/go/cdkllmserving');
  const file = join(folder, 'go.mod');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^.*\/\/ indirect\n/gm, ''));
  await run('go', ['-C', folder, 'mod', 'tidy']);
  await run('go', ['-C', folder, 'vet', '.']);
  return undefined;
}
