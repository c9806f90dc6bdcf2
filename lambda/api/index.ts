import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig, SERVING_CONFIG_FILE } from '../contract/config.ts';
import { createServing } from '../serving/serve.ts';
import { liftSocketLimit } from './stream-sockets.ts';

liftSocketLimit(process.env);
const file = join(import.meta.dirname, SERVING_CONFIG_FILE);
const serve = createServing(loadConfig(readFileSync(file, 'utf8'), process.env), {
  log: (line) => process.stdout.write(`${line}\n`),
  withPrelude: awslambda.HttpResponseStream.from,
});

export const handler = awslambda.streamifyResponse(serve);
