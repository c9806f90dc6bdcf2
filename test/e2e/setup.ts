import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { createTextModel, startOpenAiServer } from '../../local/model/index.ts';
import { startLocal } from '../../local/run.ts';
import { startFaultyUpstream } from './faulty-upstream.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    run: { url: string; keys: Record<'standard' | 'narrow' | 'frugal' | 'slow', string> };
    /** For tests that start a run of their own. */
    assembly: { folder: string; secrets: Record<string, string> };
  }
}

const UPSTREAM_KEY = 'e2e-upstream-key';

/** Synthesizes test/e2e/app.ts and runs it as `npm start` would, with two model servers of the tests' own behind it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'e2e-'));
  const model = await createTextModel({ tokensPerSecond: 400, timeToFirstTokenMs: 20 });
  const upstream = await startOpenAiServer({ model, apiKey: UPSTREAM_KEY });
  const faulty = await startFaultyUpstream();
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('./app.ts', import.meta.url))], {
    env: {
      ...process.env,
      CDK_OUTDIR: directory,
      E2E_UPSTREAM_URL: `${upstream.url}/v1`,
      E2E_FAULTY_URL: faulty.url,
    },
  });
  const secrets = { 'e2e/upstream-key': UPSTREAM_KEY };
  const run = await startLocal({ assembly: directory, port: 0, model, secrets });
  project.provide('assembly', { folder: directory, secrets });
  project.provide('run', { url: run.url, keys: run.keys as never });
  return async () => {
    await run.close();
    await Promise.all([upstream.close(), faulty.close()]);
    await rm(directory, { recursive: true });
  };
}
