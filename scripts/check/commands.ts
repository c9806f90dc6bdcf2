import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../build/steps.ts';
import { run } from '../run.ts';

/**
 * Why a block of commands can't be run here, said behind its language: ```sh account` needs an AWS account, ```sh yours`
 * files or a folder of the reader's.
 */
const MARKERS = new Set(['account', 'yours']);

/** What is quick and changes nothing is run by this check; everything else has to stand in a script of `.ci`. */
const RUN_HERE = [/^npx cdk synth( |$)/, / --help$/];

export interface CommandBlock {
  readonly place: string;
  readonly marker: string | undefined;
  readonly commands: readonly string[];
}

/** Every command of README, CONTRIBUTING and docs is run by CI, or marked as what it can't run. */
export async function checkCommands(): Promise<void> {
  const documents = [
    'README.md',
    'CONTRIBUTING.md',
    ...readdirSync(join(ROOT, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ];
  const inCi = readdirSync(join(ROOT, '.ci'))
    .map((name) => readFileSync(join(ROOT, '.ci', name), 'utf8'))
    .join('\n')
    .replaceAll('npm run --silent', 'npm run');
  const blocks = documents.flatMap((document) => commandBlocks(document, readFileSync(join(ROOT, document), 'utf8')));
  if (blocks.length === 0) throw new Error('no ```sh block found in README.md and docs/');
  for (const { place, marker, commands } of blocks) {
    if (marker !== undefined) {
      if (MARKERS.has(marker)) continue;
      throw new Error(`${place}: "${marker}" is no marker of a block of commands: use ${[...MARKERS].join(' or ')}`);
    }
    for (const command of commands) {
      if (RUN_HERE.some((pattern) => pattern.test(command))) {
        await run('sh', ['-c', `${command} > /dev/null`]).catch((error: unknown) => {
          throw new Error(`${place}: ${command}: ${error instanceof Error ? error.message : error}`);
        });
      } else if (!inCi.includes(command)) {
        throw new Error(
          `${place}: nothing in .ci runs "${command}": add it there, or mark the block with ${[...MARKERS].join(' or ')}`,
        );
      }
    }
  }
}

/** The ```sh blocks of a document; lines that go on are one command, and so is each part of an `&&` list. */
export function commandBlocks(document: string, markdown: string): CommandBlock[] {
  return [...markdown.matchAll(/^( *)```(?:sh|bash|shell)(?: +(\S+))?\n(.*?)^\1```$/gms)].map((match) => ({
    place: `${document}:${markdown.slice(0, match.index).split('\n').length}`,
    marker: match[2],
    commands: (match[3] ?? '')
      .replace(/\\\n\s*/g, '')
      .split(/\n| && /)
      .map((line) => line.replace(/\s+#.*$/, '').trim())
      .filter((line) => line !== '' && !line.startsWith('#')),
  }));
}
