import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

/** What the CDK's CLI does: the app in a process of its own, its context and output folder in the environment. */
async function synth(context: Record<string, unknown>): Promise<void> {
  await promisify(execFile)(process.execPath, ['bin/app.ts'], {
    env: { PATH: process.env.PATH, CDK_OUTDIR: outdir, CDK_CONTEXT_JSON: JSON.stringify(context) },
  });
}

let outdir = '';
beforeEach(() => {
  outdir = mkdtempSync(join(tmpdir(), 'llm-app-'));
});
afterEach(() => rmSync(outdir, { recursive: true }));

const read = (file: string) => JSON.parse(readFileSync(join(outdir, file), 'utf8'));

describe('the app', () => {
  test('synthesizes what cdk.json says, as it stands in the repository', async () => {
    const { context } = JSON.parse(readFileSync('cdk.json', 'utf8'));
    await synth(context);
    const { Resources, Outputs } = read('LlmServing.template.json');
    expect(Object.keys(Outputs)).toEqual(expect.arrayContaining(['ApiEndpoint', 'ApiKeyId', 'ApiKeyCommand']));
    expect(
      Object.values<{ Type: string }>(Resources).filter(({ Type }) => Type === 'AWS::Lambda::Function'),
    ).toHaveLength(2);
  });

  test('needs no context at all', async () => {
    await synth({});
    expect(read('manifest.json').artifacts).toHaveProperty('LlmServing');
  });

  test('says what it does not understand in one line, and fails', async () => {
    await expect(synth({ modles: [] })).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^error: unknown key "modles": expected one of preset, stackName, fleet, .*\n$/),
    });
  });
});
