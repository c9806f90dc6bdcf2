import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface BuildStep {
  readonly name: string;
  /** Files and folders (relative to the root) that the step reads. */
  readonly inputs: readonly string[];
  /** Files and folders that exist after the step. */
  readonly outputs: readonly string[];
  run(): Promise<void>;
}

const STAMPS = join(ROOT, 'node_modules/.cache/cdk-llm-serving');

/** Runs the steps in order, those that need it. A failing step ends the process with its message. */
export async function runSteps(steps: readonly BuildStep[], options: { force: boolean }): Promise<void> {
  for (const step of steps) {
    const stampFile = join(STAMPS, `${step.name}.sha256`);
    const before = digest(step);
    const upToDate =
      !options.force &&
      step.outputs.every((output) => existsSync(join(ROOT, output))) &&
      existsSync(stampFile) &&
      readFileSync(stampFile, 'utf8') === before;
    if (upToDate) continue;
    const start = performance.now();
    try {
      await step.run();
    } catch (error) {
      console.error(`build step ${step.name} failed: ${error instanceof Error ? error.message : error}`);
      process.exit(1);
    }
    mkdirSync(STAMPS, { recursive: true });
    writeFileSync(stampFile, before);
    console.error(`built ${step.name} in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  }
}

function digest(step: BuildStep): string {
  const hash = createHash('sha256').update(process.version);
  for (const input of step.inputs) {
    for (const file of filesOf(join(ROOT, input))) {
      hash.update(`${relative(ROOT, file)}\0`).update(readFileSync(file));
    }
  }
  return hash.digest('hex');
}

/** Sources only: `lib` holds its own compiled output, `lambda/generated` is made by a step. */
function filesOf(path: string): string[] {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .filter((name) => name !== 'node_modules' && name !== 'generated')
    .flatMap((name) => filesOf(join(path, name)))
    .filter((file) => !/\.(js|d\.ts|tsbuildinfo)$/.test(file));
}
