import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig, SERVING_CONFIG_FILE } from '../contract/config.ts';
import { createJobsApi } from '../job/api/serve.ts';
import { jobsDeps } from '../job/from-environment.ts';

const config = loadConfig(readFileSync(join(import.meta.dirname, SERVING_CONFIG_FILE), 'utf8'), process.env);

const log = (line: string): boolean => process.stdout.write(`${line}\n`);

export const handler = awslambda.streamifyResponse(
  createJobsApi(config, {
    ...jobsDeps(process.env, { namespace: config.metrics.namespace, log }),
    log,
    withPrelude: awslambda.HttpResponseStream.from,
  }),
);
