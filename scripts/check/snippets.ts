import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../build/steps.ts';
import { run } from '../run.ts';

const FOLDER = join(ROOT, 'node_modules/.cache/cdk-llm-serving/snippets');

/** Every ```ts block of README.md and docs/*.md is a module of its own that must compile as it stands. */
export async function checkSnippets(): Promise<void> {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const documents = [
    'README.md',
    ...readdirSync(join(ROOT, 'docs'))
      .filter((f) => f.endsWith('.md'))
      .map((f) => `docs/${f}`),
  ];
  let count = 0;
  for (const document of documents) {
    for (const { line, code } of snippetsOf(readFileSync(join(ROOT, document), 'utf8'))) {
      count++;
      writeFileSync(join(FOLDER, `${document.replace(/\W+/g, '-')}-line-${line}.ts`), `${code}\nexport {};\n`);
    }
  }
  if (count === 0) throw new Error('no ```ts block found in README.md and docs/');
  writeFileSync(
    join(FOLDER, 'tsconfig.json'),
    JSON.stringify({
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions: {
        noUnusedLocals: false,
        paths: { 'cdk-llm-serving': [join(ROOT, 'lib/index.d.ts')] },
      },
      include: ['*.ts'],
      exclude: [],
    }),
  );
  await run('tsc', ['-p', join(FOLDER, 'tsconfig.json')]);
  await parsePython(documents);
}

/** Every ```python block must at least be Python. */
async function parsePython(documents: readonly string[]): Promise<void> {
  for (const document of documents) {
    for (const { line, code } of snippetsOf(readFileSync(join(ROOT, document), 'utf8'), 'python|py')) {
      const parse = 'import ast, sys; ast.parse(sys.argv[1], sys.argv[2])';
      await run('python3', ['-c', parse, '\n'.repeat(line - 1) + code, document]).catch((error: unknown) => {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
        throw new Error('there is no python3 on the path, which reads the Python in README and docs: install it', {
          cause: error,
        });
      });
    }
  }
}

function snippetsOf(markdown: string, language = 'ts|typescript'): { line: number; code: string }[] {
  const found: { line: number; code: string }[] = [];
  const lines = markdown.split('\n');
  const opening = new RegExp(`^\`\`\`(${language})\\s*$`);
  for (let i = 0; i < lines.length; i++) {
    if (!opening.test(lines[i] ?? '')) continue;
    const start = i + 1;
    while (i + 1 < lines.length && lines[i + 1] !== '```') i++;
    found.push({ line: start + 1, code: lines.slice(start, i + 1).join('\n') });
  }
  return found;
}
