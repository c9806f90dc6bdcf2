import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type AjvDraft04 from 'ajv-draft-04';
import { build } from 'esbuild';
import { chatCompletionRequest } from '../../lambda/schema/chat-completion-request.ts';
import { gatewayModel } from './gateway-model.ts';
import { ROOT } from './steps.ts';

/** File name without extension -> schema. */
const SCHEMAS = { 'chat-completion-request': chatCompletionRequest };

const require = createRequire(import.meta.url);
const Ajv = (require('ajv-draft-04') as { default: typeof AjvDraft04 }).default;
const standalone = (require('ajv/dist/standalone/index.js') as { default: (ajv: unknown, validate: unknown) => string })
  .default;

/**
 * Writes each schema's coarse part as `assets/schemas/<name>.json`, for API Gateway's models, and the whole of it as
 * `lambda/generated/<name>.js`: a validator compiled ahead, so that a cold start neither loads nor compiles a schema
 * library.
 */
export async function buildSchemas(): Promise<void> {
  const assets = join(ROOT, 'assets/schemas');
  const generated = join(ROOT, 'lambda/generated');
  for (const folder of [assets, generated]) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  }
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    writeFileSync(join(assets, `${name}.json`), `${JSON.stringify(gatewayModel(schema), undefined, 2)}\n`);
    // Messages are made by serving/schema-problem.ts, in OpenAI's words.
    const ajv = new Ajv({
      code: { source: true, esm: true },
      messages: false,
      inlineRefs: false,
      allowUnionTypes: true,
      strictTypes: false,
      strictRequired: false,
    });
    const code = standalone(ajv, ajv.compile(schema));
    // Through esbuild, which fails on whatever the validator would still have to load at run time.
    await build({
      stdin: { contents: code, resolveDir: ROOT },
      outfile: join(generated, `${name}.js`),
      bundle: true,
      format: 'esm',
      platform: 'neutral',
      target: 'node22',
      logLevel: 'warning',
    });
    writeFileSync(join(generated, `${name}.d.ts`), DECLARATION);
  }
}

const DECLARATION = `export interface SchemaProblem {
  /** JSON pointer to the offending value. */
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
}
declare const validate: ((value: unknown) => boolean) & { errors?: readonly SchemaProblem[] | null };
export default validate;
`;
