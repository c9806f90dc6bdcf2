import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const FOLDER = 'examples/typescript';

test.each(readdirSync(FOLDER).filter((name) => name.endsWith('.mts')))(
  '%s synthesizes with the built package',
  async (name) => {
    const outdir = mkdtempSync(join(tmpdir(), 'llm-example-'));
    try {
      await promisify(execFile)(process.execPath, [resolve(FOLDER, name)], {
        env: { PATH: process.env.PATH, CDK_OUTDIR: outdir, CDK_CONTEXT_JSON: '{}' },
      });
      expect(readdirSync(outdir).filter((file) => file.endsWith('.template.json'))).toHaveLength(1);
    } finally {
      rmSync(outdir, { recursive: true });
    }
  },
);
