import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { lazyCache } from '../cache/lazy.ts';
import { loadConfig, SERVING_CONFIG_FILE } from '../contract/config.ts';
import { createServing } from '../serving/serve.ts';
import { liftSocketLimit } from './stream-sockets.ts';

liftSocketLimit(process.env);
const file = join(import.meta.dirname, SERVING_CONFIG_FILE);
const config = loadConfig(readFileSync(file, 'utf8'), process.env);
const cache = config.cache && lazyCache(config.cache, process.env);
cache?.warm();
const serve = createServing(config, {
  log: (line) => process.stdout.write(`${line}\n`),
  withPrelude: awslambda.HttpResponseStream.from,
  ...(cache && { cache }),
});

export const handler = awslambda.streamifyResponse(serve);
