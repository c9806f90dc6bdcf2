import type { JobsDeps } from './api/scope.ts';
import { S3Blobs } from './aws/blobs.ts';
import { SqsQueues } from './aws/queues.ts';
import { DynamoJobs, ItemTable } from './aws/table.ts';
import { lineEnded } from './batch/run-batch.ts';
import { CountedJobs, type CountOptions } from './count-ends.ts';
import { jobEnvironment, required } from './environment.ts';
import type { Job } from './job.ts';
import { WebhookSecrets } from './notice/secrets.ts';
import type { LineTable } from './ports.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What the three functions share.
 *
 * @param count where ends of jobs are counted, for functions that end some
 */
export function stores(env: Environment, count?: CountOptions) {
  const { table, bucket, jobsQueueUrl, noticesQueueUrl, retentionMs } = jobEnvironment(env);
  const items = new ItemTable(table);
  const jobs: LineTable = new DynamoJobs(items);
  const shared = {
    items,
    jobs: count === undefined ? jobs : new CountedJobs(jobs, count),
    queues: new SqsQueues({ jobs: jobsQueueUrl, notices: noticesQueueUrl }),
    blobs: new S3Blobs(bucket),
    retentionMs,
    now: Date.now,
  };
  return { ...shared, ended: (job: Job) => lineEnded(job, shared) };
}

/** Only the local run sets it: receivers on this machine, by http too. */
export const urlRules = (env: Environment) => ({ loopback: env.LLM_WEBHOOK_LOOPBACK === 'allow' });

export function jobsDeps(env: Environment, count?: CountOptions): JobsDeps {
  const shared = stores(env, count);
  const secrets = new WebhookSecrets(shared.items, required(env, 'LLM_WEBHOOK_SECRET_ARN'));
  return { ...shared, secrets, urlRules: urlRules(env) };
}
