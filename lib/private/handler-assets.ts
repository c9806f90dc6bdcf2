import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Beside `lib/` in the package: what the build made of `lambda/`. */
const ASSETS = join(__dirname, '..', '..', 'assets');

/** The folder with a handler's bundle. */
export function handlerFolder(name: 'api' | 'authorizer' | 'jobs' | 'meter' | 'pause' | 'webhook' | 'worker'): string {
  return existing(join(ASSETS, 'handlers', name));
}

/** The coarse part of a request's JSON schema that API Gateway checks (draft-04); the handler checks the whole. */
export function chatCompletionRequestSchema(): unknown {
  return JSON.parse(readFileSync(existing(join(ASSETS, 'schemas', 'chat-completion-request.json')), 'utf8'));
}

function existing(path: string): string {
  if (existsSync(path)) return path;
  throw new Error(`${path} is missing: in a clone of the repository, run \`npm run build\` first`);
}
