import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../build/steps.ts';
import { graphOf, type Template } from '../picture/graph.ts';
import { mermaidOf } from '../picture/mermaid.ts';
import { run } from '../run.ts';

const DOCUMENT = 'docs/architecture.md';

/** The block behind a comment that says by its context which stack it shows: `<!-- picture: preset=hybrid -->`. */
const PICTURE = /(?<=<!-- picture: (?<context>[^>]+?) -->\n+)```mermaid\n.*?^```$/gms;

/** Pictures of the architecture are made from synthesized stacks; with `fix` they are written. */
export async function checkPictures(options: { fix: boolean }): Promise<void> {
  const file = join(ROOT, DOCUMENT);
  const text = readFileSync(file, 'utf8');
  const pictures = [...text.matchAll(PICTURE)];
  if (pictures.length === 0) throw new Error(`${DOCUMENT} has no picture`);
  let wanted = '';
  let end = 0;
  for (const { 0: block, index, groups } of pictures) {
    const picture = mermaidOf(graphOf(await synthesize(groups?.context ?? '')));
    wanted += `${text.slice(end, index)}\`\`\`mermaid\n${picture}\n\`\`\``;
    end = index + block.length;
  }
  wanted += text.slice(end);
  if (options.fix) writeFileSync(file, wanted);
  else if (wanted !== text) {
    throw new Error(`the pictures of ${DOCUMENT} aren't what is synthesized: run npm run check -- --fix and commit it`);
  }
}

async function synthesize(context: string): Promise<Template> {
  const folder = mkdtempSync(join(tmpdir(), 'picture-'));
  try {
    const settings = context.split(/\s+/).flatMap((setting) => ['-c', setting]);
    await run('cdk', ['synth', '--quiet', '--output', folder, ...settings]);
    const [template = ''] = readdirSync(folder).filter((name) => name.endsWith('.template.json'));
    return JSON.parse(readFileSync(join(folder, template), 'utf8')) as Template;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
